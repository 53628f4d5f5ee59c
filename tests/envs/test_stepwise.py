"""Tasks and testbeds step by step: the same cost, and the exact gradient where no step is cut or clipped."""

from __future__ import annotations

import pytest
import torch

import carom
from carom.envs.errors import TaskError
from carom.envs.testbeds import Curling, DiscPacking, DoublePendulum, DragByFriction, Horizon, TentMap
from carom.gradients import Autodiff, Clipped, PersistentES, Smoothing, Truncated, unrolled_controls

TESTBEDS = [
    TentMap(steps=9),
    Horizon(steps=6),
    DoublePendulum(steps=40, step=0.01),
    DiscPacking(discs=8, steps=15),
    Curling(steps=40, stiffness=100.0, step=0.02),
    DragByFriction(steps=20),
]


def spread(task) -> torch.Tensor:
    theta = task.initial_parameters()
    return theta + 0.003 * torch.arange(1, len(theta) + 1, dtype=theta.dtype).sin()


@pytest.mark.parametrize("testbed", TESTBEDS, ids=lambda testbed: testbed.name)
def test_testbeds(testbed):
    theta = torch.stack([testbed.initial_parameters(), spread(testbed)])
    exact = Autodiff().estimate(testbed, theta)
    assert torch.allclose(testbed.stepwise()(theta), exact.value, rtol=1e-13)
    for backend in (Truncated(window=10**6), Clipped(1e9, by="adjoint")):
        found = backend.estimate(testbed, theta)
        assert torch.allclose(found.gradient, exact.gradient, rtol=1e-10, atol=1e-12)


SIMULATED = [
    ("box_pushing", {"T": 8}, 8),
    pytest.param("corner_push", {"duration": 0.2}, 4, marks=pytest.mark.slow),
    pytest.param("billiards", {"duration": 0.4, "rows": 2}, 8, marks=pytest.mark.slow),
    pytest.param("carrots", {"pieces": 4, "pushes": 2}, 42, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "options", "horizon"), SIMULATED)
def test_simulated_tasks(name, options, horizon):
    task = carom.envs.make(name, dtype="float64", **options)
    theta = torch.stack([task.initial_parameters(), spread(task)])
    if name == "box_pushing":
        theta = theta + torch.tensor([0.0, 0.03], dtype=theta.dtype).repeat(8)
    exact = Autodiff().estimate(task, theta)
    steps = task.stepwise()
    assert steps.horizon == horizon
    assert torch.allclose(steps(theta), exact.value, rtol=1e-13)
    found = Truncated(window=horizon).estimate(task, theta)
    assert torch.allclose(found.gradient, exact.gradient, rtol=1e-9, atol=1e-11)
    assert float(exact.gradient.norm()) > 0.0


@pytest.fixture(scope="module")
def push():
    """Two tenths of a second of contact; one for all tests, which spares recording it anew."""
    return carom.envs.make("push", dtype="float64", duration=0.2)


def test_any_number_of_steps_at_once(push):
    theta = push.initial_parameters()[None]
    whole = push(theta)
    for every, horizon in ((1, 40), (7, 6), (100, 1)):
        steps = push.stepwise(every)
        assert steps.horizon == horizon
        assert torch.equal(steps(theta), whole)
    with pytest.raises(TaskError, match="every must be"):
        push.stepwise(0)


def test_variants_of_a_task_are_stepped_as_they_are(push):
    theta = push.initial_parameters()[None]
    for other in (push.at_horizon(25), push.at_stiffness(2e3)):
        assert torch.equal(other.stepwise()(theta), other(theta))


@pytest.mark.slow
def test_a_softened_task_is_stepped_with_softened_contact(push):
    theta, soft = push.initial_parameters()[None], push.softened("softplus", 2e-3)
    hard = push.stepwise()(theta)
    assert torch.equal(soft.stepwise()(theta), soft(theta))
    assert not torch.equal(hard, soft(theta))


def test_the_push_has_its_exact_gradient_and_persistent_noise_over_all_of_it_is_smoothing(push):
    theta = push.initial_parameters()
    exact, whole = Autodiff().estimate(push, theta), Truncated(window=4).estimate(push, theta)
    assert torch.allclose(whole.gradient, exact.gradient, rtol=1e-9)
    found = PersistentES(scale=0.01, samples=8, window=4).estimate(push, theta, seed=2)
    known = Smoothing(scale=0.01, samples=8).estimate(push, theta, seed=2)
    assert torch.allclose(found.gradient, known.gradient, rtol=1e-10)


def test_a_step_of_the_simulator_rolled_out_has_the_gradient_of_the_rollout(push):
    # By its Jacobians, step by step, against the adjoint of the whole rollout; three steps of the touching pusher.
    step = carom.sim.SimulatorStep(push.simulator)
    start = step.coordinates.vector(push.model.state(1))[0]
    weights = torch.linspace(-1.0, 1.0, len(start), dtype=start.dtype)
    objective = unrolled_controls(
        step, start, lambda x, u: 0.0 * u.sum(1), 3, controls=2, final_cost=lambda x: x @ weights
    )
    theta = torch.tensor([-0.068, -0.01, -0.067, -0.011, -0.066, -0.012], dtype=torch.float64, requires_grad=True)
    final = push.simulator.rollout(push.model.state(1), theta.reshape(3, 1, 2)).final
    whole = step.coordinates.vector(final, near=start[None]) @ weights
    (expected,) = torch.autograd.grad(whole.sum(), theta)
    found = Truncated(window=3).estimate(objective, theta.detach())
    assert float(found.value) == pytest.approx(float(whole.detach()), rel=1e-12)
    assert torch.allclose(found.gradient, expected, rtol=1e-9, atol=1e-12)
    assert float(expected.norm()) > 1.0
    one = Truncated(window=1).estimate(objective, theta.detach()).gradient
    assert one[:4].tolist() == [0.0] * 4
    assert torch.allclose(one[4:], expected[4:], rtol=1e-9)
