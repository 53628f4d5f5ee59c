"""Formulas of a plain contact's row, those of ``contact/contact_rows.py``.

Contacts of the kinds POINT, LINE and FLAT whose share of the pair's stiffness is fixed, hard and without resistance. A
contact's side is a body's numbers ``xa`` or ``xb``: pose 7, mass, then velocities, 6 each. Ground has the identity as
its pose, and zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .formulas import Formulas, Mask, Row
from .vectors import Quaternion, Vector

__all__ = ["Coefficients", "Contact", "KnownRow", "Motions"]


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
