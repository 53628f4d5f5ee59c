"""The contacts of an island along a step of Newton's method: the line search, and the impulses where it ends.

A contact's impulse depends on a dozen numbers. They are stored in rows, each row the same number of all contacts, so
that the CPU takes several contacts at a time; hence the native code. On a GPU it is a loop of one thread.

For hard contact without resistance Newton's method is the primal-dual one that Chan, Golub and Mulet found for the same
root (A nonlinear primal-dual method for total variation-based image restoration, SIAM J. Sci. Comput. 20, 1999). It
solves w s(ut) = ut, linearized, for each contact's friction w in parts of its limit, besides the velocities. Where w is
ut/s(ut) it is Newton's own; but that takes the friction of a sliding contact for constant, steps far beyond where it
sticks, and the line search takes an iteration for each contact that stops. Here w starts from zero, and all of them
stop at once.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion as dynamics
from ..contact import law, softened
from ..core.precision import precision

__all__ = ["CHANGE", "LINE_SEARCH_EVALUATIONS", "LINE_SEARCH_TOLERANCE", "MOTION", "law_rows", "make", "rows_of"]

LINE_SEARCH_TOLERANCE = 0.1
"""The slope of the energy along a step must fall to this part of its first value."""

LINE_SEARCH_EVALUATIONS = 20


MOTION = wp.constant(4)
"""First row of a relative velocity, the normal part."""

CHANGE = wp.constant(8)
"""First row of its change along the step."""

OTHER_ROWS = 9
"""Rows for what softening adds, or, of hard contact, normals and arms."""

FRICTION_ROWS = 3
"""Rows for the friction of hard contact on its way."""

TWIST_ROWS = 3
"""Rows for where that friction acts; see ``contact/face_friction.py``."""


def law_rows(resists: bool) -> int:
    """How many numbers a hard contact's impulse depends on, or is found with.

    a, b, mu, s0; the normal part of u, and the rest; the same of its change along the step; the normal impulse (a - b y
    where the contact does not act); friction over slip, for a unit of it. With resistance the same again of turning.
    """
    return 27 if resists else 14


def rows_of(resists: bool) -> int:
    """How many numbers a contact has.

    Softened, the law's are followed by beta and mode, and of a place along the step z, the rate of y, and what bends
    beside it; hard and without resistance by the normal, the arms (``contacts_simd.py``), w, friction on its
    way, and twists.
    """
    return law_rows(resists) + OTHER_ROWS + FRICTION_ROWS + TWIST_ROWS


_SLOPE = """
    TYPE* x = &wp::index(course, world, 0);
    const long n = stride;
    TYPE slope = 0;
    TYPE bend = 0;
    {
#ifndef __CUDACC__
#pragma clang fp reassociate(on)
#endif
        for (int c = 0; c < contacts; ++c) {
            const TYPE mu = x[2 * n + c];
            const TYPE d0 = x[9 * n + c], d1 = x[10 * n + c], d2 = x[11 * n + c];
            const TYPE u0 = x[5 * n + c] + alpha * d0, u1 = x[6 * n + c] + alpha * d1, u2 = x[7 * n + c] + alpha * d2;
            const TYPE s = sqrt(u0 * u0 + u1 * u1 + u2 * u2 + eps * eps);
            const TYPE s_rate = (u0 * d0 + u1 * d1 + u2 * d2) / s;
            TYPE y = x[4 * n + c] + alpha * x[8 * n + c] - mu * (s - x[3 * n + c]);
            TYPE rate = x[8 * n + c] - mu * s_rate;
            TYPE round = mu * (d0 * d0 + d1 * d1 + d2 * d2 - s_rate * s_rate) / s;
            const TYPE load_0 = x[12 * n + c] > 0 ? x[12 * n + c] : 0;
            TYPE rate_0 = x[8 * n + c] - x[13 * n + c] * (x[5 * n + c] * d0 + x[6 * n + c] * d1 + x[7 * n + c] * d2);
#if RESISTS
            const TYPE rolling = x[14 * n + c], torsional = x[15 * n + c], slow = x[16 * n + c];
            const TYPE e0 = x[22 * n + c], e1 = x[23 * n + c], e2 = x[24 * n + c];
            const TYPE w0 = x[18 * n + c] + alpha * e0;
            const TYPE w1 = x[19 * n + c] + alpha * e1;
            const TYPE w2 = x[20 * n + c] + alpha * e2;
            const TYPE r = sqrt(w0 * w0 + w1 * w1 + w2 * w2 + slow * slow);
            const TYPE r_rate = (w0 * e0 + w1 * e1 + w2 * e2) / r;
            const TYPE spin = x[17 * n + c] + alpha * x[21 * n + c];
            const TYPE t = sqrt(spin * spin + slow * slow);
            const TYPE t_rate = spin * x[21 * n + c] / t;
            y -= rolling * r + torsional * t;
            rate_0 -= x[25 * n + c] * (x[18 * n + c] * e0 + x[19 * n + c] * e1 + x[20 * n + c] * e2);
            rate_0 -= x[26 * n + c] * x[17 * n + c] * x[21 * n + c];
            rate -= rolling * r_rate + torsional * t_rate;
            round += rolling * (e0 * e0 + e1 * e1 + e2 * e2 - r_rate * r_rate) / r;
            round += torsional * (x[21 * n + c] * x[21 * n + c] - t_rate * t_rate) / t;
#endif
            const TYPE b = x[n + c];
            const TYPE z = x[c] - b * y;
#if SOFTENS
            x[(FIRST + 2) * n + c] = z;
            x[(FIRST + 3) * n + c] = rate;
            x[(FIRST + 4) * n + c] = round;
            slope += load_0 * rate_0;
#else
            const bool acts = z > 0;
            slope += load_0 * rate_0 - (acts ? z * rate : 0);
            bend += acts ? b * rate * rate + z * round : 0;
#endif
        }
    }
    return wp::vec_t<2, TYPE>(slope, bend);
"""

_ADVANCE = """
    TYPE* x = &wp::index(course, world, 0);
    const long n = stride;
    for (int c = 0; c < contacts; ++c) {
#if !RESISTS && !SOFTENS
        const TYPE* u = x + 5 * n + c;
        TYPE* w = x + FRICTION * n + c;
        if (alpha == 0) {
            w[0] = w[n] = w[2 * n] = 0;
        } else if (x[12 * n + c] > 0) {  // w s = ut to first order; |w| <= 1
            const TYPE* d = x + 9 * n + c;
            const TYPE per = 1 / sqrt(u[0] * u[0] + u[n] * u[n] + u[2 * n] * u[2 * n] + eps * eps);
            const TYPE rate = alpha * (u[0] * d[0] + u[n] * d[n] + u[2 * n] * d[2 * n]) * per * per;
            const TYPE w0 = (u[0] + alpha * d[0]) * per - w[0] * rate;
            const TYPE w1 = (u[n] + alpha * d[n]) * per - w[n] * rate;
            const TYPE w2 = (u[2 * n] + alpha * d[2 * n]) * per - w[2 * n] * rate;
            const TYPE size2 = w0 * w0 + w1 * w1 + w2 * w2;
            const TYPE fit = size2 > 1 ? 1 / sqrt(size2) : 1;
            w[0] = w0 * fit;
            w[n] = w1 * fit;
            w[2 * n] = w2 * fit;
        }
#endif
        for (int i = 4; i < 8; ++i)
            x[i * n + c] += alpha * x[(i + 4) * n + c];
        const TYPE u0 = x[5 * n + c], u1 = x[6 * n + c], u2 = x[7 * n + c];
        const TYPE s = sqrt(u0 * u0 + u1 * u1 + u2 * u2 + eps * eps);
        TYPE y = x[4 * n + c] - x[2 * n + c] * (s - x[3 * n + c]);
#if RESISTS
        for (int i = 17; i < 21; ++i)
            x[i * n + c] += alpha * x[(i + 4) * n + c];
        const TYPE slow = x[16 * n + c], spin = x[17 * n + c];
        const TYPE w0 = x[18 * n + c], w1 = x[19 * n + c], w2 = x[20 * n + c];
        const TYPE r = sqrt(w0 * w0 + w1 * w1 + w2 * w2 + slow * slow);
        const TYPE t = sqrt(spin * spin + slow * slow);
        y -= x[14 * n + c] * r + x[15 * n + c] * t;
#endif
        const TYPE z = x[c] - x[n + c] * y;
        x[12 * n + c] = z;
        x[13 * n + c] = x[2 * n + c] / s;
#if RESISTS
        x[25 * n + c] = x[14 * n + c] / r;
        x[26 * n + c] = x[15 * n + c] / t;
#endif
    }
"""


@functools.cache
def make(dtype: Any, resists: bool = False, softens: bool = False) -> SimpleNamespace:
    """The functions of an island's contacts for one precision and contact law. Forward only."""
    p = precision(dtype)
    vec2, vec3 = p.vec2, p.vec3
    contact_law, dyn = law.make(dtype, resists, softens), dynamics.make(dtype)
    function = softened.make_function(dtype)
    Motion, Coefficients = contact_law.Motion, contact_law.Coefficients

    plain = 7 if resists else 4  # coefficients of hard contact
    soft = law_rows(resists)  # the first row of what softening adds
    words = {
        "TYPE": "double" if dtype is wp.float64 else "float",
        "RESISTS": str(int(resists)),
        "SOFTENS": str(int(softens)),
        "FIRST": str(soft),
        "FRICTION": str(law_rows(resists) + OTHER_ROWS),
    }

    def native(code: str) -> str:
        for word, value in words.items():
            code = code.replace(word, value)
        return code

    @wp.func_native(native(_ADVANCE))
    def advance_hard(course: wp.array2d(dtype=dtype), world: int, stride: int, contacts: int, alpha: dtype, eps: dtype):
        """Take a step of length ``alpha``, and find the impulses of hard contact there; at 0, friction sets out."""
        ...

    @wp.func_native(native(_SLOPE))
    def contact_slope(
        course: wp.array2d(dtype=dtype), world: int, stride: int, contacts: int, alpha: dtype, eps: dtype
    ) -> vec2:
        """How the slope of the contacts' energy differs at ``alpha`` from that at 0, and its rate there [J].

        The difference is taken contact by contact: the slopes themselves are large and cancel against the momentum's,
        and near the solution their sum would be all rounding in single precision. Softened contacts leave theirs
        at ``alpha`` to the caller.
        """
        ...

    @wp.func
    def advance(course: wp.array2d(dtype=dtype), world: int, stride: int, contacts: int, alpha: dtype, eps: dtype):
        """Take a step of length ``alpha``, and find the impulses there."""
        advance_hard(course, world, stride, contacts, alpha, eps)
        if wp.static(softens):
            for c in range(contacts):
                z = course[world, 12 * stride + c]
                beta = course[world, soft * stride + c]
                mode = course[world, (soft + 1) * stride + c]
                excess = z + function.reach(mode) * beta
                if excess > dtype(0.0):
                    excess = function.load(z, beta, mode)
                course[world, 12 * stride + c] = excess

    @wp.func
    def slope_and_bend(
        course: wp.array2d(dtype=dtype), world: int, stride: int, contacts: int, alpha: dtype, eps: dtype
    ):
        """How the slope of the contacts' energy differs at ``alpha`` from that at 0, and its rate there [J]."""
        found = contact_slope(course, world, stride, contacts, alpha, eps)
        if wp.static(softens):
            for c in range(contacts):
                beta = course[world, soft * stride + c]
                mode = course[world, (soft + 1) * stride + c]
                z = course[world, (soft + 2) * stride + c]
                rate = course[world, (soft + 3) * stride + c]
                load = function.load(z, beta, mode)
                stiff = function.slope(z, beta, mode) * course[world, stride + c]
                found[0] = found[0] - load * rate
                found[1] = found[1] + stiff * rate * rate + load * course[world, (soft + 4) * stride + c]
        return found

    @wp.func
    def put_vector(course: wp.array2d(dtype=dtype), world: int, at: int, stride: int, x: vec3):
        course[world, at] = x[0]
        course[world, at + stride] = x[1]
        course[world, at + 2 * stride] = x[2]

    @wp.func
    def same(u: Motion):
        return u

    linear = dyn.linear if resists else same  # part of a motion

    @wp.func
    def put_motion(course: wp.array2d(dtype=dtype), world: int, c: int, stride: int, first: int, n: vec3, u: Motion):
        """Store a motion from row ``first`` on."""
        if wp.static(resists):
            w = dyn.angular(u)
            about = wp.dot(n, w)
            course[world, (first + 13) * stride + c] = about
            put_vector(course, world, (first + 14) * stride + c, stride, w - n * about)
        along = contact_law.normal_part(u, n)
        course[world, first * stride + c] = along
        put_vector(course, world, (first + 1) * stride + c, stride, linear(u) - n * along)

    @wp.func
    def put(course: wp.array2d(dtype=dtype), world: int, c: int, stride: int, n: vec3, q: Coefficients, u: Motion):
        """Store contact ``c`` at the motion ``u``, at rest along the step."""
        for i in range(4):
            course[world, i * stride + c] = q[i]
        if wp.static(resists):
            for i in range(3):
                course[world, (14 + i) * stride + c] = q[4 + i]
        if wp.static(softens):
            for i in range(2):
                course[world, (soft + i) * stride + c] = q[plain + i]
        put_motion(course, world, c, stride, MOTION, n, u)
        put_motion(course, world, c, stride, CHANGE, n, Motion())

    @wp.func
    def put_law(course: wp.array2d(dtype=dtype), world: int, c: int, stride: int, q: Coefficients):
        """Store the coefficients of hard contact ``c``, at rest along the step."""
        for i in range(4):
            course[world, i * stride + c] = q[i]
            course[world, (CHANGE + i) * stride + c] = dtype(0.0)

    @wp.func
    def put_change(course: wp.array2d(dtype=dtype), world: int, c: int, stride: int, n: vec3, change: Motion):
        """Store what a step of length 1 adds to the motion of contact ``c``."""
        put_motion(course, world, c, stride, CHANGE, n, change)

    @wp.func
    def vector_at(course: wp.array2d(dtype=dtype), world: int, at: int, stride: int):
        return vec3(course[world, at], course[world, at + stride], course[world, at + 2 * stride])

    @wp.func
    def acts(course: wp.array2d(dtype=dtype), world: int, c: int, stride: int):
        """Whether contact ``c`` acts where the last step ended."""
        return course[world, 12 * stride + c] > dtype(0.0)

    @wp.func
    def motion(course: wp.array2d(dtype=dtype), world: int, c: int, stride: int, n: vec3):
        """Relative motion of contact ``c``."""
        u = n * course[world, 4 * stride + c] + vector_at(course, world, 5 * stride + c, stride)
        if wp.static(resists):
            w = n * course[world, 17 * stride + c] + vector_at(course, world, 18 * stride + c, stride)
            return dyn.join(u, w)
        else:
            return u

    @wp.func
    def impulse(course: wp.array2d(dtype=dtype), world: int, c: int, stride: int, n: vec3):
        """Impulse of contact ``c``, which acts."""
        load = course[world, 12 * stride + c]
        push = (n - vector_at(course, world, 5 * stride + c, stride) * course[world, 13 * stride + c]) * load
        if wp.static(resists):
            moment = vector_at(course, world, 18 * stride + c, stride) * course[world, 25 * stride + c]
            moment += n * (course[world, 17 * stride + c] * course[world, 26 * stride + c])
            return dyn.join(push, moment * -load)
        else:
            return push

    @wp.func
    def search(
        course: wp.array2d(dtype=dtype), world: int, stride: int, contacts: int, eps: dtype, slope_0: dtype,
        curve: dtype,
    ):  # fmt: skip
        """Length of the step at which the energy's slope is small; see ``dense.py``.

        ``slope_0`` is the slope at zero; ``curve`` is the curvature of all but contacts.
        """
        alpha = dtype(1.0)
        low = dtype(0.0)
        high = dtype(-1.0)  # none yet
        evaluation = int(0)
        searching = int(1)
        while searching == 1:
            of_contacts = slope_and_bend(course, world, stride, contacts, alpha, eps)
            slope = slope_0 + alpha * curve + of_contacts[0]
            evaluation += 1
            if wp.abs(slope) <= dtype(LINE_SEARCH_TOLERANCE) * wp.abs(slope_0):
                searching = 0
            elif evaluation >= LINE_SEARCH_EVALUATIONS:
                searching = 0
            else:
                if slope < dtype(0.0):
                    low = alpha
                else:
                    high = alpha
                trial = alpha - slope / (curve + of_contacts[1])
                if evaluation == 1:  # no curvature there yet: secant with the slope at zero
                    trial = alpha * slope_0 / (slope_0 - slope)
                    if slope < dtype(0.0):
                        trial = wp.min(wp.max(trial, dtype(1.5)), dtype(4.0))
                if high < dtype(0.0):
                    if trial <= low:
                        trial = low * dtype(2.0)
                elif trial <= low or trial >= high:
                    trial = dtype(0.5) * (low + high)
                alpha = trial
        return alpha

    return SimpleNamespace(
        put=put,
        put_law=put_law,
        put_change=put_change,
        advance=advance,
        acts=acts,
        motion=motion,
        impulse=impulse,
        slope_and_bend=slope_and_bend,
        search=search,
    )
