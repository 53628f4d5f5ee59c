"""Formulas of how a free body moves, those of ``bodies/motion.py``, and the text of a step by them and its reverse."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from .formulas import Formulas, Row
from .functions import FUNCTIONS
from .vectors import Matrix, Quaternion, Vector

__all__ = [
    "FreeMotion", "assigned", "coordinate", "exp", "integrate", "integrate_adjoint", "solved", "step_formulas",
]  # fmt: skip


def exp(turn: Vector) -> Quaternion:
    """Unit quaternion of a rotation vector [rad]."""
    angle2 = turn.dot(turn)
    large = angle2 > 1e-6
    angle = large.pick(angle2, 1.0).root()
    sine, cosine = (0.5 * angle).sine_cosine()
    scale = large.pick(sine / angle, 0.5 - angle2 * (1.0 / 48.0))
    return Quaternion(turn * scale, large.pick(cosine, 1.0 - angle2 * 0.125))


def coordinate(rotation: Quaternion, along: Vector) -> Row:
    """Component along a unit vector of the rotation vector [rad]."""
    flips = rotation.w < 0.0
    v, w = (-rotation.axis).over(flips, rotation.axis), rotation.w.size()
    size2 = v.dot(v)
    large = size2 > 1e-12
    size = large.pick(size2, 1.0).root()
    scale = large.pick(2.0 * w.formulas.arc(size, w) / size, 2.0 / large.pick(1.0, w))
    return v.dot(along) * scale


def assigned(f: Formulas, array: str, rows: list[Row]) -> str:
    """Text that assigns rows to an array."""
    return "".join(f"    {array}[{i}] = {f.name(row)};\n" for i, row in enumerate(rows))


@dataclass(frozen=True)
class FreeMotion:
    """The formulas, with the numbers of ``bodies/motion.py``: its ``GAIN``, ``CHANGE``, and ``wobble``."""

    gain: float
    change: float
    wobble: float

    @staticmethod
    def turned(e: Quaternion, x: Vector) -> Vector:
        """Change of ``x`` by the turn ``e``, whose rounding is relative to the change."""
        return e.axis.cross(e.axis.cross(x) + x * e.w) * 2.0

    def energy_gain(self, e: Quaternion, x: Vector, momentum: Vector, inverse: Matrix) -> Row:
        """Half of what a turn ``e`` of a body that spins by ``x`` would add to its ``momentum`` times spin."""
        change = self.turned(e.inverse(), momentum)
        return 0.5 * change.dot(x + inverse @ (momentum + change))

    def free_turn(self, w: Vector, inertia: Matrix, h: Row) -> Quaternion:
        """Turn of a torque-free body over a step that starts with ``w`` [rad/s], both in the body's frame."""
        f = h.formulas
        j = inertia * (1.0 / inertia.trace())
        inverse = j.inverse()

        def rate(x: Vector) -> Vector:
            return inverse @ (j @ x).cross(x)

        x = w * h
        momentum = j @ x
        power, square = momentum.dot(x), momentum.dot(momentum)
        spins = square > 0.0
        steady = (momentum * (power / spins.pick(square, 1.0))).over(spins, x)
        most = self.change * self.change * x.dot(x)
        resolves, stages = None, []
        for part in (0.0, 0.5, 0.5, 1.0):
            k = rate(x + stages[-1] * part if stages else x)
            small = k.dot(k) <= most
            resolves = small if resolves is None else resolves & small
            stages.append(k.over(small, Vector.zero(f)))
        k1, k2, k3, k4 = stages
        y = x + (k1 + k2 * 2.0 + k3 * 2.0 + k4) * (1.0 / 6.0)
        resolved = (x + y) * 0.5 + (k1 - rate(y) + x.cross(y)) * (1.0 / 12.0)
        off = self.energy_gain(exp(resolved), x, momentum, inverse).size() / (self.gain * power + 1e-30)
        left = 2.0 - off
        fade = (off > 1.0).pick((left > 0.0).pick(left, 0.0), 1.0)
        assert resolves is not None
        turn = (steady + (resolved - steady) * fade).over(resolves, steady)
        e = exp(turn)
        gain = self.energy_gain(e, x, momentum, inverse)
        after = momentum + self.turned(e.inverse(), momentum)
        n = after.cross(inverse @ after)
        limit = self.wobble * power * power + 1e-30
        return e * exp(n * (gain / (n.dot(n) + limit)))

    def carried(self, before: Quaternion, after: Quaternion, w: Vector, inertia: Matrix) -> Vector:
        """Angular velocity in the attitude ``after`` of a body that had ``w`` in ``before``: one momentum."""
        j = inertia * (1.0 / inertia.trace())
        start = before.normalized()
        turn = (start.inverse() * after).normalized()
        o = start.rotate_inverse(w)
        change = j.inverse() @ self.turned(turn.inverse(), j @ o)
        return w + start.rotate(change + self.turned(turn, o + change))


def step_formulas(motion: FreeMotion, f: Formulas, spins: bool) -> tuple[list[Row], list[Row]]:
    """Inputs and outputs of a step: pose, velocities vm and vs, inertia; pose and velocity after it."""
    pose, vm, vs, local = f.inputs("pose", 7), f.inputs("vm", 6), f.inputs("vs", 6), f.inputs("local", 9)
    h = f.input("zero + h")
    rotation, spin = Quaternion.of(pose[3:]), Vector.of(vs[3:])
    if spins:
        inertia = Matrix(tuple(local))
        turn = motion.free_turn(rotation.rotate_inverse(Vector.of(vm[3:])), inertia, h)
        after = (rotation * turn).normalized()
        spin = motion.carried(rotation, after, spin, inertia)
    else:
        after = (exp(Vector.of(vm[3:]) * h) * rotation).normalized()
    place = Vector.of(pose[:3]) + Vector.of(vm[:3]) * h
    return [*pose, *vm, *vs, *local], [*place.rows, *after.rows, *vs[:3], *spin.rows]


_LOAD = """
    for (int body = 0; body < bodies; ++body) {
        row pose[7], vm[6], vs[6], local[9];
        for (int i = 0; i < 7; ++i) pose[i] = of_worlds(body_q + 7 * body + i, body_q_stride);
        for (int i = 0; i < 6; ++i) vm[i] = of_worlds(body_vm + 6 * body + i, body_vm_stride);
        for (int i = 0; i < 6; ++i) vs[i] = of_worlds(body_vs + 6 * body + i, body_vs_stride);
        const bool spins = body_gyroscopic[body] != 0;
        if (spins) for (int i = 0; i < 9; ++i) local[i] = of_worlds(body_inertia + 9 * body + i, body_inertia_stride);
"""


@functools.cache
def integrate(motion: FreeMotion) -> str:
    """Text that writes the poses and velocities after a step."""
    branches = []
    for spins in (True, False):
        f = Formulas()
        _, out = step_formulas(motion, f, spins)
        branches.append(f.texts(out)[0] + assigned(f, "next", out))
    return f"""{FUNCTIONS}{_LOAD}
        row next[13];
        if (spins) {{
{branches[0]}
        }} else {{
{branches[1]}
        }}
        #pragma unroll
        for (int l = 0; l < LANES; ++l) {{
            if (first + l >= worlds) continue;
            TYPE *q = body_q1 + (first + l) * body_q1_stride, *v = body_v1 + (first + l) * body_v1_stride;
            for (int i = 0; i < 7; ++i) q[7 * body + i] = lane(next[i], l);
            for (int i = 0; i < 6; ++i) v[6 * body + i] = lane(next[7 + i], l);
        }}
    }}
"""


@functools.cache
def integrate_adjoint(motion: FreeMotion) -> str:
    """Text that adds the adjoints of a step's inputs to them."""
    branches = []
    for spins in (True, False):
        f = Formulas()
        inputs, out = step_formulas(motion, f, spins)
        bars = f.gradient([*zip(out, f.inputs("next_bar", 13), strict=True)], inputs)
        branches.append(f.texts(bars)[0] + assigned(f, "bar", bars))
    return f"""{FUNCTIONS}{_LOAD}
        row next_bar[13], bar[28];
        for (int i = 0; i < 7; ++i) next_bar[i] = of_worlds(bar_q1 + 7 * body + i, bar_q1_stride);
        for (int i = 0; i < 6; ++i) next_bar[7 + i] = of_worlds(bar_v1 + 6 * body + i, bar_v1_stride);
        if (spins) {{
{branches[0]}
        }} else {{
{branches[1]}
        }}
        #pragma unroll
        for (int l = 0; l < LANES; ++l) {{
            if (first + l >= worlds) continue;
            const long world = first + l;
            for (int i = 0; i < 7; ++i) bar_q[world * bar_q_stride + 7 * body + i] += lane(bar[i], l);
            for (int i = 0; i < 6; ++i) bar_vm[world * bar_vm_stride + 6 * body + i] += lane(bar[7 + i], l);
            for (int i = 0; i < 6; ++i) bar_vs[world * bar_vs_stride + 6 * body + i] += lane(bar[13 + i], l);
            if (spins)
                for (int i = 0; i < 9; ++i)
                    bar_inertia[world * bar_inertia_stride + 9 * body + i] += lane(bar[19 + i], l);
        }}
    }}
"""


@functools.cache
def solved(motion: FreeMotion) -> str:
    """Text that writes the velocities that the solve gave, from the poses before a step and the state after it."""
    f = Formulas()
    before, after, v1 = f.inputs("before", 4), f.inputs("after", 4), f.inputs("v1", 6)
    inertia = Matrix(tuple(f.inputs("local", 9)))
    spin = motion.carried(Quaternion.of(after), Quaternion.of(before), Vector.of(v1[3:]), inertia).rows
    return f"""
    for (int body = 0; body < bodies; ++body) {{
        row v1[6];
        for (int i = 0; i < 6; ++i) v1[i] = of_worlds(body_v1 + 6 * body + i, body_v1_stride);
        if (body_gyroscopic[body] != 0) {{
            row before[4], after[4], local[9];
            for (int i = 0; i < 4; ++i) before[i] = of_worlds(body_q + 7 * body + 3 + i, body_q_stride);
            for (int i = 0; i < 4; ++i) after[i] = of_worlds(body_q1 + 7 * body + 3 + i, body_q1_stride);
            for (int i = 0; i < 9; ++i) local[i] = of_worlds(body_inertia + 9 * body + i, body_inertia_stride);
{f.texts(spin)[0]}
            v1[3] = {f.name(spin[0])}, v1[4] = {f.name(spin[1])}, v1[5] = {f.name(spin[2])};
        }}
        #pragma unroll
        for (int l = 0; l < LANES; ++l)
            for (int i = 0; i < 6 && first + l < worlds; ++i)
                body_vs[(first + l) * body_vs_stride + 6 * body + i] = lane(v1[i], l);
    }}
"""
