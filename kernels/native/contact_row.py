"""Formulas of a plain contact's row, those of ``contact/contact_rows.py``, and the text of a loop over such contacts.

Contacts of the kinds POINT, LINE and FLAT whose share of the pair's stiffness is fixed, hard and without resistance. A
contact's side is a body's numbers ``xa`` or ``xb``: pose 7, mass, then velocities, 6 each. Ground has the identity as
its pose, and zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .formulas import Formulas, Mask, Row
from .free_motion import assigned
from .vectors import Quaternion, Vector

__all__ = ["Coefficients", "Contact", "KnownRow", "Motions", "adjoint_text", "bodies_text", "loop"]


@dataclass(frozen=True)
class Coefficients:
    """Coefficients of ``contact/hard.py``, and the law with them."""

    a: Row
    b: Row
    mu: Row
    s0: Row


class Motions:
    """A contact's motion and law by its row, as formulas.

    Its attributes are the step ``h``, ``eps``, the normal ``n``, the ``arms`` of a and b, ``twist`` and ``row``, its
    coefficients.

    Args:
        f: The formulas.
        states: Names of the velocities that the sides hold.
        before: Numbers of a side before them.
    """

    n: Vector
    arms: tuple[Vector, Vector]
    twist: Vector
    row: Coefficients

    def __init__(self, f: Formulas, states: Sequence[str], before: int = 0):
        self.f = f
        numbers = before + 6 * len(states)
        self.sides = f.inputs("xa", numbers), f.inputs("xb", numbers)
        self.states = {name: before + 6 * i for i, name in enumerate(states)}
        self.h, self.eps = f.input("zero + h"), f.input("zero + eps")

    def velocity(self, state: str) -> list[Row]:
        """Velocities of both bodies: 6 of a, then 6 of b."""
        at = self.states[state]
        return [*self.sides[0][at : at + 6], *self.sides[1][at : at + 6]]

    def motion(self, state: str) -> Vector:
        """Velocity of b's point relative to a's, as ``motion.twisted_velocity``."""
        v = self.velocity(state)
        va, wa, vb, wb = (Vector.of(v[i : i + 3]) for i in range(0, 12, 3))
        u = (vb + wb.cross(self.arms[1])) - (va + wa.cross(self.arms[0]))
        return u + self.twist * self.n.dot(wb - wa)

    def slip_speed(self, u: Vector) -> Row:
        """As ``hard.slip_speed``."""
        ut = u - self.n * self.n.dot(u)
        return (ut.dot(ut) + self.eps * self.eps).root()

    def excess(self, u: Vector, q: Coefficients) -> Row:
        """As ``hard.excess``."""
        return q.a - q.b * (self.n.dot(u) - q.mu * (self.slip_speed(u) - q.s0))

    def power(self, u: Vector, q: Coefficients, along: Vector) -> tuple[Mask, Row]:
        """Whether there is an impulse at the motion ``u``, and its inner product with ``along``."""
        z = self.excess(u, q)
        on = z > 0.0
        n = self.n
        ut = u - n * n.dot(u)
        drag = q.mu / self.slip_speed(u)
        return on, on.pick(z, 0.0) * (n.dot(along) - drag * ut.dot(along))


class KnownRow(Motions):
    """A contact whose row is given: ``n``, ``arm_a``, ``arm_b``, ``turning``, and its coefficients ``q``."""

    def __init__(self, f: Formulas, states: Sequence[str]):
        super().__init__(f, states)
        self.n, arm_a, arm_b, self.twist = (Vector.of(f.inputs(x, 3)) for x in ("n", "arm_a", "arm_b", "turning"))
        self.arms = arm_a, arm_b
        self.row = Coefficients(*f.inputs("q", 4))


class Contact(Motions):
    """A contact's row by its features, as formulas.

    Args:
        f: The formulas.
        states: Names of the velocities behind mass and pose, ``v0`` among them.
    """

    def __init__(self, f: Formulas, states: Sequence[str]):
        super().__init__(f, states, 8)
        xa, xb = self.sides
        self.surface = {name: f.input(name) for name in ("ka", "kb", "ca", "cb", "mua", "mub")}
        self.pull, self.centre = f.input("drawn"), f.inputs("to", 3)
        self._locate(xa, xb)
        drawn = (self.pull > 0.0).pick(self.pull, 0.0)
        self.twist = self.n.cross(Vector.of(self.centre) - self.point) * drawn
        self._compliance(xa[7], xb[7])

    def _locate(self, xa: list[Row], xb: list[Row]) -> None:
        f = self.f
        la0, la1, lb0 = (Vector.of(f.inputs(name, 3)) for name in ("la0", "la1", "lb0"))
        plane, line, way = f.mask("plane"), f.mask("line"), f.input("way")
        ra, rb = f.input("ra"), f.input("rb")
        ta, tb, qa, qb = Vector.of(xa[:3]), Vector.of(xb[:3]), Quaternion.of(xa[3:7]), Quaternion.of(xb[3:7])
        zero, one = f.row(0.0), f.row(1.0)
        pa, pb, da = ta + qa.rotate(la0), tb + qb.rotate(lb0), qa.rotate(la1)
        r = pb - pa
        foot = (da * r.dot(da)).over(line, Vector.zero(f))
        off = r - foot
        apart = ~plane & (off.dot(off) > 0.0)
        # on a line itself any direction across it leads out, from a point the vertical one
        steep = da.z.size() > 0.9
        across = Vector(steep.pick(one, 0.0), zero, steep.pick(zero, 1.0))
        out = da.over(plane, off.over(apart, (across - da * across.dot(da)).over(line, Vector(zero, zero, one))))
        length = out.dot(out).root()
        self.n = n = out * ((plane | apart).pick(one, way) / length)
        distance = plane.pick(n.dot(r), apart.pick(length, 0.0))
        self.gap = distance - ra - rb
        middle = (pb - n * (0.5 * distance)).over(plane, (pa + foot + pb) * 0.5)
        self.point = point = middle + n * (0.5 * (ra - rb))
        self.arms = point - ta, point - tb

    def _compliance(self, ma: Row, mb: Row) -> None:
        """As ``hard.effective_mass``, ``hard.compliance`` and ``hard.friction``."""
        f, h, weight = self.f, self.h, self.f.input("part")
        ka, kb, ca, cb, mua, mub = self.surface.values()
        pair = (ma > 0.0) & (mb > 0.0)
        mass = pair.pick(ma * mb / pair.pick(ma + mb, 1.0), (ma > 0.0).pick(ma, mb))
        rate = f.input("zero + (TYPE)FREQUENCY / h")
        stiff_a, stiff_b, damped_a, damped_b = ka > 0.0, kb > 0.0, ca >= 0.0, cb >= 0.0
        stiff, damped = stiff_a & stiff_b, damped_a & damped_b
        total = 1.0 / stiff.pick(ka + kb, 1.0)
        k = stiff.pick(ka * kb * total, stiff_a.pick(ka, stiff_b.pick(kb, mass * (rate * rate))))
        share = stiff.pick(kb * total, 0.5)
        given = damped_a | damped_b
        critical = 2.0 * given.pick(f.row(1.0), k * mass).root()
        d = damped.pick(ca * share + cb * (1.0 - share), damped_a.pick(ca, damped_b.pick(cb, critical)))
        rough = mua + mub > 0.0
        mu = rough.pick(2.0 * mua * mub / rough.pick(mua + mub, 1.0), 0.0)
        a, b = -(h * k * self.gap * weight), (h * h * k + h * d) * weight
        self.row = Coefficients(a, b, mu, self.slip_speed(self.motion("v0")))
        self.given = {"ka": stiff_a, "kb": stiff_b, "ca": damped_a, "cb": damped_b, "mua": rough, "mub": rough}


_ALGEBRA = """
    auto of_shapes = [&](const TYPE* x, long stride, irow shape) {
        row values = zero;
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
                for (int l = 0; l < LANES; ++l)
                    if (ilane(where, l) && first + l < worlds) x[at[l] * stride + ilane(shape, l)] += lane(bar, l);
        };
        const irow drawn_in = on & (drawn > (TYPE)0);
        if (any(drawn_in))
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
