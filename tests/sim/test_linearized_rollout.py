"""Steps of an evaluation of a simulated cost: against the step's Jacobian, differences, and the record of contacts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from carom.envs import make
from carom.gradients.diagnosis import nearby_kinks, spectrum
from carom.sim import ModelBuilder, Simulator, StateError, step_jacobian
from carom.sim.derivatives.linearized_rollout import contact_history, linearize
from carom.sim.state import State


@pytest.fixture(scope="module")
def push():
    return make("push", dtype="float64", duration=0.25)


def test_pulling_rows_is_multiplying_with_the_jacobian(push):
    theta = push.initial_parameters()[None]
    steps = linearize(push.simulator, push, theta)
    assert (steps.steps, steps.state_size) == (push.steps, 24)
    path = push.rollout(theta)
    controls = push.controls(theta)
    seeds = torch.randn(3, 24, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for t in (0, 20, 49):
        state = State(path.body_q[t], path.body_v[t])
        jacobian, _ = step_jacobian(push.simulator, state, controls[t])
        torch.testing.assert_close(steps.pull(t, seeds), seeds @ jacobian[0], rtol=1e-10, atol=1e-12)


def test_gradient_by_step_sums_to_the_gradient(push):
    """The controls are linear in theta: the chain rule through them gives the part of the cost that is simulated."""
    theta = push.initial_parameters()[None]
    steps = linearize(push.simulator, push, theta)
    leaf = theta.clone().requires_grad_()
    (chained,) = torch.autograd.grad((push.controls(leaf)[:, 0] * steps.gradient_by_step).sum(), leaf)
    (direct,) = torch.autograd.grad(push.loss(push.outputs(leaf) * torch.tensor([1.0, 1.0, 1.0, 0.0])).sum(), leaf)
    torch.testing.assert_close(chained, direct, rtol=1e-9, atol=1e-12)


def test_spectrum_of_a_push_is_that_of_the_product(push):
    theta = push.initial_parameters()[None]
    steps = linearize(push.simulator, push, theta)
    found = spectrum(steps, leading=24)
    product = torch.eye(24, dtype=torch.float64)
    for t in reversed(range(steps.steps - 10, steps.steps)):
        product = product @ steps.pull(t, torch.eye(24, dtype=torch.float64))
    exact = torch.linalg.svdvals(product)[:6].log()
    torch.testing.assert_close(found.log_singular_values[9, :6], exact, rtol=0, atol=1e-8)


def falling_balls():
    builder = ModelBuilder()
    builder.add_ground(name="table")
    for i in range(7):
        ball = builder.add_body(position=(0.3 * i, 0.0, 0.05 + 0.02 * i), mass=1.0, name=f"ball{i}")
        builder.add_sphere(ball, 0.05, name=f"ball{i}")
        if i == 0:
            builder.add_actuator(ball, "x", "force")
    return builder.finalize(dtype="float64")


def test_large_scenes_pull_without_jacobians():
    """Seven bodies: rows are pulled one step at a time. In free fall a height depends on height and speed alone."""
    model = falling_balls()
    simulator = Simulator(model, step=0.005)

    def cost(theta):
        control = theta[:, None].expand(1, 12, 1).transpose(0, 1)
        return simulator.rollout(model.state(1), control, record=False).final.body_q[:, 6, 2] + 0.0 * theta[:, 0]

    steps = linearize(simulator, cost, torch.zeros(1, 1, dtype=torch.float64))
    assert steps.state_size == 84
    rows = torch.zeros(1, 84, dtype=torch.float64)
    rows[0, 6 * 6 + 2] = 1.0  # height of the ball that falls longest
    for t in reversed(range(12)):
        rows = steps.pull(t, rows)
    expected = torch.zeros(84, dtype=torch.float64)
    expected[6 * 6 + 2] = 1.0
    expected[42 + 6 * 6 + 2] = 12 * 0.005  # x+ = x + h v+
    torch.testing.assert_close(rows[0], expected, rtol=0, atol=1e-12)


def test_contact_history_of_falling_balls():
    """A ball i falls 2 i cm: semi-implicit Euler covers h^2 g n (n + 1)/2 in n steps."""
    model = falling_balls()
    simulator = Simulator(model, step=0.005)

    def cost(theta):
        control = theta.expand(28, *theta.shape)[..., :1]
        return simulator.rollout(model.state(len(theta)), control, record=False).final.body_q[:, 0, 2]

    active, names = contact_history(simulator, cost, torch.zeros(2, 1, dtype=torch.float64))
    assert active.shape[:2] == (2, 28)
    assert np.array_equal(active[0], active[1])
    first = {name: int(np.argmax(active[0, :, i])) for i, name in enumerate(names)}
    n = np.arange(1, 29)
    fallen = 0.005**2 * 9.81 * n * (n + 1) / 2
    for i in (0, 1, 2, 3, 4):
        landing = 0 if i == 0 else int(np.argmax(fallen >= 0.02 * i))
        # A step looks ahead by the contact's damping time: contact may begin a step or two before the gap closes.
        assert landing - 2 <= first[f"table and ball{i}"] <= landing, (i, first)
    assert "table and ball6" not in names  # 12 cm take 31 steps


def test_a_kink_of_a_real_rollout_is_the_jump_found_by_halving():
    task = make("corner_push", dtype="float64", duration=0.6)
    low, high = task.clear_offset, task.clear_offset + 1e-3
    for _ in range(26):
        middle = 0.5 * (low + high)
        hit = float(task(torch.tensor([[middle, 0.12]], dtype=torch.float64))) > 0.01
        low, high = (middle, high) if hit else (low, middle)
    theta = torch.tensor([task.clear_offset - 5e-4, 0.12], dtype=torch.float64)
    direction = torch.tensor([1e-3, 0.0], dtype=torch.float64)
    # of several changes within an interval the nearest is found: fine enough that the jump has one of its own
    kinks = nearby_kinks(task, theta, direction, grid=200, most=40)
    jump = max(kinks, key=lambda kink: abs(kink.jump))
    assert jump.pair == "box and pusher"
    assert float(theta[0]) + 1e-3 * jump.distance == pytest.approx(low, abs=1e-9)
    assert jump.jump < -0.1


def test_refusals(push):
    with pytest.raises(StateError, match="no rollout"):
        linearize(push.simulator, lambda theta: theta.sum(1), push.initial_parameters()[None])
    with pytest.raises(StateError, match="does not depend"):
        linearize(push.simulator, lambda theta: push(theta).detach(), push.initial_parameters()[None])
    with pytest.raises(StateError, match="no rollout"):
        contact_history(push.simulator, lambda theta: theta.sum(1), push.initial_parameters()[None])
    assert push.simulator.watchers == []
