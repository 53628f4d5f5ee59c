"""Softened contact: the law of ``hard.py`` with an impulse that acts before the shapes touch.

The normal impulse max(z, 0) gives way to p(z) = beta f(z / beta), with beta = h k width [N s] the impulse of hard
contact at a depth of ``width`` [m]:

    softplus      f(t) = log(1 + exp(t))              the mean of max(t + e, 0) over logistic noise e of scale 1
    log_barrier   f(t) = (t + sqrt(t^2 + 2)) / 2      the same over Student-t noise of 2 degrees of freedom, scale 1

The second is the impulse of min (x - u)^2/2 - log(x)/kappa for sqrt(2/kappa) = beta (see ``docs/contact.md``). So
``width`` is for both the scale of the noise on the gap whose mean the softened impulse is. From t = -REACH/2 down to
-REACH the impulse is faded out by a smooth step, so that it is zero before the contact leaves the list; p stays
non-decreasing, so the energy stays convex. Its potential P is never needed: the line search looks at slopes.

With SLOPES added to its mode, a contact has the impulse of hard contact, but the softened derivative by z, and none by
beta: for the backward pass over a forward pass with hard contact.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..core.precision import precision

__all__ = ["MODES", "REACH", "SLOPES", "make", "make_function"]

REACH = {"softplus": 24.0, "log_barrier": 200.0}
"""Gap in widths at which the impulse is zero. It fades from half of that, where it is 6e-6 and 5e-3 of beta."""

MODES = {"softplus": 0.0, "log_barrier": 1.0}
"""The last coefficient of a contact, which tells its function: numbers, so that one compiled kernel does for all."""

SLOPES = 2.0


@functools.cache
def make_function(dtype: Any) -> SimpleNamespace:
    """``load``, ``slope`` and ``reach``: p(z), p'(z) and -z/beta where p ends; where beta is zero, of hard contact."""
    softplus_reach, barrier_reach = REACH["softplus"], REACH["log_barrier"]
    series_below = 0.1
    c3, c5, c7, c9, c11, c13 = (1.0 / n for n in (3, 5, 7, 9, 11, 13))

    @wp.func
    def is_barrier(mode: dtype):
        return mode == dtype(1.0) or mode == dtype(3.0)

    @wp.func
    def reach(mode: dtype):
        """Gap in widths at which the impulse is zero."""
        result = dtype(softplus_reach)
        if is_barrier(mode):
            result = dtype(barrier_reach)
        return result

    @wp.func
    def log1p(x: dtype):
        """Log of 1 + x for x in [0, 1], to rounding: by the series of atanh where 1 + x would lose digits."""
        result = wp.log(dtype(1.0) + x)
        if x < dtype(series_below):
            s = x / (dtype(2.0) + x)
            s2 = s * s
            terms = dtype(c11) + s2 * dtype(c13)
            terms = dtype(c7) + s2 * (dtype(c9) + s2 * terms)
            terms = dtype(c3) + s2 * (dtype(c5) + s2 * terms)
            result = dtype(2.0) * s * (dtype(1.0) + s2 * terms)
        return result

    @wp.func
    def softplus(t: dtype):
        """f, f' and f - t f', to rounding in both tails."""
        size = wp.abs(t)
        x = wp.exp(-size)
        tail = log1p(x)
        slope = x / (dtype(1.0) + x)  # of -|t|
        rest = tail + size * slope
        value = tail
        if t > dtype(0.0):
            value = t + tail
            slope = dtype(1.0) / (dtype(1.0) + x)
        return value, slope, rest

    @wp.func
    def log_barrier(t: dtype):
        """f, f' and f - t f', to rounding in both tails."""
        r = wp.sqrt(t * t + dtype(2.0))
        value = dtype(0.5) * (t + r)
        if t < dtype(0.0):
            value = dtype(1.0) / (r - t)
        return value, value / r, dtype(1.0) / r

    @wp.func
    def faded(t: dtype, mode: dtype):
        """f, f' and f - t f' with the fade."""
        value, slope, rest = softplus(t)
        if is_barrier(mode):
            value, slope, rest = log_barrier(t)
        ends = reach(mode)
        s = dtype(2.0) * (t / ends + dtype(1.0))
        if s <= dtype(0.0):
            value = dtype(0.0)
            slope = dtype(0.0)
            rest = dtype(0.0)
        elif s < dtype(1.0):
            step = s * s * (dtype(3.0) - dtype(2.0) * s)
            rise = dtype(12.0) / ends * s * (dtype(1.0) - s)
            rest = rest * step - t * value * rise
            slope = slope * step + value * rise
            value = value * step
        return value, slope, rest

    @wp.func
    def load(z: dtype, beta: dtype, mode: dtype):
        """Normal impulse [N s]."""
        result = wp.max(z, dtype(0.0))
        if beta > dtype(0.0) and mode < dtype(SLOPES):
            value, _slope, _rest = faded(z / beta, mode)
            result = value * beta
        return result

    @wp.func
    def slope(z: dtype, beta: dtype, mode: dtype):
        """Its derivative by z."""
        result = dtype(0.0)
        if beta > dtype(0.0):
            _value, result, _rest = faded(z / beta, mode)
        elif z > dtype(0.0):
            result = dtype(1.0)
        return result

    @wp.func
    def slope_by_beta(z: dtype, beta: dtype, mode: dtype):
        result = dtype(0.0)
        if beta > dtype(0.0) and mode < dtype(SLOPES):
            _value, _slope, result = faded(z / beta, mode)
        return result

    @wp.func_grad(load)
    def adj_load(z: dtype, beta: dtype, mode: dtype, adj_ret: dtype):
        wp.adjoint[z] += slope(z, beta, mode) * adj_ret
        wp.adjoint[beta] += slope_by_beta(z, beta, mode) * adj_ret

    return SimpleNamespace(load=load, slope=slope, reach=reach)


def make(dtype: Any, hard: Any, resists: bool) -> SimpleNamespace:
    """The functions of ``law.make`` for softened contact, over those of ``hard`` contact.

    Coefficients have two more entries, beta and mode. ``excess`` is, as for hard contact, the normal impulse where that
    is positive, else negative: what it lacks to act. (With SLOPES, it is positive where the slope is.)
    """
    p = precision(dtype)
    vec2, vec3, vec4, spatial = p.vec2, p.vec3, p.vec4, p.spatial
    Motion, Plain = hard.Motion, hard.Coefficients
    function = make_function(dtype)
    vec6 = wp.types.vector(6, dtype)
    number = 7 if resists else 4
    Coefficients = wp.types.vector(number + 2, dtype)

    @wp.func
    def softened(pair: vec6, of_a: vec2, of_b: vec2):
        """Coefficients of ``contact_rows.row`` with beta and mode, for the greater of two shapes' widths."""
        of = of_a
        if of_b[0] > of_a[0]:
            of = of_b
        return vec6(pair[0], pair[1], pair[2], pair[3], pair[4] * of[0], of[1])

    @wp.func
    def plain(q: Coefficients):
        """Coefficients of hard contact."""
        if wp.static(resists):
            result = Plain(q[0], q[1], q[2], q[3], q[4], q[5], q[6])
        else:
            result = Plain(q[0], q[1], q[2], q[3])
        return result

    @wp.func
    def full(
        pair: vec6, n: vec3, world: int, sa: int, sb: int, a: int, b: int, body_v0: wp.array2d(dtype=spatial),
        rolling: wp.array2d(dtype=dtype), torsional: wp.array2d(dtype=dtype), angular_eps: dtype,
    ):  # fmt: skip
        q = hard.full(
            vec4(pair[0], pair[1], pair[2], pair[3]), n, world, sa, sb, a, b, body_v0, rolling, torsional, angular_eps
        )
        if wp.static(resists):
            result = Coefficients(q[0], q[1], q[2], q[3], q[4], q[5], q[6], pair[4], pair[5])
        else:
            result = Coefficients(q[0], q[1], q[2], q[3], pair[4], pair[5])
        return result

    @wp.func
    def extended(k: Plain, beta: dtype, mode: dtype):
        """Coefficients of softened contact from those of hard contact."""
        if wp.static(resists):
            result = Coefficients(k[0], k[1], k[2], k[3], k[4], k[5], k[6], beta, mode)
        else:
            result = Coefficients(k[0], k[1], k[2], k[3], beta, mode)
        return result

    @wp.func
    def held(
        q: vec4, world: int, sa: int, sb: int, rolling: wp.array2d(dtype=dtype), torsional: wp.array2d(dtype=dtype),
        angular_eps: dtype, scale: dtype,
    ):  # fmt: skip
        """As that of hard contact, which a constant normal impulse stays."""
        return extended(hard.held(q, world, sa, sb, rolling, torsional, angular_eps, scale), dtype(0.0), dtype(0.0))

    @wp.func
    def drag(u: Motion, n: vec3, q: Coefficients, eps: dtype):
        return hard.drag(u, n, plain(q), eps)

    @wp.func
    def ahead(q: Coefficients, u0: Motion, n: vec3):
        return hard.ahead(plain(q), u0, n)

    @wp.func
    def lessened(q: Coefficients, u0: Motion, n: vec3, part: dtype):
        return extended(hard.lessened(plain(q), u0, n, part), q[number], q[number + 1])

    @wp.func
    def resumed(q: Coefficients, u0: Motion, u1: Motion, n: vec3, part: dtype, eps: dtype):
        return extended(hard.resumed(plain(q), u0, u1, n, part, eps), q[number], q[number + 1])

    @wp.func
    def excess(u: Motion, n: vec3, q: Coefficients, eps: dtype):
        z = hard.excess(u, n, plain(q), eps)
        beta = q[number]
        mode = q[number + 1]
        result = z + function.reach(mode) * beta
        if result > dtype(0.0) and mode < dtype(SLOPES):
            result = function.load(z, beta, mode)
        return result

    @wp.func
    def slope(u: Motion, n: vec3, q: Coefficients, eps: dtype):
        """Derivative of the normal impulse by z."""
        return function.slope(hard.excess(u, n, plain(q), eps), q[number], q[number + 1])

    @wp.func
    def impulse(u: Motion, n: vec3, q: Coefficients, eps: dtype):
        k = plain(q)
        return hard.direction(u, n, k, eps) * function.load(hard.excess(u, n, k, eps), q[number], q[number + 1])

    @wp.func
    def curvature(u: Motion, n: vec3, q: Coefficients, eps: dtype):
        """Second derivative of the contact's energy by its motion: that of hard contact with other a and b."""
        k = plain(q)
        z = hard.excess(u, n, k, eps)
        stiff = function.slope(z, q[number], q[number + 1])
        # a' - b' y is the impulse, for b' = p' b; y = (a - z) / b
        k[0] = function.load(z, q[number], q[number + 1]) + stiff * (q[0] - z)
        k[1] = stiff * q[1]
        return hard.curvature(u, n, k, eps)

    functions = vars(hard) | {
        "Coefficients": Coefficients, "softened": softened, "full": full, "excess": excess, "slope": slope,
        "held": held, "drag": drag, "ahead": ahead, "lessened": lessened, "resumed": resumed, "impulse": impulse,
        "curvature": curvature,
    }  # fmt: skip
    if resists:

        @wp.func
        def resisted(w: vec3, n: vec3, q: Coefficients):
            return hard.resisted(w, n, plain(q))

        functions["resisted"] = resisted
    return SimpleNamespace(**functions)
