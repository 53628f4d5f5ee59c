"""Text of weights of contacts whose slip changes, and of the rows of further solves (``contact/slip.py``).

LANES worlds side by side, hard contact without resistance, of all kinds: what a contact is by its row is all it takes.
"""

from __future__ import annotations

import functools

from .contact_row import Coefficients, KnownRow, bodies_text
from .formulas import Formulas, Row
from .free_motion import assigned
from .slip_adjoint import FREE_AXES, SlipFormulas
from .vectors import Vector

__all__ = ["further", "weigh"]

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


@functools.cache
def further(formulas: SlipFormulas) -> str:
    """Text that writes the rows of a further ``solve``; those of friction stand in the contacts' order."""
    f = Formulas()
    contact, gravity = KnownRow(f, ("v0", "va", "vb", "vc")), Vector.of(f.inputs("down", 3))
    q, weight = contact.row, f.input("part")
    last = q.s0 + (contact.slip_speed(contact.motion("vc")) - q.s0) * weight
    kept = q.mu * (1.0 - weight)
    _, guess = formulas.apart(contact, gravity)
    load = formulas.load_of(contact, contact.motion("vb"), Coefficients(q.a, q.b, kept, q.s0))
    solves = {}
    for name, rows in {"fourth": [last], "second": [kept, guess], "third": [kept, load]}.items():
        f.prefix = f"{name}_"
        solves[name] = f.texts(rows)[0] + assigned(f, "found", rows)
    copied = "".join(
        f"            for (int i = 0; i < 3; ++i) {array}[world * {array}_stride + 3 * slot + i] = lane({x}[i], l);\n"
        for array, x in {"normal_out": "n", "arm_a_out": "arm_a", "arm_b_out": "arm_b", "twist_out": "turning"}.items()
    )
    return f"""{FREE_AXES}{_DOWN}
    const irow marked = of_worlds_int(staged, 1) != 0;
    const irow counts = marked ? of_worlds_int(count, 1) : no;
    int end[LANES];
    for (int l = 0; l < LANES; ++l) end[l] = ilane(counts, l);
{bodies_text({"v0": "body_v0", "va": "body_va", "vb": "body_vb", "vc": "body_vc"}, "", 0, 0)}{_CONTACTS}
        const row part = of_worlds(weights + c, weights_stride);
        const irow changes = here & (part > (TYPE)0);
        row found[2] = {{zero, zero}};  // mu, or s0 in the fourth; and the impulse held fixed
        if (any(changes)) {{
            if (solve == FOURTH) {{
{solves["fourth"]}
            }} else if (solve == SECOND) {{
            row free_a[3], free_b[3];
            free_axes(a, changes, free_a), free_axes(b, changes, free_b);
{solves["second"]}
            }} else {{
{solves["third"]}
            }}
        }}
        const irow in_last = solve == FOURTH ? changes : no, before = solve == FOURTH ? no : changes;
        const row mu = before ? found[0] : q[2], s0 = in_last ? found[0] : q[3];
        const row held = part * found[1] / (TYPE){formulas.friction_scale!r};
        for (int l = 0; l < LANES && first + l < worlds; ++l) {{
            if (!ilane(here, l)) continue;
            const long world = first + l;
            auto write = [&](long slot, TYPE by_gap, TYPE by_speed, TYPE friction, TYPE slip) {{
            out_a[world * out_a_stride + slot] = ilane(a, l);
            out_b[world * out_b_stride + slot] = ilane(b, l);
{copied}
            TYPE* x = coefficients + world * coefficients_stride + 4 * slot;
            x[0] = by_gap, x[1] = by_speed, x[2] = friction, x[3] = slip;
            }};
            write(c, lane(q[0], l), lane(q[1], l), lane(mu, l), lane(s0, l));
            if (solve != FOURTH && ilane(changes, l))
                write(end[l]++, lane(held, l), (TYPE)0, lane(q[2], l) * (TYPE){formulas.friction_scale!r}, eps);
        }}
    }}
    for (int l = 0; l < LANES && first + l < worlds; ++l) total[first + l] = ilane(marked, l) ? end[l] : -1;
{_DONE}"""
