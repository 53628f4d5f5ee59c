"""When a contact closes on the paths of its two bodies: gap and its rate at any time of a step, and their root."""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from . import contacts, paths, struck
from .round_arrays import Path

__all__ = ["make", "motion_of"]

TOUCHING = 1.0e-9
"""Gap up to which contacts close at one time, at least [m]."""

NEWTON = 64
"""Evaluations of the gap in search of its root, at most: its rate is that between the last two.

Most roots take 3 or 4. Eight were too few for those where the end of a spinning body hardly reaches the other: the time
was off by up to 1e-7 of a step, and its derivative by up to 1e-4 of itself."""

CLOSED = 1.0e-14
"""Gap [m] that is zero but for rounding, at least."""

CLOSED_UNITS, TOUCHING_UNITS = 4.0, 4.0
"""Gaps that are zero, and that close at one time, in units of the rounding of a gap."""

NO_PART = 1.0e-6
"""Share of a contact in the stiffness of its pair [1] up to which it has no impact: another one has the pair's."""


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """``Motion``, ``at``, ``event``, ``reach``, ``takes_part`` and ``touches`` for one precision. Forward only."""
    p = precision(dtype)
    vec3, mat33, spatial, transform = p.vec3, p.mat33, p.spatial, p.transform
    geo, dyn, path, close = contacts.make(dtype), motion.make(dtype), paths.make(dtype), struck.make(dtype)
    FeatureTable = geo.FeatureTable
    late = 1.0 + 8.0 * p.epsilon if dtype is wp.float32 else 1.0 + 1.0e-12
    small = 256.0 * p.epsilon if dtype is wp.float64 else 4.0 * p.epsilon

    @wp.struct
    class Motion:
        """Paths of all bodies, and whose shapes are whose."""

        body: wp.array(dtype=wp.int32)  # of a shape
        gyroscopic: wp.array(dtype=wp.int32)
        inertia: wp.array2d(dtype=mat33)
        pose: wp.array2d(dtype=transform)
        mean: wp.array2d(dtype=spatial)
        pull: wp.array2d(dtype=vec3)
        start: wp.array2d(dtype=dtype)

    @wp.func
    def state(world: int, body: int, t: dtype, m: Motion, h: dtype):
        at = wp.transform_identity(dtype=dtype)
        v = spatial()
        if body >= 0:
            at, v = path.along(
                m.gyroscopic[body], m.inertia[world, body], m.pose[world, body], m.mean[world, body],
                m.pull[world, body], m.start[world, body], t, t, h,
            )  # fmt: skip
        return at, v

    @wp.func
    def at(world: int, c: int, a: int, b: int, t: dtype, f: FeatureTable, m: Motion, h: dtype):
        """Gap of a contact [m], its rate [m/s], that of its rate [m/s^2] but for what turns, and its rounding [m]."""
        xa, va = state(world, a, t, m, h)
        xb, vb = state(world, b, t, m, h)
        gap, n, point = geo.locate(world, c, xa, xb, f)
        ra = point - wp.transform_get_translation(xa)
        rb = point - wp.transform_get_translation(xb)
        u = dyn.linear(vb) + wp.cross(dyn.angular(vb), rb) - dyn.linear(va) - wp.cross(dyn.angular(va), ra)
        pull = vec3()
        if b >= 0:
            pull += m.pull[world, b]
        if a >= 0:
            pull -= m.pull[world, a]
        return gap, wp.dot(n, u), wp.dot(n, pull), geo.rounding(point, ra, rb, u, h)

    @wp.func
    def takes_part(world: int, c: int, a: int, b: int, t: dtype, f: FeatureTable, m: Motion, h: dtype):
        """Whether a contact has a part in the stiffness of its pair at a time: the corners of a polygon may have none.

        The gap of such a contact says nothing of the distance of its shapes.
        """
        xa, _va = state(world, a, t, m, h)
        xb, _vb = state(world, b, t, m, h)
        return geo.part_of(world, c, xa, xb, f) > dtype(NO_PART)

    @wp.func
    def touches(rounding: dtype):
        """Gap up to which contacts close at one time [m], by the rounding of a gap [m]."""
        return wp.max(dtype(TOUCHING), dtype(TOUCHING_UNITS) * rounding)

    @wp.func
    def closing(world: int, c: int, a: int, b: int, f: FeatureTable, m: Motion, h: dtype):
        """Time at which the gap of a contact closes next in this step [s]; infinity for never."""
        t = dtype(0.0)
        if a >= 0:
            t = wp.max(t, m.start[world, a])
        if b >= 0:
            t = wp.max(t, m.start[world, b])
        gap, u, pull, rounding = at(world, c, a, b, t, f, m, h)
        same = touches(rounding)
        zero = wp.max(dtype(CLOSED), dtype(CLOSED_UNITS) * rounding)
        result = dtype(wp.inf)
        looking = int(1)  # 0: found, 2: not
        first = t  # guess of the time at which one that leaves is back, where it is
        least = t
        if gap <= dtype(0.1) * same and u >= dtype(0.0):  # leaves; comes back if pulled
            s = close.root(wp.max(gap, dtype(0.0)), u, pull)
            if s > dtype(0.0) and t + s <= h:
                first = t + s
                least = t + dtype(0.1) * s
                t = first
                gap, u, pull, _rounding = at(world, c, a, b, t, f, m, h)
            else:
                looking = 2
        elif gap <= -same:
            if u < dtype(0.0):
                result = t
            looking = 2
        # a contact that closed a rounding before the start of the step closes before it, or its derivative is lost
        for _i in range(NEWTON):
            if looking == 1:
                s = close.root(gap, u, pull)
                if s == dtype(-wp.inf) or t + s > h * dtype(late):
                    looking = 2
                else:
                    before = t
                    t += s
                    if wp.abs(t - before) <= dtype(small) * h:
                        looking = int(0)
                    else:
                        old = gap
                        gap, u, pull, _rounding = at(world, c, a, b, t, f, m, h)
                        # corners of a face slide along edges, so that the gap changes by more than their motion
                        slope = (gap - old) / s + dtype(0.5) * pull * s
                        if wp.abs(gap) <= zero:  # the slope would be that of rounding
                            rate = u + pull * s
                            if rate < dtype(0.0):
                                t -= gap / rate
                            looking = int(0)
                        elif slope >= dtype(0.0) and gap > dtype(0.0):
                            looking = 2
                        else:
                            u = slope
        if looking != 2:
            result = wp.min(t, h)
            if t < least:  # the search went back to where it left
                result = first
        return result

    @wp.func
    def event(world: int, c: int, a: int, b: int, f: FeatureTable, m: Motion, h: dtype):
        """Time of the next event of a contact in this step [s]; infinity for none."""
        t = closing(world, c, a, b, f, m, h)
        if t < dtype(wp.inf):
            if not takes_part(world, c, a, b, t, f, m, h):
                t = dtype(wp.inf)
        return t

    @wp.func
    def reach(world: int, a: int, b: int, m: Motion):
        """Speed by which bodies of a cluster that is taken all at once may come near [m/s]."""
        speed = dtype(0.0)
        if a >= 0:
            speed = wp.max(speed, wp.length(dyn.linear(m.mean[world, a])))
        if b >= 0:
            speed = wp.max(speed, wp.length(dyn.linear(m.mean[world, b])))
        return dtype(2.0) * speed

    return SimpleNamespace(
        Motion=Motion, at=at, event=event, reach=reach, takes_part=takes_part, touches=touches
    )  # fmt: skip


def motion_of(dtype: Any, model: ModelArrays, path: Path, k: int) -> Any:
    """The kernel argument that stands for the paths before a round (0) or after it (1)."""
    m = make(dtype).Motion()
    m.body, m.gyroscopic, m.inertia = model.shape_body, model.body_gyroscopic, model.body_inertia
    m.pose, m.mean, m.pull, m.start = path.pose[k], path.mean[k], path.pull[k], path.start[k]
    return m
