"""Each contact law's impulse, curvature and adjoint against differences of its energy, in decimal numbers.

The energy is written in ``contact_energy.py`` for a second time. Errors are counted in units of rounding of the terms
that a law is made of; a wrong factor in a term shows as many millions of them.
"""

import decimal
import functools
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import warp as wp
from contact_energy import DIGITS, Energy
from contact_laws import LAWS, TINY, Contacts, Law, evaluate, random_contacts, units

from carom.kernels.contact import law
from carom.kernels.core.adjoint_inputs import by_name
from carom.kernels.core.precision import precision

ROUNDING = 4.0
"""Units of rounding; measured: at most 1.2."""


@pytest.mark.parametrize("eps", [1e-3, 1e-5])
@pytest.mark.parametrize("kind", LAWS, ids=str)
def test_impulse_and_curvature_are_derivatives_of_the_energy(kind: Law, eps: float) -> None:
    """Slip zero and far below the stiction speed, loads next to zero, the ends and the middle of a softened fade."""
    contacts = random_contacts(kind, 32, 1, eps)
    values, unit = evaluate(contacts), units(contacts, wp.float64)
    acting = 0
    for i in range(len(contacts)):
        gradient, hessian = Energy(contacts, i).differences()
        np.testing.assert_allclose(-values.impulse[i], gradient, rtol=0.0, atol=ROUNDING * unit.impulse[i])
        if values.excess[i] > 0.0:
            acting += 1
            np.testing.assert_allclose(values.curvature[i], hessian, rtol=0.0, atol=ROUNDING * unit.curvature[i])
        else:
            assert np.abs(values.impulse[i]).max() < TINY
    assert acting > 10
    assert acting < len(contacts) or kind.softens


@functools.cache
def _adjoint_kernel(resists: bool, softens: bool) -> Any:
    p, contact_law = precision(wp.float64), law.make(wp.float64, resists, softens)
    vec3, Motion, Coefficients = p.vec3, contact_law.Motion, contact_law.Coefficients

    @wp.kernel(module="unique")
    def power_kernel(
        normal: wp.array(dtype=vec3), motion: wp.array(dtype=Motion), coefficients: wp.array(dtype=Coefficients),
        eps: wp.float64, along: wp.array(dtype=Motion), power: wp.array(dtype=wp.float64),
    ):  # fmt: skip
        c = wp.tid()
        power[c] = wp.dot(contact_law.impulse(motion[c], normal[c], coefficients[c], eps), along[c])

    return power_kernel


def adjoint(contacts: Contacts, along: np.ndarray) -> tuple[np.ndarray, ...]:
    """Warp's derivatives of the impulse along given motions by normal, motion and coefficients."""
    kind = contacts.law
    contact_law = law.make(wp.float64, kind.resists, kind.softens)
    types = (wp.types.vector(3, wp.float64), contact_law.Motion, contact_law.Coefficients)
    values = (contacts.normal, contacts.motion, contacts.coefficients)
    given = [wp.array(x, dtype=t, device="cpu") for x, t in zip(values, types, strict=True)]
    adjoints = [wp.zeros_like(x) for x in given]
    power, seed = (f(len(contacts), dtype=wp.float64, device="cpu") for f in (wp.zeros, wp.ones))
    kernel = _adjoint_kernel(kind.resists, kind.softens)
    named = dict(zip(("normal", "motion", "coefficients"), adjoints, strict=True))
    wp.launch(
        kernel, dim=len(contacts),
        inputs=[*given, wp.float64(contacts.eps), wp.array(along, dtype=types[1], device="cpu")], outputs=[power],
        adjoint=True, adj_inputs=by_name(kernel, **named, power=seed), device="cpu",
    )  # fmt: skip
    return tuple(x.numpy() for x in adjoints)


@pytest.mark.parametrize("kind", LAWS, ids=str)
def test_adjoint_is_the_derivative_of_the_impulse(kind: Law) -> None:
    """By motion, normal (turned) and every coefficient, at contacts that act or nearly do.

    That of contacts whose slope alone is softened is none by beta: what they would feel is not in the rollout.
    """
    contacts = random_contacts(kind, 16, 2)
    generator = np.random.default_rng(3)
    along = generator.normal(size=contacts.motion.shape)
    by_normal, by_motion, by_coefficients = adjoint(contacts, along)
    values, unit = evaluate(contacts), units(contacts, wp.float64)
    bent = -np.einsum("nij,nj->ni", values.curvature, along)
    for i in range(len(contacts)):
        if values.excess[i] <= 0.0:
            for derivative in (by_normal[i], by_motion[i], by_coefficients[i]):
                assert np.abs(derivative).max() < 1e-9 * np.abs(by_normal).max()
            continue
        size = np.abs(along[i]).sum()
        error = ROUNDING * unit.curvature[i] * size
        np.testing.assert_allclose(by_motion[i], bent[i], rtol=0.0, atol=error)
        tangent = np.cross(contacts.normal[i], generator.normal(size=3))
        found = {"normal": by_normal[i] @ tangent}
        found |= {j: by_coefficients[i, j] for j in range(contacts.coefficients.shape[1]) if varies(kind, j)}
        if kind.of_slopes:
            assert by_coefficients[i, -2] == 0.0
        for name, value in found.items():
            if kind.softens and name == contacts.coefficients.shape[1] - 2 and contacts.coefficients[i, -2] == 0.0:
                continue  # hard contact becomes softened there
            slope, of_z = slope_of_power(contacts, i, along[i], name, tangent)
            error = (unit.slope[i] + unit.direction[i]) * of_z * unit.lever[i] + unit.impulse[i]
            if name == "normal":  # it turns the motion against the contact
                error += unit.curvature[i] * np.linalg.norm(contacts.motion[i]) * np.linalg.norm(tangent)
            assert abs(value - slope) <= ROUNDING * error * size, f"contact {i}, by {name}: {value}, not {slope}"


def varies(kind: Law, column: int) -> bool:
    """Whether a coefficient has a derivative: not the angular stiction speed and the mode, nor beta of slopes."""
    soft = 7 if kind.resists else 4
    return column < (6 if kind.resists else 4) or (column == soft and kind.softens and not kind.of_slopes)


def slope_of_power(
    contacts: Contacts, index: int, along: np.ndarray, name: str | int, tangent: np.ndarray
) -> tuple[float, float]:
    """Derivative by the normal along ``tangent`` or by a coefficient: of an impulse along a motion, and size of z's."""

    def at(step: Decimal) -> tuple[Decimal, Decimal]:
        energy = Energy(contacts, index)  # its shift is that of the contact as it is
        if name == "normal":
            energy.n = [a + step * Decimal(float(b)) for a, b in zip(energy.n, tangent, strict=True)]
            size = sum((x * x for x in energy.n), Decimal(0)).sqrt()
            energy.n = [x / size for x in energy.n]
        else:
            energy.q[int(name)] += step
        power = sum((p * Decimal(float(w)) for p, w in zip(energy.impulse(), along, strict=True)), Decimal(0))
        return power, energy.z(energy.x)

    with decimal.localcontext(DIGITS):
        step = Decimal("1e-19")
        ahead, back = at(step), at(-step)
        slope, of_z = (float((x - y) / (2 * step)) for x, y in zip(ahead, back, strict=True))
    if name == "normal":
        of_z = contacts.coefficients[index, 1] * np.linalg.norm(contacts.motion[index]) * np.linalg.norm(tangent)
    elif contacts.law.softens and name == contacts.coefficients.shape[1] - 2:
        of_z = contacts.law.reach
    return slope, abs(of_z)
