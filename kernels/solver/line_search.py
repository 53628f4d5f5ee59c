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
from ..core import simd
from ..core.precision import precision
from .search_data import numbered, row_number

__all__ = ["LINE_SEARCH_EVALUATIONS", "LINE_SEARCH_TOLERANCE", "SECOND_LEAST", "SECOND_MOST", "make"]

LINE_SEARCH_TOLERANCE = 0.1
"""The slope of the energy along a step must fall to this part of its first value."""

LINE_SEARCH_EVALUATIONS = 20
"""Slopes taken at most."""

SECOND_LEAST, SECOND_MOST = 1.5, 4.0
"""Range of the second length tried, in Newton steps, where the energy still falls at the first's end."""


_B, _S0, _NORMAL_SPEED, _SLIP, _NORMAL_CHANGE, _LOAD, _DRAG, _ROLLING, _SPIN, _ROLL, _ROLL_DRAG, _SPIN_DRAG = (
    wp.constant(row_number(name))
    for name in (
        "B", "S0", "NORMAL_SPEED", "SLIP", "NORMAL_CHANGE", "LOAD", "DRAG", "ROLLING", "SPIN", "ROLL", "ROLL_DRAG",
        "SPIN_DRAG",
    )
)  # fmt: skip
_ANGULAR = wp.constant(row_number("SPIN") - row_number("NORMAL_SPEED"))
"""Rows from a part of a motion to the like part of its turning."""

_SLOPE = """
    TYPE* x = &wp::index(search_data, world, 0);
    const long n = stride;
    TYPE slope = 0;
    TYPE bend = 0;
    {
#ifndef __CUDACC__
#pragma clang fp reassociate(on)
#endif
        for (int c = 0; c < contacts; ++c) {
            const TYPE mu = x[ROW_MU * n + c];
            const TYPE* u = x + ROW_SLIP * n + c;
            const TYPE* d = x + ROW_SLIP_CHANGE * n + c;
            const TYPE d0 = d[0], d1 = d[n], d2 = d[2 * n];
            const TYPE u0 = u[0] + alpha * d0, u1 = u[n] + alpha * d1, u2 = u[2 * n] + alpha * d2;
            const TYPE s = sqrt(u0 * u0 + u1 * u1 + u2 * u2 + eps * eps);
            const TYPE s_rate = (u0 * d0 + u1 * d1 + u2 * d2) / s;
            TYPE y = x[ROW_NORMAL_SPEED * n + c] + alpha * x[ROW_NORMAL_CHANGE * n + c] - mu * (s - x[ROW_S0 * n + c]);
            TYPE rate = x[ROW_NORMAL_CHANGE * n + c] - mu * s_rate;
            TYPE round = mu * (d0 * d0 + d1 * d1 + d2 * d2 - s_rate * s_rate) / s;
            const TYPE load_0 = x[ROW_LOAD * n + c] > 0 ? x[ROW_LOAD * n + c] : 0;
            TYPE rate_0 = x[ROW_NORMAL_CHANGE * n + c];
            rate_0 -= x[ROW_DRAG * n + c] * (u[0] * d0 + u[n] * d1 + u[2 * n] * d2);
#if RESISTS
            const TYPE rolling = x[ROW_ROLLING * n + c], torsional = x[ROW_TORSIONAL * n + c];
            const TYPE slow = x[ROW_SLOW * n + c];
            const TYPE* w = x + ROW_ROLL * n + c;
            const TYPE* e = x + ROW_ROLL_CHANGE * n + c;
            const TYPE e0 = e[0], e1 = e[n], e2 = e[2 * n];
            const TYPE w0 = w[0] + alpha * e0, w1 = w[n] + alpha * e1, w2 = w[2 * n] + alpha * e2;
            const TYPE r = sqrt(w0 * w0 + w1 * w1 + w2 * w2 + slow * slow);
            const TYPE r_rate = (w0 * e0 + w1 * e1 + w2 * e2) / r;
            const TYPE spin = x[ROW_SPIN * n + c] + alpha * x[ROW_SPIN_CHANGE * n + c];
            const TYPE t = sqrt(spin * spin + slow * slow);
            const TYPE t_rate = spin * x[ROW_SPIN_CHANGE * n + c] / t;
            y -= rolling * r + torsional * t;
            rate_0 -= x[ROW_ROLL_DRAG * n + c] * (w[0] * e0 + w[n] * e1 + w[2 * n] * e2);
            rate_0 -= x[ROW_SPIN_DRAG * n + c] * x[ROW_SPIN * n + c] * x[ROW_SPIN_CHANGE * n + c];
            rate -= rolling * r_rate + torsional * t_rate;
            round += rolling * (e0 * e0 + e1 * e1 + e2 * e2 - r_rate * r_rate) / r;
            round += torsional * (x[ROW_SPIN_CHANGE * n + c] * x[ROW_SPIN_CHANGE * n + c] - t_rate * t_rate) / t;
#endif
            const TYPE b = x[ROW_B * n + c];
            const TYPE z = x[ROW_A * n + c] - b * y;
#if SOFTENS
            x[ROW_EXCESS * n + c] = z;
            x[ROW_RATE * n + c] = rate;
            x[ROW_BEND * n + c] = round;
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

_ADVANCE_LANES = """
    TYPE* x = &wp::index(search_data, world, 0);
    const long n = stride;
    const TYPE unit = 1;
    auto save = [&](int i, int c, row value) {
        TYPE* z = x + i * n + c;
        if (c + lanes <= n)
            put(z, value);
        else
            for (int l = 0; l < n - c; ++l)
                z[l] = lane(value, l);
    };
    for (int c = 0; c < contacts; c += lanes) {
        const TYPE* y = x + c;
        row u[4], d[4];
        for (int i = 0; i < 4; ++i) {
            u[i] = load(y + (ROW_NORMAL_SPEED + i) * n);
            d[i] = load(y + (ROW_NORMAL_CHANGE + i) * n);
        }
        if (alpha == 0) {
            for (int k = 0; k < 3; ++k) save(ROW_FRICTION + k, c, row {});
        } else {  // w s = ut to first order; |w| <= 1
            const irow acts = load(y + ROW_LOAD * n) > (TYPE)0;
            const row per = unit / root(u[1] * u[1] + u[2] * u[2] + u[3] * u[3] + eps * eps);
            const row rate = alpha * (u[1] * d[1] + u[2] * d[2] + u[3] * d[3]) * per * per;
            row w[3], moved[3];
            for (int k = 0; k < 3; ++k) {
                w[k] = load(y + (ROW_FRICTION + k) * n);
                moved[k] = (u[k + 1] + alpha * d[k + 1]) * per - w[k] * rate;
            }
            row size2 = moved[0] * moved[0] + moved[1] * moved[1] + moved[2] * moved[2];
            size2 = size2 > unit ? size2 : row {} + unit;
            const row fit = unit / root(size2);
            for (int k = 0; k < 3; ++k) save(ROW_FRICTION + k, c, acts ? moved[k] * fit : w[k]);
        }
        for (int i = 0; i < 4; ++i) {
            u[i] += alpha * d[i];
            save(ROW_NORMAL_SPEED + i, c, u[i]);
        }
        const row mu = load(y + ROW_MU * n);
        const row s = root(u[1] * u[1] + u[2] * u[2] + u[3] * u[3] + eps * eps);
        save(ROW_LOAD, c, load(y + ROW_A * n) - load(y + ROW_B * n) * (u[0] - mu * (s - load(y + ROW_S0 * n))));
        save(ROW_DRAG, c, mu / s);
    }
"""
"""That of hard contact without resistance, eight contacts at a time; other laws have the scalar one."""

_ADVANCE = """
    TYPE* x = &wp::index(search_data, world, 0);
    const long n = stride;
    for (int c = 0; c < contacts; ++c) {
        for (int i = 0; i < 4; ++i)
            x[(ROW_NORMAL_SPEED + i) * n + c] += alpha * x[(ROW_NORMAL_CHANGE + i) * n + c];
        const TYPE u0 = x[ROW_SLIP * n + c], u1 = x[(ROW_SLIP + 1) * n + c], u2 = x[(ROW_SLIP + 2) * n + c];
        const TYPE s = sqrt(u0 * u0 + u1 * u1 + u2 * u2 + eps * eps);
        TYPE y = x[ROW_NORMAL_SPEED * n + c] - x[ROW_MU * n + c] * (s - x[ROW_S0 * n + c]);
#if RESISTS
        for (int i = 0; i < 4; ++i)
            x[(ROW_SPIN + i) * n + c] += alpha * x[(ROW_SPIN_CHANGE + i) * n + c];
        const TYPE slow = x[ROW_SLOW * n + c], spin = x[ROW_SPIN * n + c];
        const TYPE w0 = x[ROW_ROLL * n + c], w1 = x[(ROW_ROLL + 1) * n + c], w2 = x[(ROW_ROLL + 2) * n + c];
        const TYPE r = sqrt(w0 * w0 + w1 * w1 + w2 * w2 + slow * slow);
        const TYPE t = sqrt(spin * spin + slow * slow);
        y -= x[ROW_ROLLING * n + c] * r + x[ROW_TORSIONAL * n + c] * t;
#endif
        const TYPE z = x[ROW_A * n + c] - x[ROW_B * n + c] * y;
        x[ROW_LOAD * n + c] = z;
        x[ROW_DRAG * n + c] = x[ROW_MU * n + c] / s;
#if RESISTS
        x[ROW_ROLL_DRAG * n + c] = x[ROW_ROLLING * n + c] / r;
        x[ROW_SPIN_DRAG * n + c] = x[ROW_TORSIONAL * n + c] / t;
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
    beta_row, mode_row, excess_row, rate_row, bend_row = (
        row_number(name, resists) for name in ("BETA", "MODE", "EXCESS", "RATE", "BEND")
    )
    words = {
        "TYPE": "double" if dtype is wp.float64 else "float",
        "RESISTS": str(int(resists)),
        "SOFTENS": str(int(softens)),
    }

    def native(code: str) -> str:
        for word, value in words.items():
            code = code.replace(word, value)
        return numbered(code, resists)

    in_lanes = not resists and not softens

    @wp.func_native(native(simd.native(dtype, _ADVANCE_LANES) if in_lanes else _ADVANCE))
    def advance_hard(
        search_data: wp.array2d(dtype=dtype), world: int, stride: int, contacts: int, alpha: dtype, eps: dtype
    ):
        """Take a step of length ``alpha``, and find the impulses of hard contact there; at 0, friction sets out."""
        ...

    @wp.func_native(native(_SLOPE))
    def contact_slope(
        search_data: wp.array2d(dtype=dtype), world: int, stride: int, contacts: int, alpha: dtype, eps: dtype
    ) -> vec2:
        """How the slope of the contacts' energy differs at ``alpha`` from that at 0, and its rate there [J].

        The difference is taken contact by contact: the slopes themselves are large and cancel against the momentum's,
        and near the solution their sum would be all rounding in single precision. Softened contacts leave theirs
        at ``alpha`` to the caller.
        """
        ...

    @wp.func
    def advance(search_data: wp.array2d(dtype=dtype), world: int, stride: int, contacts: int, alpha: dtype, eps: dtype):
        """Take a step of length ``alpha``, and find the impulses there."""
        advance_hard(search_data, world, stride, contacts, alpha, eps)
        if wp.static(softens):
            for c in range(contacts):
                z = search_data[world, _LOAD * stride + c]
                beta = search_data[world, beta_row * stride + c]
                mode = search_data[world, mode_row * stride + c]
                excess = z + function.reach(mode) * beta
                if excess > dtype(0.0):
                    excess = function.load(z, beta, mode)
                search_data[world, _LOAD * stride + c] = excess

    @wp.func
    def slope_and_bend(
        search_data: wp.array2d(dtype=dtype), world: int, stride: int, contacts: int, alpha: dtype, eps: dtype
    ):
        """How the slope of the contacts' energy differs at ``alpha`` from that at 0, and its rate there [J]."""
        found = contact_slope(search_data, world, stride, contacts, alpha, eps)
        if wp.static(softens):
            for c in range(contacts):
                beta = search_data[world, beta_row * stride + c]
                mode = search_data[world, mode_row * stride + c]
                z = search_data[world, excess_row * stride + c]
                rate = search_data[world, rate_row * stride + c]
                load = function.load(z, beta, mode)
                stiff = function.slope(z, beta, mode) * search_data[world, _B * stride + c]
                found[0] = found[0] - load * rate
                found[1] = found[1] + stiff * rate * rate + load * search_data[world, bend_row * stride + c]
        return found

    @wp.func
    def put_vector(search_data: wp.array2d(dtype=dtype), world: int, at: int, stride: int, x: vec3):
        search_data[world, at] = x[0]
        search_data[world, at + stride] = x[1]
        search_data[world, at + 2 * stride] = x[2]

    @wp.func
    def same(u: Motion):
        return u

    linear = dyn.linear if resists else same  # part of a motion

    @wp.func
    def put_motion(
        search_data: wp.array2d(dtype=dtype), world: int, c: int, stride: int, first: int, n: vec3, u: Motion
    ):
        """Store a motion from row ``first`` on."""
        if wp.static(resists):
            w = dyn.angular(u)
            about = wp.dot(n, w)
            search_data[world, (first + _ANGULAR) * stride + c] = about
            put_vector(search_data, world, (first + _ANGULAR + 1) * stride + c, stride, w - n * about)
        along = contact_law.normal_part(u, n)
        search_data[world, first * stride + c] = along
        put_vector(search_data, world, (first + 1) * stride + c, stride, linear(u) - n * along)

    @wp.func
    def put(search_data: wp.array2d(dtype=dtype), world: int, c: int, stride: int, n: vec3, q: Coefficients, u: Motion):
        """Store contact ``c`` at the motion ``u``, at rest along the step."""
        for i in range(4):
            search_data[world, i * stride + c] = q[i]
        if wp.static(resists):
            for i in range(3):
                search_data[world, (_ROLLING + i) * stride + c] = q[4 + i]
        if wp.static(softens):
            for i in range(2):
                search_data[world, (beta_row + i) * stride + c] = q[plain + i]
        put_motion(search_data, world, c, stride, _NORMAL_SPEED, n, u)
        put_motion(search_data, world, c, stride, _NORMAL_CHANGE, n, Motion())

    @wp.func
    def put_law(search_data: wp.array2d(dtype=dtype), world: int, c: int, stride: int, q: Coefficients):
        """Store the coefficients of hard contact ``c``, at rest along the step."""
        for i in range(4):
            search_data[world, i * stride + c] = q[i]
            search_data[world, (_NORMAL_CHANGE + i) * stride + c] = dtype(0.0)

    @wp.func
    def put_change(search_data: wp.array2d(dtype=dtype), world: int, c: int, stride: int, n: vec3, change: Motion):
        """Store what a step of length 1 adds to the motion of contact ``c``."""
        put_motion(search_data, world, c, stride, _NORMAL_CHANGE, n, change)

    @wp.func
    def vector_at(search_data: wp.array2d(dtype=dtype), world: int, at: int, stride: int):
        return vec3(search_data[world, at], search_data[world, at + stride], search_data[world, at + 2 * stride])

    @wp.func
    def acts(search_data: wp.array2d(dtype=dtype), world: int, c: int, stride: int):
        """Whether contact ``c`` acts where the last step ended."""
        return search_data[world, _LOAD * stride + c] > dtype(0.0)

    @wp.func
    def motion(search_data: wp.array2d(dtype=dtype), world: int, c: int, stride: int, n: vec3):
        """Relative motion of contact ``c``."""
        u = n * search_data[world, _NORMAL_SPEED * stride + c] + vector_at(
            search_data, world, _SLIP * stride + c, stride
        )
        if wp.static(resists):
            w = n * search_data[world, _SPIN * stride + c] + vector_at(search_data, world, _ROLL * stride + c, stride)
            return dyn.join(u, w)
        else:
            return u

    @wp.func
    def impulse(search_data: wp.array2d(dtype=dtype), world: int, c: int, stride: int, n: vec3):
        """Impulse of contact ``c``, which acts."""
        load = search_data[world, _LOAD * stride + c]
        push = (
            n - vector_at(search_data, world, _SLIP * stride + c, stride) * search_data[world, _DRAG * stride + c]
        ) * load
        if wp.static(resists):
            moment = (
                vector_at(search_data, world, _ROLL * stride + c, stride) * search_data[world, _ROLL_DRAG * stride + c]
            )
            moment += n * (search_data[world, _SPIN * stride + c] * search_data[world, _SPIN_DRAG * stride + c])
            return dyn.join(push, moment * -load)
        else:
            return push

    @wp.func
    def search(
        search_data: wp.array2d(dtype=dtype), world: int, stride: int, contacts: int, eps: dtype, slope_0: dtype,
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
            of_contacts = slope_and_bend(search_data, world, stride, contacts, alpha, eps)
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
                        trial = wp.min(wp.max(trial, dtype(SECOND_LEAST)), dtype(SECOND_MOST))
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
