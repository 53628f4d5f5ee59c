"""The contact law: one convex, smooth potential per contact whose gradient is the impulse.

With relative velocity u = uB - uA, normal part un, tangential part ut, regularized slip speed s(ut):

    y       = un - mu (s(ut) - s0)          slip-corrected separation speed [m/s]; s0 = s(ut) at the start of the step
    gamma   = max(a - b y, 0)               normal impulse [N s], a = -h k gap, b = h^2 k + h d
    impulse = gamma (n - mu ut/s(ut))       on B, and its opposite on A [N s]

The convex form is that of Castro et al., "An Unconstrained Convex Formulation of Compliant Contact" (IEEE T-RO 2022,
arXiv:2110.10107); the term s0 removes its artefact, a gap proportional to the slip speed under a sliding body.
"""

import functools
import math
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..core.precision import precision

__all__ = ["AUTO", "CONTACT_PERIOD_STEPS", "FREQUENCY", "make"]

AUTO = -1.0
"""Value of a stiffness or damping that is to be derived from the effective mass and the step."""

CONTACT_PERIOD_STEPS = 1.0
"""Period of a near-rigid contact in steps: a body resting on a surface sinks by g (h/(2 pi))^2, 6 micrometres at 5 ms.

Two steps, the other natural choice, cost 4 % less time and sink four times deeper: 2.5 mm instead of 0.6 mm at the top
of a stack of five at 10 ms.
"""

FREQUENCY = 2.0 * math.pi / CONTACT_PERIOD_STEPS
"""Angular frequency of a near-rigid contact [rad/step]."""


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """Contact functions for one precision: ``compliance``, ``friction``, ``slip_speed``, ``impulse``, ``curvature``."""
    p = precision(dtype)
    vec3 = p.vec3

    @wp.func
    def friction(mu_a: dtype, mu_b: dtype):
        """Coefficient of a pair: the harmonic mean, zero if either is zero (Drake's rule).

        Smooth up to a coefficient of zero, where the derivative is that from above, 2; but where both are zero it is a
        cone: zero along either axis, one where both grow alike.
        """
        mu = dtype(0.0)
        if mu_a + mu_b > dtype(0.0):
            mu = dtype(2.0) * mu_a * mu_b / (mu_a + mu_b)
        return mu

    @wp.func
    def effective_mass(mass_a: dtype, mass_b: dtype):
        """Reduced mass [kg] of a pair; a mass of zero or less stands for a body that does not move."""
        mass = mass_a
        if mass_a <= dtype(0.0):
            mass = mass_b
        elif mass_b > dtype(0.0):
            mass = mass_a * mass_b / (mass_a + mass_b)
        return mass

    @wp.func
    def compliance(ka: dtype, kb: dtype, da: dtype, db: dtype, mass: dtype, h: dtype):
        """Stiffness [N/m] and damping [N s/m] of a pair.

        Stiffnesses act in series; a damping counts by the share of the deformation that its side takes. What neither
        side gives is derived: a period of CONTACT_PERIOD_STEPS steps, critical damping.
        """
        zero = dtype(0.0)
        k = zero
        if ka > zero and kb > zero:
            k = ka * kb / (ka + kb)
        elif ka > zero:
            k = ka
        elif kb > zero:
            k = kb
        else:
            rate = dtype(FREQUENCY) / h
            k = mass * rate * rate
        d = zero
        if da >= zero and db >= zero:
            share = dtype(0.5)
            if ka > zero and kb > zero:
                share = kb / (ka + kb)
            d = da * share + db * (dtype(1.0) - share)
        elif da >= zero:
            d = da
        elif db >= zero:
            d = db
        else:
            d = dtype(2.0) * wp.sqrt(k * mass)
        return k, d

    @wp.func
    def slip_speed(u: vec3, n: vec3, eps: dtype):
        """Regularized slip speed sqrt(|ut|^2 + eps^2) [m/s]."""
        ut = u - n * wp.dot(n, u)
        return wp.sqrt(wp.dot(ut, ut) + eps * eps)

    @wp.func
    def excess(u: vec3, n: vec3, a: dtype, b: dtype, mu: dtype, s0: dtype, eps: dtype):
        """z = a - b y: the normal impulse where positive [N s]."""
        return a - b * (wp.dot(n, u) - mu * (slip_speed(u, n, eps) - s0))

    @wp.func
    def impulse(u: vec3, n: vec3, a: dtype, b: dtype, mu: dtype, s0: dtype, eps: dtype):
        """Impulse on B [N s] at relative velocity ``u``."""
        result = vec3(dtype(0.0), dtype(0.0), dtype(0.0))
        z = excess(u, n, a, b, mu, s0, eps)
        if z > dtype(0.0):
            ut = u - n * wp.dot(n, u)
            result = (n - ut * (mu / slip_speed(u, n, eps))) * z
        return result

    @wp.func
    def curvature(u: vec3, n: vec3, a: dtype, b: dtype, mu: dtype, s0: dtype, eps: dtype):
        """Second derivative of the contact's energy with respect to ``u`` [kg], at an active contact."""
        z = excess(u, n, a, b, mu, s0, eps)
        s = slip_speed(u, n, eps)
        e = (u - n * wp.dot(n, u)) / s
        g = n - e * mu
        eye = wp.identity(n=3, dtype=dtype)
        return wp.outer(g, g) * b + (eye - wp.outer(n, n) - wp.outer(e, e)) * (z * mu / s)

    return SimpleNamespace(
        friction=friction, effective_mass=effective_mass, compliance=compliance, slip_speed=slip_speed,
        excess=excess, impulse=impulse, curvature=curvature,
    )  # fmt: skip
