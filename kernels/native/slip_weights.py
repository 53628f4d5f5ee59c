"""Text of the weights of contacts whose slip changes (``contact/slip.py``), LANES worlds side by side.

Hard contact without resistance, of all kinds: a contact's row is all that it takes.
"""

from __future__ import annotations

import functools

from .contact_loop import bodies_text
from .contact_row import KnownRow
from .formulas import Formulas, Row
from .slip_adjoint import FREE_AXES, SlipFormulas
from .vectors import Vector

__all__ = ["weigh"]

_DOWN = """
    row down[3];
    for (int i = 0; i < 3; ++i) down[i] = of_worlds(gravity + i, gravity_stride);
"""

_CONTACTS = """
    int contacts = 0;
    for (int l = 0; l < LANES; ++l) contacts = ilane(counts, l) > contacts ? ilane(counts, l) : contacts;
    for (int c = 0; c < contacts; ++c) {
        const irow here = counts > c;
        if (!any(here)) continue;
        const irow a = here ? of_worlds_int(row_a + c, row_a_stride) : no - 1;
        const irow b = here ? of_worlds_int(row_b + c, row_b_stride) : no - 1;
        row xa[NUMBERS], xb[NUMBERS];
        #pragma unroll
        for (int i = 0; i < NUMBERS; ++i) xa[i] = xb[i] = zero;
        each(a, here, [&](int body, irow on) {
            #pragma unroll
            for (int i = 0; i < NUMBERS; ++i) xa[i] = on ? list[body].x[i] : xa[i];
        });
        each(b, here, [&](int body, irow on) {
            #pragma unroll
            for (int i = 0; i < NUMBERS; ++i) xb[i] = on ? list[body].x[i] : xb[i];
        });
        row n[3], arm_a[3], arm_b[3], turning[3], q[4];
        for (int i = 0; i < 3; ++i) {
            n[i] = of_worlds(normal_in + 3 * c + i, normal_in_stride);
            arm_a[i] = of_worlds(arm_a_in + 3 * c + i, arm_a_in_stride);
            arm_b[i] = of_worlds(arm_b_in + 3 * c + i, arm_b_in_stride);
            turning[i] = of_worlds(twist_in + 3 * c + i, twist_in_stride);
        }
        for (int i = 0; i < 4; ++i) q[i] = of_worlds(coefficients_in + 4 * c + i, coefficients_in_stride);
"""

_DONE = """
#ifdef __CUDACC__
    free(list);
#endif
"""


def _speed(x: Vector) -> Row:
    return x.dot(x).root()


@functools.cache
def weigh(formulas: SlipFormulas) -> str:
    """Text that writes the weights after the first solve, and marks the worlds that need more."""
    f = Formulas()
    contact, gravity = KnownRow(f, ("v0", "va")), Vector.of(f.inputs("down", 3))
    x, y = contact.velocity("v0"), contact.velocity("va")
    change = [after - before for before, after in zip(x, y, strict=True)]
    va, wa, vb, wb = (Vector.of(change[i : i + 3]) for i in range(0, 12, 3))
    by_place = (vb + wb.cross(contact.arms[1])) - (va + wa.cross(contact.arms[0]))
    # most contacts are steady, which T's bound mu |change of slip| tells
    bound = _speed(by_place) + _speed(contact.twist) * contact.n.dot(wb - wa).size()
    va, wa, vb, wb = (Vector.of(x[i : i + 3]) for i in range(0, 12, 3))
    start = contact.n.dot((vb + wb.cross(contact.arms[1])) - (va + wa.cross(contact.arms[0])))
    limit = formulas.steady * formulas.unsteady_speed(start, formulas.fallen(contact, gravity))
    changes = contact.row.mu * bound > limit
    weight, _ = formulas.apart(contact, gravity)
    first, second = f.texts([changes], [weight])
    return f"""{FREE_AXES}{_DOWN}
    irow taken_part = no == 0;
    if (!first_pass) taken_part = of_worlds_int(repeat, 1) != 0;
    const irow counts = taken_part ? of_worlds_int(count, 1) : no;
{bodies_text({"v0": "body_v0", "va": "body_va"}, "", 0, 0)}{_CONTACTS}
{first}
        const irow changes = here & {f.name(changes)};
        row found = zero;
        if (any(changes)) {{
            row free_a[3], free_b[3];
            free_axes(a, changes, free_a), free_axes(b, changes, free_b);
{second}
            found = changes ? {f.name(weight)} : zero;
        }}
        for (int l = 0; l < LANES && first + l < worlds; ++l) {{
            if (!ilane(here, l)) continue;
            weights[(first + l) * weights_stride + c] = lane(found, l);
            if (lane(found, l) > (TYPE)0) staged[first + l] = taken[first + l] = anywhere[0] = 1;
        }}
    }}
{_DONE}"""
