"""Text of loops over contacts, LANES worlds side by side, and of the reverse of what is done with them.

For the formulas of ``contact_row.py``: a contact's side is a body's numbers ``xa`` or ``xb``.
"""

from __future__ import annotations

from collections.abc import Sequence

from .contact_row import Contact
from .formulas import Mask, Row
from .free_motion import assigned

__all__ = ["adjoint_text", "bodies_text", "loop"]

_ALGEBRA = """
    auto of_shapes = [&](const TYPE* x, long stride, irow shape) {
        row values = zero;
        #pragma unroll
        for (int l = 0; l < LANES; ++l) put(values, l, x[at[l] * stride + ilane(shape, l)]);
        return values;
    };
    auto each = [&](irow body_of, irow here, auto use) {  // every body among the lanes, with the lanes that have it
        for (int l = 0; l < LANES; ++l) {
            const int body = ilane(body_of, l);
            if (!ilane(here, l) || body < 0) continue;
            const irow on = here & (body_of == body);
            use(body, on);
            here = here & (on == 0);
            if (!any(here)) break;
        }
    };
"""

_FETCH = """
        auto vector = [&](const TYPE* x, long stride, row* out) {
            for (int i = 0; i < 3; ++i) out[i] = of_worlds(x + 3 * c + i, stride);
        };
        const irow plane = here & (of_kind == FLAT), line = here & (of_kind == LINE);
        const irow sa = here ? of_worlds_int(shape_a + c, shape_a_stride) : no;
        const irow sb = here ? of_worlds_int(shape_b + c, shape_b_stride) : no;
        irow a = no, b = no;
    #if LANES == 1
        a = shape_body[sa], b = shape_body[sb];
    #else
        #pragma unroll
        for (int l = 0; l < LANES; ++l) a[l] = shape_body[sa[l]], b[l] = shape_body[sb[l]];
    #endif
        row xa[NUMBERS], xb[NUMBERS];
        #pragma unroll
        for (int i = 0; i < NUMBERS; ++i) xa[i] = xb[i] = zero;
        xa[6] = xb[6] = one;
        each(a, here, [&](int body, irow on) {
            #pragma unroll
            for (int i = 0; i < NUMBERS; ++i) xa[i] = on ? list[body].x[i] : xa[i];
        });
        each(b, here, [&](int body, irow on) {
            #pragma unroll
            for (int i = 0; i < NUMBERS; ++i) xb[i] = on ? list[body].x[i] : xb[i];
        });
        row la0[3], la1[3], lb0[3];
        vector(a0, a0_stride, la0), vector(a1, a1_stride, la1), vector(b0, b0_stride, lb0);
        const row ra = of_worlds(radius_a + c, radius_a_stride), rb = of_worlds(radius_b + c, radius_b_stride);
        const row part = of_worlds(weight + c, weight_stride), way = of_worlds(sign + c, sign_stride);
        const row ka = of_shapes(shape_stiffness, shape_stiffness_stride, sa);
        const row kb = of_shapes(shape_stiffness, shape_stiffness_stride, sb);
        const row ca = of_shapes(shape_damping, shape_damping_stride, sa);
        const row cb = of_shapes(shape_damping, shape_damping_stride, sb);
        const row mua = of_shapes(shape_friction, shape_friction_stride, sa);
        const row mub = of_shapes(shape_friction, shape_friction_stride, sb);
"""

_PATCH = """
        // friction of faces
        const irow starts = here ? of_worlds_int(patch_start + c, patch_start_stride) : no;
        const irow patch = here & (of_worlds_int(patch_count + c, patch_count_stride) > 0);
        row drawn = zero, to[3] = {zero, zero, zero};
        if (any(patch))
            #pragma unroll
            for (int l = 0; l < LANES; ++l)
                if (ilane(patch, l)) {
                    const long first_of = ilane(starts, l);
                    put(drawn, l, pull[at[l] * pull_stride + first_of]);
                    for (int i = 0; i < 3; ++i) put(to[i], l, centre[at[l] * centre_stride + 3 * first_of + i]);
                }
"""


def bodies_text(states: dict[str, str], first: str, numbers: int, bars: int) -> str:
    """Text that gathers the bodies' numbers in ``list``, ``first`` text for those before the ``states``."""
    fetched = "".join(
        f"        for (int k = 0; k < 6; ++k) list[i].x[{numbers + 6 * at} + k] = "
        f"of_worlds({array} + 6 * i + k, {array}_stride);\n"
        for at, array in enumerate(states.values())
    )
    return f"""{_ALGEBRA}
    constexpr int NUMBERS = {numbers + 6 * len(states)}, BARS = {max(bars, 1)};
    struct Body {{ row x[NUMBERS], bar[BARS]; }};
#ifdef __CUDACC__
    Body* list = (Body*)malloc((bodies > 0 ? bodies : 1) * sizeof(Body));
#else
    Body* list = (Body*)__builtin_alloca_with_align((bodies > 0 ? bodies : 1) * sizeof(Body), 512);
#endif
    for (int i = 0; i < bodies; ++i) {{{first}
{fetched}        for (int k = 0; k < BARS; ++k) list[i].bar[k] = zero;
    }}
"""


def loop(states: dict[str, str], bars: int, here: str, body: str, *, patch: str = _PATCH) -> str:
    """Text of a loop over contacts, ``c`` of the worlds' ``counts``.

    Args:
        states: Arrays of the velocities behind mass and pose, by name.
        bars: Numbers of each body whose derivatives are summed, from the first on.
        here: Expression for the lanes whose contact ``c`` counts, given its kind ``of_kind``.
        body: Text of what is done with it; may ``continue``.
        patch: Text that finds ``drawn`` and ``to``, of the contact's patch.
    """
    poses = """
        for (int k = 0; k < 7; ++k) list[i].x[k] = of_worlds(body_q + 7 * i + k, body_q_stride);
        list[i].x[7] = of_worlds(body_mass + i, body_mass_stride);
"""
    return f"""{bodies_text(states, poses, 8, bars)}
    int contacts = 0;
    for (int l = 0; l < LANES; ++l) contacts = ilane(counts, l) > contacts ? ilane(counts, l) : contacts;
    for (int c = 0; c < contacts; ++c) {{
        const irow of_kind = of_worlds_int(kind + c, kind_stride);
        const irow here = {here};
        if (!any(here)) continue;
{_FETCH}{patch}{body}
    }}
"""


_SCATTER = """
        each(a, on, [&](int body, irow mine) {
            #pragma unroll
            for (int i = 0; i < BARS; ++i) list[body].bar[i] += mine ? bar_a[i] : zero;
        });
        each(b, on, [&](int body, irow mine) {
            #pragma unroll
            for (int i = 0; i < BARS; ++i) list[body].bar[i] += mine ? bar_b[i] : zero;
        });
        // shapes and patches, a lane at a time
        auto scatter = [&](TYPE* x, long stride, irow shape, irow where, row bar) {
            if (any(where))
                #pragma unroll
                for (int l = 0; l < LANES; ++l)
                    if (ilane(where, l) && first + l < worlds) x[at[l] * stride + ilane(shape, l)] += lane(bar, l);
        };
        const irow drawn_in = on & (drawn > (TYPE)0);
        if (any(drawn_in))
            #pragma unroll
            for (int l = 0; l < LANES; ++l)
                if (ilane(drawn_in, l) && first + l < worlds) {
                    const long first_of = ilane(starts, l);
                    for (int i = 0; i < 3; ++i)
                        bar_centre[at[l] * bar_centre_stride + 3 * first_of + i] += lane(bar_to[i], l);
                    bar_pull[at[l] * bar_pull_stride + first_of] += lane(bar_to[3], l);
                }
"""


def adjoint_text(
    contact: Contact, on: Mask, power: Row, moved: Sequence[str], sums: dict[str, list[Row]] | None = None
) -> tuple[str, int]:
    """Text that adds the derivatives of a contact's power where ``on`` holds, and the bars of a body.

    Args:
        contact: Its formulas.
        on: Where it has any.
        power: The power.
        moved: Velocities that are differentiated: the first ones of the contact's states.
        sums: Other inputs, by the name of an array of rows to which their derivatives are added.
    """
    f = contact.f
    bars = 8 + 6 * len(moved)
    if list(contact.states)[: len(moved)] != list(moved):
        raise ValueError(f"velocities that are differentiated stand first: {moved} of {list(contact.states)}")
    surfaces = contact.surface
    inputs = [*contact.sides[0][:bars], *contact.sides[1][:bars], *contact.centre, contact.pull, *surfaces.values()]
    others = [(f"{name}[{i}]", row) for name, rows in (sums or {}).items() for i, row in enumerate(rows)]
    found = f.gradient([(power, f.row(1.0))], [*inputs, *(row for _, row in others)])
    by_surface = dict(zip(surfaces, found[2 * bars + 4 :], strict=False))
    before, after = f.texts([on], [*found, *contact.given.values()])
    arrays = {"ka": "stiffness", "kb": "stiffness", "ca": "damping", "cb": "damping"}
    arrays |= {"mua": "friction", "mub": "friction"}
    scattered = "".join(
        f"        scatter(bar_{array}, bar_{array}_stride, s{name[-1]}, on & {f.name(contact.given[name])}, "
        f"{f.name(by_surface[name])});\n"
        for name, array in arrays.items()
    )
    summed = "".join(
        f"        {name} += on ? {f.name(bar)} : zero;\n"
        for (name, _), bar in zip(others, found[len(inputs) :], strict=True)
    )
    return (
        f"""{before}
        const irow on = here & {f.name(on)};
        if (!any(on)) continue;
{after}
        row bar_a[BARS], bar_b[BARS], bar_to[4];
{assigned(f, "bar_a", found[:bars])}{assigned(f, "bar_b", found[bars : 2 * bars])}
{assigned(f, "bar_to", found[2 * bars : 2 * bars + 4])}{_SCATTER}{scattered}{summed}""",
        bars,
    )
