"""Bundles against closed forms, autograd and the exact Jacobian. Seeds are fixed.

A z-test at 4.5 fails a right estimator with probability 7e-6 an entry; each test states its number of entries.
"""

from __future__ import annotations

import math

import pytest
import torch

from carom.gradients import Bundling, GradientError

Z = 4.5
A = torch.tensor([[1.0, 0.1, 0.0], [-0.3, 0.9, 0.2], [0.0, -0.5, 1.1]], dtype=torch.float64)
B = torch.tensor([[0.0, 0.5], [1.0, -2.0], [0.3, 0.0]], dtype=torch.float64)
BOTH = [Bundling(state_scale=0.1, control_scale=0.2, samples=20), Bundling(0.1, 0.2, 20, antithetic=False)]
X = torch.tensor([[0.1, -0.2, 0.3], [1.0, 2.0, 3.0]], dtype=torch.float64)
U = torch.tensor([[0.5, 0.0], [-1.0, 0.4]], dtype=torch.float64)


def linear(x, u):
    return x @ A.T + u @ B.T + 7.0


def pendulum(x, u, h=0.1):
    speed = x[:, 1] + h * (u[:, 0] - 9.81 * torch.sin(x[:, 0]))
    return torch.stack([x[:, 0] + h * speed, speed], 1)


def pendulum_smoothed(angle, sigma, h=0.1):
    """A of the Gaussian-smoothed pendulum: E cos(q + sigma w) = exp(-sigma^2/2) cos q."""
    slope = -h * 9.81 * math.exp(-(sigma**2) / 2) * math.cos(angle)
    return torch.tensor([[1.0 + h * slope, h], [slope, 1.0]], dtype=torch.float64)


class BoxOnBox:
    """A box of mass 1 at x, and a pusher at u on a spring of 100 N/m; one quasi-dynamic step of 0.1 s.

    x+ minimizes m (x+ - x)^2 / (2 h^2) + k (p - u)^2 / 2 under p <= x+: x + max(u - x, 0) k / (k + m / h^2), half.
    """

    def __call__(self, x, u):
        return x + 0.5 * (u - x).clamp_min(0.0)

    def step_jacobian(self, x, u):
        slope = 0.5 * (u > x).to(x)[:, :, None]
        return 1.0 - slope, slope


@pytest.mark.parametrize("order", ["first", "zeroth"])
@pytest.mark.parametrize("antithetic", [True, False])
@pytest.mark.parametrize("intercept", [True, False])
def test_linear_step_is_exact(order, antithetic, intercept):
    bundling = Bundling(0.1, (0.2, 0.01), 20, order=order, antithetic=antithetic, intercept=intercept)
    bundle = bundling.bundle(linear, X, U)
    torch.testing.assert_close(bundle.A, A.expand(2, 3, 3), rtol=0, atol=1e-12)
    torch.testing.assert_close(bundle.B, B.expand(2, 3, 2), rtol=0, atol=1e-12)
    assert float(bundle.A_error.max()) < 1e-12
    assert float(bundle.B_error.max()) < 1e-12
    if antithetic:
        torch.testing.assert_close(bundle.next_state, linear(X, U), rtol=0, atol=1e-12)
    assert bundle.evaluations == 40 + (2 if order == "zeroth" and not antithetic and not intercept else 0)


@pytest.mark.parametrize("order", ["first", "zeroth"])
@pytest.mark.parametrize("antithetic", [True, False])
def test_box_on_box_over_the_control(order, antithetic):
    """Slope Phi((u - 1) / sigma) / 2. 7 knots, both entries of each: a right estimator fails with 1e-4 a case."""
    sigma = 0.2
    u = torch.linspace(0.72, 1.3, 7, dtype=torch.float64)[:, None]  # at u = 1 a pair has no variance
    x = torch.ones_like(u)
    known = torch.ones(1, 1, dtype=torch.float64) if order == "zeroth" else None
    bundle = Bundling(0.0, sigma, 2000, order=order, antithetic=antithetic).bundle(BoxOnBox(), x, u, known_A=known)
    z = (u - 1.0) / sigma
    expected = 0.5 * torch.special.ndtr(z)
    off = (bundle.B[:, :, 0] - expected) / bundle.B_error[:, :, 0]
    assert float(off.abs().max()) < Z
    assert 0.3 < float(off.square().mean()) < 3.0  # chi-square of 7 over 7: outside with 0.02; the seed is fixed
    density = torch.exp(-0.5 * z.square()) / math.sqrt(2 * math.pi)
    mean = 1.0 + 0.5 * sigma * (z * torch.special.ndtr(z) + density)
    assert float(((bundle.next_state - mean) / bundle.next_state_error).abs().max()) < Z
    if order == "first":
        off = (bundle.A[:, :, 0] - (1.0 - expected)) / bundle.A_error[:, :, 0]
        assert float(off.abs().max()) < Z
    else:
        assert torch.equal(bundle.A, torch.ones_like(bundle.A))
        assert torch.equal(bundle.A_error, torch.zeros_like(bundle.A))


@pytest.mark.parametrize("order", ["first", "zeroth"])
def test_box_on_box_over_state_and_control(order):
    """Then the spread of u - x counts: A = 1 - B, B = Phi((u - x) / sqrt(sx^2 + su^2)) / 2. 10 entries: 7e-5."""
    u = torch.linspace(0.8, 1.25, 5, dtype=torch.float64)[:, None]
    bundle = Bundling(0.1, 0.2, 4000, order=order).bundle(BoxOnBox(), torch.ones_like(u), u)
    expected = 0.5 * torch.special.ndtr((u - 1.0) / math.hypot(0.1, 0.2))
    assert float(((bundle.B[:, :, 0] - expected) / bundle.B_error[:, :, 0]).abs().max()) < Z
    assert float(((bundle.A[:, :, 0] - 1.0 + expected) / bundle.A_error[:, :, 0]).abs().max()) < Z


@pytest.mark.parametrize("antithetic", [True, False])
@pytest.mark.parametrize("order", ["first", "zeroth"])
def test_errors_are_honest(order, antithetic):
    """Mean reported variance over the variance seen in 600 independent knots of 100 samples.

    It is 1 to about 6 % (1 sigma; the tails of cubes of the noise make it 10 %), plus (p + 1) / units for the fit's
    jackknife: 6 % for 50 pairs. The mean's z-test fails a right estimator with 7e-6.
    """
    x = torch.zeros(600, 2, dtype=torch.float64)
    x[:, 0] = 0.7
    sigma = 0.6
    bundling = Bundling((sigma, 0.1), 0.3, 100, order=order, antithetic=antithetic)
    bundle = bundling.bundle(pendulum, x, torch.zeros(600, 1, dtype=torch.float64))
    slope = bundle.A[:, 1, 0]
    assert 0.7 < float(bundle.A_error[:, 1, 0].square().mean() / slope.var()) < 1.4
    if order == "first":  # the fit has a bias of order 1/samples
        assert abs(float((slope.mean() - pendulum_smoothed(0.7, sigma)[1, 0]) / slope.std() * 600**0.5)) < Z


def test_smooth_step_at_a_small_scale():
    """The mean Jacobian over a small cloud is the exact one up to sigma^2 / 2; the fit likewise."""
    x, u = torch.tensor([0.4, -0.3], dtype=torch.float64), torch.tensor([0.2], dtype=torch.float64)
    exact_a, exact_b = torch.autograd.functional.jacobian(lambda a, b: pendulum(a[None], b[None])[0], (x, u))
    for order in ("first", "zeroth"):
        bundle = Bundling(1e-4, 1e-4, 40, order=order).bundle(pendulum, x, u)
        assert bundle.A.shape == (2, 2)
        assert bundle.B.shape == (2, 1)
        torch.testing.assert_close(bundle.A, exact_a, rtol=0, atol=1e-7)
        torch.testing.assert_close(bundle.B, exact_b, rtol=0, atol=1e-7)
    # and at a large one it is the smoothed system's, not the exact one: 4 entries and two that are constant
    big = Bundling(0.5, 0.1, 4000).bundle(pendulum, x, u)
    off = (big.A - pendulum_smoothed(0.4, 0.5)).abs()
    assert bool((off <= Z * big.A_error + 1e-12).all())
    assert float((exact_a - big.A)[1, 0].abs() / big.A_error[1, 0]) > 2 * Z  # the test can tell


@pytest.mark.parametrize("order", ["first", "zeroth"])
@pytest.mark.parametrize("antithetic", [True, False])
def test_chunks_and_batches_change_nothing(order, antithetic):
    x = torch.tensor([[0.4, -0.3], [1.4, 0.3], [2.0, 0.0]], dtype=torch.float64)
    u = torch.tensor([[0.2], [0.1], [-0.4]], dtype=torch.float64)
    sizes = []

    def step(x, u):
        sizes.append(len(x))
        return pendulum(x, u)

    whole = Bundling(0.3, 0.1, 20, order=order, antithetic=antithetic).bundle(step, x, u, seed=3)
    assert max(sizes) == 60
    for chunk in (1, 7, 20, 41):
        sizes.clear()
        parts = Bundling(0.3, 0.1, 20, order=order, antithetic=antithetic, chunk=chunk).bundle(step, x, u, seed=3)
        assert max(sizes) <= max(chunk, 1 + antithetic)
        for name in ("A", "B", "next_state", "A_error", "B_error", "next_state_error"):
            torch.testing.assert_close(getattr(parts, name), getattr(whole, name), rtol=1e-10, atol=1e-12)
    first = Bundling(0.3, 0.1, 20, order=order, antithetic=antithetic).bundle(step, x[0], u[0], seed=3)
    torch.testing.assert_close(first.A, whole.A[0], rtol=1e-12, atol=1e-12)
    assert not torch.allclose(whole.A[1], Bundling(0.3, 0.1, 20).bundle(step, x[1], u[1], seed=3).A, rtol=1e-6)


def test_known_columns():
    """Smoothing over u alone, A given; and over a part of the state."""
    unactuated = torch.diag(torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64))
    bundle = Bundling(0.0, 0.1, 20, order="zeroth").bundle(linear, X, U, known_A=unactuated)
    assert torch.equal(bundle.A, unactuated.expand(2, 3, 3))
    torch.testing.assert_close(bundle.B, B.expand(2, 3, 2), rtol=0, atol=1e-12)
    part = Bundling((0.1, 0.0, 0.1), 0.1, 20, order="zeroth").bundle(linear, X, U, known_A=7.0 + torch.zeros_like(A))
    expected = A.clone()
    expected[:, 1] = 7.0
    torch.testing.assert_close(part.A, expected.expand(2, 3, 3), rtol=0, atol=1e-12)


def test_float32():
    bundle = Bundling(0.1, 0.1, 40, order="zeroth").bundle(
        lambda x, u: x @ A.float().T + u @ B.float().T, X.float(), U.float()
    )
    assert bundle.A.dtype == torch.float32
    torch.testing.assert_close(bundle.A, A.float().expand(2, 3, 3), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"state_scale": -1.0}, "state_scale is -1.0"),
        ({"control_scale": (0.1, math.nan)}, "control_scale"),
        ({"control_scale": "wide"}, "control_scale is 'wide'"),
        ({"control_scale": 0.0}, "both zero.*step_jacobian"),
        ({"order": "frist"}, "Did you mean 'first'"),
        ({"samples": 7}, "even"),
        ({"samples": 1, "antithetic": False}, "at least 2"),
        ({"chunk": 0}, "chunk"),
        ({"distribution": "cauchy", "order": "zeroth"}, "cauchy noise has no variance"),
        ({"distribution": "gumbel"}, "gumbel is not: use antithetic=False"),
        ({"distribution": "gausian"}, "Did you mean"),
    ],
)
def test_options(options, words):
    with pytest.raises(GradientError, match=words):
        Bundling(**options)


@pytest.mark.parametrize(
    ("bundling", "states", "controls", "words"),
    [
        (BOTH[0], [0.0], U, "states is a list"),
        (BOTH[0], X, U[:1], "one row of each per knot"),
        (BOTH[0], X, U.float(), "of one type"),
        (BOTH[0], X * math.nan, U, r"states is not finite at index \[0, 0\]"),
        (Bundling((0.1, 0.1), 0.1), X, U, "state_scale has 2 entries for 3"),
        (Bundling(0.1, 1e-17), X, U, "drowns in the rounding"),
        (Bundling(0.1, 0.1, samples=10, order="zeroth"), X, U, "samples is 10.*5 perturbed.*at least 14"),
        (Bundling(0.0, 0.1, order="zeroth"), X, U, r"\[0, 1, 2\].*known_A.*order=\"first\""),
    ],
)
def test_inputs(bundling, states, controls, words):
    with pytest.raises(GradientError, match=words):
        bundling.bundle(linear, states, controls)


def test_steps():
    one = Bundling(0.1, 0.1, samples=20)
    zeroth = Bundling(0.1, 0.1, samples=20, order="zeroth")

    def numpyish(x, u):
        return linear(x, u).detach()

    class Wrong:
        name = "wrong"
        __call__ = staticmethod(linear)

        def step_jacobian(self, x, u):
            return A, B

    with pytest.raises(GradientError, match="callable"):
        zeroth.bundle(3, X, U)
    with pytest.raises(GradientError, match=r"'numpyish' has no exact Jacobian.*zeroth"):
        one.bundle(numpyish, X, U)
    with pytest.raises(GradientError, match=r"A of shape \[3, 3\] for 40 rows"):
        one.bundle(Wrong(), X, U)
    with pytest.raises(GradientError, match=r"shape \[40, 2\]"):
        zeroth.bundle(lambda x, u: u, X, U)
    with pytest.raises(GradientError, match=r"not finite in \d+ of 40 rows"):
        zeroth.bundle(lambda x, u: torch.where(x > 3.0, math.nan, x), X, U)
    with pytest.raises(GradientError, match="known_A is for"):
        one.bundle(linear, X, U, known_A=A)
    with pytest.raises(GradientError, match="every state coordinate is perturbed"):
        zeroth.bundle(linear, X, U, known_A=A)
    with pytest.raises(GradientError, match=r"known_A is \[3, 2\]"):
        Bundling(0.0, 0.1, samples=20, order="zeroth").bundle(linear, X, U, known_A=B)
