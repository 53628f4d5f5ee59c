"""The simulated testbeds, against conservation laws, an integrator of scipy, and formulas for one collision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate

from carom.envs.testbeds import (
    BallWithWall,
    Bounce,
    Curling,
    DiscPacking,
    DoublePendulum,
    DragByFriction,
    MomentumTransfer,
    StiffCurling,
    TentMap,
    TwoDiscs,
)


def forces(steps: int, rows: int = 3) -> torch.Tensor:
    """Some forces that are not constant, [rows, steps]."""
    t = torch.arange(steps, dtype=torch.float64)
    return torch.stack([2.0 + torch.sin(0.1 * t * (row + 1)) for row in range(rows)])


@pytest.mark.parametrize("testbed", [Curling(), StiffCurling(), Curling(softening=0.01), DragByFriction()])
def test_two_masses_keep_the_balance_of_momentum(testbed):
    theta = forces(testbed.steps)
    states = testbed.trajectory(theta)
    momentum = testbed.mass * states[:, 2:].sum(1)
    expected = testbed.damping * momentum[:-1] + testbed.step * theta.T
    torch.testing.assert_close(momentum[1:], expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(states[1:, :2], states[:-1, :2] + testbed.step * states[1:, 2:], rtol=0, atol=1e-13)
    assert float((states[-1, 3] - states[0, 3]).abs().min()) > 0.1, "the second mass was not touched"


def test_curling_tends_to_the_differential_equation():
    # Damping d a step is a drag of (1 - d)/h per unit of velocity.
    end, k, m = 1.0, 10.0, 0.1

    def motion(t, s):
        force = k * max(0.0, 1.0 - (s[1] - s[0]))
        u = 2.0 + math.sin(5.0 * t)
        return [s[2], s[3], (u - force) / m - 0.4 * s[2], force / m - 0.4 * s[3]]

    exact = integrate.solve_ivp(motion, (0.0, end), [0.0, 1.0, 0.0, 0.0], rtol=1e-11, atol=1e-12).y[:, -1]
    errors = []
    for steps in (200, 400, 800):
        h = end / steps
        theta = 2.0 + torch.sin(5.0 * h * torch.arange(steps, dtype=torch.float64))[None]
        testbed = Curling(steps=steps, step=h, damping=1.0 - 0.4 * h)
        errors.append(np.abs(testbed.trajectory(theta)[-1, :, 0].numpy() - exact).max())
    assert errors[-1] < 0.02
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.1), "first order in the step"
    assert errors[1] / errors[2] == pytest.approx(2.0, rel=0.1), "first order in the step"


def test_friction_drags_saturates_and_is_lost():
    testbed = DragByFriction()
    mu, vs, m = testbed.friction, testbed.slip_speed, testbed.mass
    # A force below twice the most that friction carries drags both along, with a slip that stays below vs ...
    gentle = testbed.trajectory(torch.full((1, testbed.steps), 0.2, dtype=torch.float64))[:, :, 0]
    slip = gentle[:, 2] - gentle[:, 3]
    assert float(slip[200]) == pytest.approx(0.1 / mu, rel=1e-6), "both accelerate alike: half of the force is friction"
    # ... a larger one saturates it: the second mass then accelerates at mu vs / m until the gap is the width
    hard = testbed.trajectory(torch.full((1, testbed.steps), 1.0, dtype=torch.float64))[:, :, 0]
    acceleration = hard[:, 3].diff() / testbed.step
    touching = (hard[:-1, 0] - hard[:-1, 1]).abs() < testbed.width
    sliding = touching & (hard[:-1, 2] - hard[:-1, 3] > vs)
    assert int(sliding.sum()) > 20
    torch.testing.assert_close(
        acceleration[sliding], torch.full_like(acceleration[sliding], mu * vs / m), rtol=1e-9, atol=1e-9
    )
    assert not bool(touching[-1])
    assert float(acceleration[~touching].abs().max()) == 0.0


def lagrangian_motion(t, s, g=9.81):
    """Double pendulum of two unit masses and rods by its mass matrix, angles from straight down."""
    q1, q2, w1, w2 = s
    c, d = math.cos(q1 - q2), math.sin(q1 - q2)
    mass = np.array([[2.0, c], [c, 1.0]])
    load = np.array([-d * w2**2 - 2.0 * g * math.sin(q1), d * w1**2 - g * math.sin(q2)])
    return [w1, w2, *np.linalg.solve(mass, load)]


def test_double_pendulum_tends_to_the_differential_equation():
    start = [math.pi / 2, 0.0, 5.0, -5.0]
    end = 0.6
    exact = integrate.solve_ivp(lagrangian_motion, (0.0, end), start, rtol=1e-11, atol=1e-12).y[:, -1]
    errors, drifts = [], []
    for steps in (600, 1200, 2400):
        testbed = DoublePendulum(steps=steps, step=end / steps)
        states = testbed.trajectory(torch.tensor([start], dtype=torch.float64))
        errors.append(np.abs(states[-1, :, 0].numpy() - exact).max())
        energy = testbed.energy(states)[:, 0]
        drifts.append(float((energy[-1] - energy[0]).abs()))
    for found in (errors, drifts):
        assert found[0] / found[1] == pytest.approx(2.0, rel=0.1), "first order in the step"
        assert found[1] / found[2] == pytest.approx(2.0, rel=0.1), "first order in the step"
    assert errors[-1] < 0.02
    assert drifts[-1] < 0.01 * float(energy.abs().max())


def test_forces_of_the_packing_are_minus_the_slope_of_its_energy():
    testbed = DiscPacking(discs=12, momentum=0.0, steps=40)
    diameter = torch.tensor([0.6, 0.9], dtype=torch.float64)
    positions = testbed.initial_positions(diameter).requires_grad_()
    total = testbed.discs * testbed.energy(positions, diameter)
    (slope,) = torch.autograd.grad(total.sum(), positions)
    found = testbed.forces(positions.detach(), diameter)
    torch.testing.assert_close(found, -slope, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(found.sum(1), torch.zeros(2, 2, dtype=torch.float64), rtol=0, atol=1e-14)
    # periodic: a shift of all by any vector, and of one by the box, change nothing
    moved = positions.detach() + torch.tensor([0.3, -0.8], dtype=torch.float64)
    moved[:, 3, 0] += testbed.box(diameter)
    torch.testing.assert_close(testbed.forces(moved, diameter), found, rtol=1e-10, atol=1e-12)
    area = testbed.discs / 2 * math.pi / 4 * (diameter.square() + 1.0)
    torch.testing.assert_close(area / testbed.box(diameter).square(), torch.full_like(area, testbed.packing))
    settled = testbed.energy(testbed.settle(diameter), diameter)
    assert bool((settled < 0.2 * testbed.energy(positions.detach(), diameter)).all()), "gradient descent goes down"


def flight(angle: float) -> float:
    """Where a thrown ball stops, by following it: small steps of exact parabola, wall and ground checked."""
    speed, g, wall, top = 1.0, 9.81, 0.06, 0.02
    t = np.linspace(0.0, 2.0 * speed * math.sin(angle) / g, 200_001)
    x, y = speed * math.cos(angle) * t, speed * math.sin(angle) * t - 0.5 * g * t * t
    past = np.flatnonzero(x > wall)
    if len(past) and y[past[0]] <= top:
        return wall
    return float(x[-1])


@pytest.mark.parametrize("angle", [0.1, 0.25, 0.35, 0.6, 0.68, 0.7, math.pi / 4, 1.1, 1.19, 1.21, 1.3, 1.5])
def test_ball_with_wall_by_following_the_ball(angle):
    got = BallWithWall().distance(torch.tensor([[angle]], dtype=torch.float64))
    assert float(got) == pytest.approx(flight(angle), abs=1e-6)


def test_breaks_of_the_throws_are_where_the_cost_breaks():
    unreachable = BallWithWall(wall_height=0.04), BallWithWall(wall_distance=0.2)
    for testbed in (BallWithWall(), *unreachable, MomentumTransfer()):
        breaks = testbed.breaks(-1.0, 2.0)
        grid = torch.linspace(-1.0, 2.0, 300_001, dtype=torch.float64)
        cost, slope = testbed.value_and_gradient(grid[:, None])
        # the slope jumps, or the cost does, by more than curvature makes it on one cell of 1e-5
        rough = ((slope[1:] - slope[:-1]).abs()[:, 0] > 1e-3) | ((cost[1:] - cost[:-1]).abs() > 1e-4)
        found = grid[:-1][rough]
        assert len(found) == len(breaks)
        assert torch.allclose(found, breaks, atol=2e-5)


def test_tent_map_is_a_triangle_wave_and_its_orbit_parts_at_log_two():
    testbed = TentMap(steps=12)
    x = torch.linspace(0.0, 1.0, 1001, dtype=torch.float64)[:, None]
    wave = 2.0 / math.pi * torch.asin(torch.sin(math.pi * 2.0**11 * x[:, 0]).abs())
    torch.testing.assert_close(testbed(x), wave, rtol=0, atol=1e-8)
    slopes = testbed.value_and_gradient(x + 1e-5)[1]
    assert bool((slopes.abs() == 2.0**12).all())
    assert math.log(float(slopes[0].abs())) / 12 == pytest.approx(testbed.lyapunov_exponent, rel=1e-14)


@pytest.mark.parametrize("y", [0.45, 0.6, 0.7331, 0.95])
def test_bounce(y):
    theta = torch.tensor([[y]], dtype=torch.float64)
    sharp, naive = Bounce(), Bounce(method="fixed_step")
    value, slope = sharp.value_and_gradient(theta)
    assert float(value) == pytest.approx(0.1 + abs(y - 0.1 - 0.816), abs=1e-13)
    assert float(slope) == (-1.0 if y < 0.916 else 1.0)
    value, slope = naive.value_and_gradient(theta)
    assert abs(float(value) - (0.1 + abs(y - 0.1 - 0.816))) < 0.008, "late by one step at most, down and up"
    assert float(slope) == 1.0
    assert float(naive.smoothed_gradient(theta, 0.01)) == pytest.approx(-1.0 if y < 0.916 else 1.0, abs=1e-3)


def test_two_discs_by_an_event_of_scipy():
    testbed = TwoDiscs()
    for u in ([3.2, 2.9], [2.5, 3.4], [3.0, 3.0], [-1.0, 2.0]):

        def overlap(t, s):
            return math.hypot(-1.0 - s[0], -1.0 - s[1]) - 0.4

        overlap.terminal = True  # type: ignore[attr-defined]
        run = integrate.solve_ivp(
            lambda t, s, u=u: [s[2], s[3], *u], (0, 1), [-2, -2, 0, 0], events=overlap, max_step=0.01, rtol=1e-11
        )
        end = np.array([-1.0, -1.0])
        if len(run.t_events[0]):
            s = run.y_events[0][0]
            n = (np.array([-1.0, -1.0]) - s[:2]) / 0.4
            end = end + n * (n @ s[2:]) * (1.0 - run.t_events[0][0])
        expected = end @ end + 0.01 * np.dot(u, u)
        theta = torch.tensor([u], dtype=torch.float64)
        assert float(testbed(theta)) == pytest.approx(expected, abs=1e-9)
        fine = TwoDiscs(method="fixed_step", steps=4000)
        assert float(fine(theta)) == pytest.approx(expected, abs=3e-3), "the fixed step tends to the same cost"


def test_fixed_step_gives_another_gradient_however_small_the_step():
    # Published: the time of impact must be differentiated; refining the step does not mend the gradient.
    theta = TwoDiscs().initial_parameters()[None]
    exact = TwoDiscs().value_and_gradient(theta)[1]
    for steps in (480, 1500):
        wrong = TwoDiscs(method="fixed_step", steps=steps).value_and_gradient(theta)[1]
        assert float((wrong - exact).norm() / exact.norm()) > 0.1
