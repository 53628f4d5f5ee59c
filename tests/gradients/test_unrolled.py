"""Unrolled objectives, and backpropagation through them truncated and clipped, against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from carom.envs.testbeds import BallWithWall, Horizon, Quadratic, TentMap
from carom.gradients import (
    DDCG,
    IVWH,
    Autodiff,
    Clipped,
    GradientError,
    Mixed,
    PersistentES,
    Smoothing,
    Truncated,
    UnrolledObjective,
    unrolled_controls,
)

from .recurrences import driven, states_of

MATRIX = torch.tensor([[1.4, 0.3], [-0.2, 0.7]], dtype=torch.float64)
START = torch.tensor([0.5, -0.3], dtype=torch.float64)


def parameters(count: int) -> torch.Tensor:
    return 0.3 * torch.arange(1, count + 1, dtype=torch.float64).sin()


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize(
    "backend",
    [Truncated(window=7), Truncated(window=50), Clipped(math.inf), Clipped(1e9), Clipped(math.inf, by="adjoint")],
    ids=["horizon", "more", "no limit", "far limit", "adjoint"],
)
def test_without_cuts_and_clips_it_is_the_exact_gradient(backend, running):
    objective, theta = driven(MATRIX, START, 7, running=running), parameters(14)
    exact, found = Autodiff().estimate(objective, theta), backend.estimate(objective, theta)
    assert torch.allclose(found.gradient, exact.gradient, rtol=1e-13, atol=0.0)
    assert float(found.value) == pytest.approx(float(exact.value), rel=1e-14)
    assert found.diagnostics["horizon"] == 7
    assert found.diagnostics.get("cuts", 0) == 0
    assert found.diagnostics.get("clipped", 0.0) == 0.0


@pytest.mark.parametrize("window", [1, 2, 3, 5])
def test_truncated_is_the_sum_within_blocks_from_the_end(window):
    # d/du_s of the costs in the block of s: sum over t > s in the block of (A^(t-1-s))' x_t.
    steps, theta = 7, parameters(14)
    states = states_of(MATRIX, START, theta)
    expected = torch.zeros(steps, 2, dtype=torch.float64)
    for s in range(steps):
        end = steps - (steps - 1 - s) // window * window
        for t in range(s + 1, end + 1):
            expected[s] += torch.linalg.matrix_power(MATRIX, t - 1 - s).T @ states[t]
    found = Truncated(window=window).estimate(driven(MATRIX, START, steps, running=True), theta)
    assert torch.allclose(found.gradient, expected.reshape(-1), rtol=1e-13, atol=1e-15)
    assert found.diagnostics["cuts"] == math.ceil(steps / window) - 1
    assert found.diagnostics["window"] == window


def test_truncated_loses_what_enters_the_first_state_alone():
    tent = TentMap(steps=6)
    theta = tent.initial_parameters()
    assert float(Truncated(window=5).estimate(tent, theta).gradient) == 0.0
    assert abs(float(Truncated(window=6).estimate(tent, theta).gradient)) == 64.0


def test_clipped_jacobians_have_their_singular_values_at_the_limit():
    # A = U diag(2, 0.5) V' becomes U diag(1.2, 0.5) V'.
    turn = [
        torch.tensor([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]], dtype=torch.float64) for a in (0.4, 1.1)
    ]
    diagonal = torch.diag(torch.tensor([2.0, 0.5], dtype=torch.float64))
    matrix, theta = turn[0] @ diagonal @ turn[1], parameters(8)
    clipped = turn[0] @ diagonal.clamp(max=1.2) @ turn[1]
    last = states_of(matrix, START, theta)[-1]
    expected = torch.cat([torch.linalg.matrix_power(clipped, 3 - s).T @ last for s in range(4)])
    found = Clipped(limit=1.2).estimate(driven(matrix, START, 4), theta)
    assert torch.allclose(found.gradient, expected, rtol=1e-12, atol=0.0)
    assert found.diagnostics["clipped"] == 1.0
    loose = Clipped(limit=2.1).estimate(driven(matrix, START, 4), theta)
    assert loose.diagnostics["clipped"] == 0.0
    assert torch.allclose(loose.gradient, Autodiff().estimate(driven(matrix, START, 4), theta).gradient, rtol=1e-13)


def test_clipped_adjoints_have_their_length_at_the_limit():
    # A = 2: the adjoint of x_T stays in the last step; those before it are 2 x_T, 4 x_T, ... until 5.
    matrix, start = torch.tensor([[2.0]], dtype=torch.float64), torch.tensor([0.1], dtype=torch.float64)
    theta = torch.tensor([0.1, -0.15, 0.2, -0.3], dtype=torch.float64)
    last = float(states_of(matrix, start, theta)[-1])
    assert 2.0 * last < 5.0 < 4.0 * last
    found = Clipped(limit=5.0, by="adjoint").estimate(driven(matrix, start, 4), theta)
    assert found.gradient.tolist() == pytest.approx([5.0, 5.0, 2.0 * last, last], rel=1e-14)
    assert found.diagnostics["clipped"] == 0.75  # before steps 3, 2, 1, 0: 2 x_T, 5, 5, 5 of which three exceeded it
    assert Clipped(limit=5.0, by="adjoint").estimate(Horizon(), Horizon().initial_parameters()).gradient.norm() < 5.0


def test_the_tent_map_clipped_at_one_has_the_sign_of_its_slope():
    tent = TentMap(steps=8)
    theta = tent.initial_parameters()
    exact = float(Autodiff().estimate(tent, theta).gradient)
    assert abs(exact) == 256.0
    assert float(Clipped(limit=1.0).estimate(tent, theta).gradient) == math.copysign(1.0, exact)
    assert float(Clipped(limit=1.5).estimate(tent, theta).gradient) == pytest.approx(math.copysign(1.5**8, exact))


@pytest.mark.parametrize("wrapped", [Truncated(window=3), Clipped(limit=0.9), Clipped(limit=0.4, by="adjoint")])
def test_over_noise_it_is_the_mean_of_its_gradients_at_the_samples(wrapped):
    objective, theta = driven(MATRIX, START, 5), torch.stack([parameters(10), 0.5 * parameters(10)])
    inner = Smoothing(order="first", scale=0.1, samples=64, antithetic=False)
    found = type(wrapped)(**{**vars(wrapped), "backend": inner}).estimate(objective, theta, seed=3)
    noise = inner.perturbation(theta, seed=3).draw(0, 64).moves
    rows = wrapped.estimate(objective, (theta[None] + noise[:, None]).reshape(-1, 10))
    single = rows.gradient.reshape(64, 2, 10)
    assert torch.allclose(found.gradient, single.mean(0), rtol=1e-12, atol=1e-14)
    assert torch.allclose(found.standard_error, single.std(0) / 8.0, rtol=1e-10)
    assert found.evaluations == 128


def test_a_batch_equals_single_calls_and_lists_are_taken():
    theta = torch.stack([parameters(14), -parameters(14)])
    for backend in (Truncated(window=2), Clipped(limit=0.8), PersistentES(samples=8), IVWH(samples=8), DDCG(samples=8)):
        objective = driven(MATRIX, START, 7, running=True)
        both = backend.estimate(objective, theta, seed=5)
        assert torch.equal(backend.estimate(objective, theta.tolist(), seed=5).gradient, both.gradient)
        for i in range(2):
            one = backend.estimate(objective, theta[i], seed=5)
            assert torch.allclose(both.gradient[i], one.gradient, rtol=1e-12)
            assert torch.allclose(both.value[i], one.value, rtol=1e-12)


class NumpyStep:
    """x+ = sin(A x + u) by NumPy, with its Jacobian."""

    def __call__(self, states, controls):
        inner = states.numpy() @ MATRIX.numpy().T + controls.numpy()
        return torch.from_numpy(np.sin(inner))

    def step_jacobian(self, states, controls):
        slope = torch.from_numpy(np.cos(states.numpy() @ MATRIX.numpy().T + controls.numpy()))
        return slope[:, :, None] * MATRIX, torch.diag_embed(slope)


def cost(states, controls):
    return states.square().sum(1) + 0.1 * controls.square().sum(1)


def test_a_step_with_its_own_jacobian_is_as_torch_and_differences_have_it():
    options = {"horizon": 6, "controls": 2, "final_cost": lambda x: 3.0 * x[:, 0]}
    own = unrolled_controls(NumpyStep(), START, cost, **options)
    torchs = unrolled_controls(lambda x, u: torch.sin(x @ MATRIX.T + u), START, cost, **options)
    theta = parameters(12)
    by_torch = Autodiff().estimate(torchs, theta)
    for backend in (Autodiff(), Truncated(window=6)):
        found = backend.estimate(own, theta)
        assert torch.allclose(found.gradient, by_torch.gradient, rtol=1e-12)
        assert found.value == pytest.approx(float(by_torch.value), rel=1e-14)
    h = 1e-6 * torch.eye(12, dtype=torch.float64)
    differences = (own(theta + h) - own(theta - h)) / 2e-6
    assert torch.allclose(by_torch.gradient, differences, rtol=1e-7, atol=1e-9)
    shorter = Truncated(window=2).estimate(own, theta)
    assert torch.allclose(shorter.gradient, Truncated(window=2).estimate(torchs, theta).gradient, rtol=1e-12)
    assert not torch.allclose(shorter.gradient, by_torch.gradient, rtol=1e-2)


@pytest.mark.parametrize("backend", [Truncated(), Clipped(), PersistentES(), IVWH()])
def test_what_is_not_unrolled_is_refused_by_name(backend):
    for objective, theta in ((Quadratic(), torch.zeros(2)), (BallWithWall(), torch.zeros(1))):
        with pytest.raises(GradientError, match=rf"'{objective.name}' is not unrolled.*stepwise\(\)"):
            backend.estimate(objective, theta)

    class Wrong(Quadratic):
        def stepwise(self):
            return 3

    with pytest.raises(GradientError, match="returned a int"):
        backend.estimate(Wrong(), torch.zeros(2))


def test_faults_of_a_step_are_named():
    def objective(step, start=lambda theta: theta.clone(), cost=lambda x, after, theta, t: after.sum(1)):
        return UnrolledObjective(start, step, cost, 3, "faulty")

    def same(x, theta, t):
        return x

    theta = torch.ones(1, 2, dtype=torch.float64)
    assert float(objective(same)(theta)) == 6.0
    for faulty, message in [
        (objective(lambda x, th, t: (x, x)), r"shapes \[\[1, 2\], \[1, 2\]\]: \[\[1, 2\]\] are wanted"),
        (objective(lambda x, th, t: x[:, :1]), r"shapes \[\[1, 1\]\]: \[\[1, 2\]\] are wanted"),
        (objective(same, cost=lambda x, after, th, t: x), r"is shape \[1, 2\]"),
        (objective(same, cost=lambda x, after, th, t: x.sum(1) / (t - 1)), "step 1 .* not finite in 1 of 1 rows"),
        (objective(lambda x, th, t: x > 0), "real floating"),
        (objective(same, lambda theta: 3), "start of 'faulty' returned int"),
    ]:
        with pytest.raises(GradientError, match=message):
            faulty(theta)
    blind = objective(lambda x, th, t: x.detach(), cost=lambda x, after, th, t: after.detach().sum(1))
    for backend in (Truncated(), Clipped(), IVWH(samples=6)):
        with pytest.raises(GradientError, match="no exact gradient"):
            backend.estimate(blind, theta)


def test_options_are_checked():
    for make, message in [
        (lambda: Truncated(window=0), "window is 0"),
        (lambda: Truncated(backend=Smoothing()), "order 'zeroth'"),
        (lambda: Clipped(limit=0.0), "limit is 0.0"),
        (lambda: Clipped(limit=math.nan), "limit is nan"),
        (lambda: Clipped(by="spectral"), "unknown by"),
        (lambda: Clipped(backend=Autodiff), "give an instance"),
        (lambda: PersistentES(samples=5), "samples is 5"),
        (lambda: PersistentES(window=0), "window is 0"),
        (lambda: IVWH(samples=7, split=True), "samples is 7"),
        (lambda: DDCG(slack=1.0), "slack is 1.0"),
        (lambda: UnrolledObjective(None, print, print, 3), "start is a NoneType"),
        (lambda: unrolled_controls(3, START, cost, 2, controls=2), "step is a int"),
    ]:
        with pytest.raises(GradientError, match=message):
            make()
    with pytest.raises(GradientError, match="theta has 3 parameters: 2 steps of 2 controls have 4"):
        unrolled_controls(NumpyStep(), START, cost, 2, controls=2)(torch.zeros(1, 3))


def test_mixed_takes_clipped_gradients():
    plain = {"scale": 0.1, "samples": 16, "antithetic": False}
    inner = Mixed(Smoothing(order="first", **plain), Smoothing(**plain))
    found = Clipped(limit=1.0, backend=inner).estimate(driven(MATRIX, START, 5), parameters(10))
    assert bool(found.diagnostics["finite"])
    assert 0.0 < found.diagnostics["clipped"] <= 1.0
