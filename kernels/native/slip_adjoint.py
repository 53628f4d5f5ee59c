"""Formulas of slip that changes, those of ``contact/slip.py``, and the text of its adjoint, LANES worlds side by side.

For plain contacts, see ``contact_row.py``. Of ``contact/slip_adjoint.py``: the power of the impulses of a further solve
along z, and its derivative by all that the solves before it hand on.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from .contact_loop import adjoint_text, loop
from .contact_row import Coefficients, Contact, Motions
from .formulas import Formulas, Mask, Row
from .vectors import Vector

__all__ = ["FOURTH", "FREE_AXES", "SECOND", "THIRD", "SlipFormulas", "adjoint"]

SECOND, THIRD, FOURTH = 2, 3, 4


def _clamped(x: Row) -> Row:
    below = (x > 0.0).pick(x, 0.0)
    return (below < 1.0).pick(below, 1.0)


def _rise(x: Row) -> Row:
    """0 up to 0, 1 from 1 on, smooth between."""
    t = _clamped(x)
    return t * t * (3.0 - 2.0 * t)


def _positive(x: Row, width: Row) -> Row:
    """Positive part, smooth over ``width``."""
    return 0.5 * (x + (x * x + width * width).root())


@dataclass(frozen=True)
class SlipFormulas:
    """The formulas, with the numbers of ``contact/slip.py`` by their names there."""

    steady: float
    unsteady: float
    weightless: float
    landing: float
    most: float
    blur: float
    idle: float
    friction_scale: float

    def apart(self, contact: Motions, gravity: Vector) -> tuple[Row, Row]:
        """Weight of a contact, and the first guess of its normal impulse without T [N s]."""
        f, h, n, q = contact.f, contact.h, contact.n, contact.row
        free_a, free_b = (Vector.of(f.inputs(name, 3)) for name in ("free_a", "free_b"))
        fall = sum((x * (b - a) * along for x, a, b, along in _rows(gravity, free_a, free_b, n)), f.row(0.0))
        x0, xa = contact.motion("v0"), contact.motion("va")
        drift = q.mu * contact.slip_speed(xa) - q.mu * contact.slip_speed(x0)
        size, start, fallen = drift.size(), n.dot(x0), self.fallen(contact, gravity)
        unsteady = self.unsteady_speed(start, fallen)
        here = (size > self.steady * unsteady) & (q.b > 0.0)
        gamma = self.load_of(contact, xa, q)
        bare = self.load_of(contact, xa, Coefficients(q.a, q.b, f.row(0.0), q.s0))
        weight = _rise((size / unsteady - self.steady) * (1.0 / (self.unsteady - self.steady)))
        weight *= _rise((gamma + bare) / here.pick(q.b * size * self.idle, 1.0))
        blur = self.blur * fallen
        change = _positive(q.a / here.pick(q.b, 1.0) - start - h * fall, blur)
        left = _positive(change + drift, blur)
        gain = 1.0 - drift * change / here.pick(left * change + 0.003 * drift * drift, 1.0)
        most = 1.0 + self.most * q.mu * q.mu
        load = gamma * (gain < most).pick(gain, most)
        return here.pick(weight, 0.0), here.pick(load, 0.0)

    def fallen(self, contact: Motions, gravity: Vector) -> Row:
        """What gravity adds to a speed in a step [m/s]."""
        return contact.h * (gravity.dot(gravity) + self.weightless * self.weightless).root()

    def unsteady_speed(self, start: Row, fallen: Row) -> Row:
        """Size of T in place of gravity's for a contact that had the normal velocity ``start`` [m/s]."""
        approach = start / (self.landing * fallen)
        return fallen / (1.0 + approach * approach)

    @staticmethod
    def load_of(contact: Motions, x: Vector, q: Coefficients) -> Row:
        """Normal impulse [N s]."""
        z = contact.excess(x, q)
        return (z > 0.0).pick(z, 0.0)

    def power(self, contact: Motions, gravity: Vector, solve: int) -> tuple[Mask, Row]:
        """Whether a contact has an impulse in a further solve, and that impulse's power along z."""
        n, q = contact.n, contact.row
        weight, load = self.apart(contact, gravity)
        u, along = contact.motion("v1"), contact.motion("z")
        if solve == FOURTH:
            resumed = q.s0 + (contact.slip_speed(contact.motion("vc")) - q.s0) * weight
            return contact.power(u, Coefficients(q.a, q.b, q.mu, resumed), along)
        kept = Coefficients(q.a, q.b, q.mu * (1.0 - weight), q.s0)
        if solve == THIRD:
            load = self.load_of(contact, contact.motion("vb"), kept)
        on, power = contact.power(u, kept, along)
        ut = u - n * n.dot(u)
        held, drag = weight * load / self.friction_scale, q.mu * self.friction_scale / contact.slip_speed(u)
        rubs = held > 0.0
        friction = rubs.pick(held, 0.0) * (n.dot(along) - drag * ut.dot(along))
        return on | rubs, power + friction


def _rows(*vectors: Vector) -> zip[tuple[Row, ...]]:
    return zip(*(vector.rows for vector in vectors), strict=True)


FREE_AXES = """
    auto free_axes = [&](irow body_of, irow here, row* out) {
        out[0] = out[1] = out[2] = zero;
        for (int l = 0; l < LANES; ++l)
            if (ilane(here, l) && ilane(body_of, l) >= 0)
                for (int i = 0; i < 3; ++i) put(out[i], l, mask[6 * ilane(body_of, l) + i]);
    };
"""
"""Function that writes the free axes of bodies along the world's."""

_LANES = """
    const irow counts = of_worlds_int(staged, 1) != 0 ? of_worlds_int(count, 1) : no;
    row down[3], bar_down[3] = {zero, zero, zero};
    for (int i = 0; i < 3; ++i) down[i] = of_worlds(gravity + i, gravity_stride);
"""

_SUMMED = """
    for (int l = 0; l < LANES && first + l < worlds; ++l) {
        const long world = first + l;
        if (!ilane(counts, l)) continue;
        for (int i = 0; i < bodies; ++i) {
            for (int k = 0; k < 7; ++k) bar_q[world * bar_q_stride + 7 * i + k] += lane(list[i].bar[k], l);
            bar_mass[world * bar_mass_stride + i] += lane(list[i].bar[7], l);
            auto add = [&](TYPE* x, long stride, int from) {
                for (int k = 0; k < 6; ++k) x[world * stride + 6 * i + k] += lane(list[i].bar[from + k], l);
            };
ADDED
        }
        for (int i = 0; i < 3; ++i) bar_gravity[world * bar_gravity_stride + i] += lane(bar_down[i], l);
    }
#ifdef __CUDACC__
    free(list);
#endif
"""

HERE = """(counts > c) & (of_worlds_int(share + c, share_stride) == SHARE_FIXED) &
                          (of_worlds_int(blend + c, blend_stride) < 0) &
                          ((of_kind == FLAT) | (of_kind == POINT) | (of_kind == LINE))"""


@functools.cache
def adjoint(formulas: SlipFormulas, solve: int) -> str:
    """Text of the adjoint of a further solve."""
    moved = {SECOND: ["v0", "va"], THIRD: ["v0", "va", "vb"], FOURTH: ["v0", "va", "vc"]}[solve]
    states = [*moved, "v1", "z"]
    f = Formulas()
    contact, gravity = Contact(f, states), Vector.of(f.inputs("down", 3))
    on, power = formulas.power(contact, gravity, solve)
    text, bars = adjoint_text(contact, on, power, moved, {"bar_down": gravity.rows})
    acts = "(of_worlds_int(active + c, active_stride) != 0)"
    if solve != FOURTH:
        acts = f"({acts} | (of_worlds(weights + c, weights_stride) != (TYPE)0))"
    arrays = {name: f"body_{name}" if name != "z" else name for name in states}
    fetch = "        row free_a[3], free_b[3];\n        free_axes(a, here, free_a), free_axes(b, here, free_b);\n"
    added = "".join(f"            add(bar_{name}, bar_{name}_stride, {8 + 6 * i});\n" for i, name in enumerate(moved))
    return f"{FREE_AXES}{_LANES}{loop(arrays, bars, f'{HERE} & {acts}', fetch + text)}{_SUMMED.replace('ADDED', added)}"
