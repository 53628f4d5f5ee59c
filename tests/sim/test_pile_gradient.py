"""The exact gradient of a blade that sweeps through 20 pieces, against central differences in float64."""

import pytest
import torch
from swept_pile import SweptPile

ROUNDING = 1e-14
"""Of a value of order 20; a difference over 2 eps carries ROUNDING / eps of it."""


def compared(pile, count, eps):
    directions = pile.directions(count)
    gradient = pile.gradient()
    exact = torch.stack([(gradient[name] * tangent).sum() for name, tangent in directions])
    return directions, exact, pile.slopes(directions, eps)


def test_gradient_of_twenty_pieces():
    """60 steps, 14 pieces moved by over 1 mm, 230 contacts; velocities, masses, friction and controls in turn."""
    pile = SweptPile.make(pieces=20, steps=60)
    directions, exact, (rough, fine) = compared(pile, 2, (1e-5, 1e-6))
    assert ((rough - fine).abs() < 1e-4 * fine.abs() + ROUNDING / 1e-6).all()  # no contact changes in between
    assert ((fine - exact).abs() < 1e-6 * exact.abs() + ROUNDING / 1e-6).all()
    for name in pile.inputs:
        assert max(abs(float(g)) for (n, _), g in zip(directions, exact, strict=True) if n == name) > 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "speed"), [(0, 0.1), (1, 0.1), (2, 0.2)])
def test_how_far_differences_reach(seed, speed):
    """100 steps. From which step on a difference meets a changed contact: docs/measurements/softened.md.

    At one step of the difference at least, every direction agrees with the gradient to 1e-6.
    """
    pile = SweptPile.make(pieces=20, steps=100, seed=seed, speed=speed)
    eps = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
    _, exact, slopes = compared(pile, 4, eps)
    error = (slopes / exact - 1).abs()
    print(
        f"seed {seed}, {speed} m/s:",
        *(f"{e:.0e}: {float((x > 1e-4).double().mean()):.2f}" for e, x in zip(eps, error, strict=True)),
    )
    assert error.amin(dim=0).max() < 2e-6
