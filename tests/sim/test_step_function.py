"""A step as a function of plain vectors: its coordinates against scipy, its Jacobian against differences."""

import math

import pytest
import torch
from scenes import about, free_body, push, push_targets
from scipy.spatial.transform import Rotation

from carom.sim import ModelBuilder, Simulator, SimulatorStep, State, StateCoordinates, StateError
from carom.sim.derivatives.minimal_coordinates import left_jacobian


def planar(quasi_dynamic=False, **options):
    """A box of two free positions and one angle, and a pusher on a spring along x."""
    b = ModelBuilder(gravity=(0, 0, 0))
    box = b.add_body(position=(0, 0, 0), mass=1.0, locked=("z", "rx", "ry"), name="box")
    b.add_box(box, (0.05, 0.05, 0.05), friction=0.4)
    tip = b.add_body(position=(-0.07, 0.01, 0), mass=0.5, locked=("y", "z", "angular"), name="tip")
    b.add_sphere(tip, 0.02, friction=0.4)
    b.add_actuator(tip, "x", stiffness=1000.0, damping=10.0)
    return SimulatorStep(Simulator(b.finalize(dtype="float64"), threads=1, quasi_dynamic=quasi_dynamic), **options)


def differences(step, x, u, eps=1e-6):
    """A and B by central differences over rows [1, n], extrapolated once."""
    n = x.shape[1]
    moves = torch.cat([torch.eye(n + u.shape[1], dtype=torch.float64)] * 4)
    size = torch.tensor([eps, -eps, eps / 2, -eps / 2], dtype=torch.float64).repeat_interleave(n + u.shape[1])
    moves = size[:, None] * moves
    after = step(x + moves[:, :n], u + moves[:, n:]).view(4, -1, n)
    wide, near = (after[0] - after[1]) / (2 * eps), (after[2] - after[3]) / eps
    jacobian = ((4 * near - wide) / 3).T
    return jacobian[:, :n], jacobian[:, n:]


def test_rotation_vectors_are_scipys():
    model = free_body(rotation=about((1, 2, 3), 1.0)).finalize(dtype="float64")
    coordinates = StateCoordinates(model)
    reference = Rotation.from_quat(model.initial_state.body_q[0, 0, 3:].numpy())
    generator = torch.Generator().manual_seed(0)
    for length in (0.0, 1e-9, 1e-4, 0.003, 0.004, 1.0, 3.1, 4.0, 6.0):
        r = torch.randn(3, generator=generator, dtype=torch.float64)
        x = torch.zeros(1, 12, dtype=torch.float64)
        x[0, 3:6] = length * r / r.norm()
        state = coordinates.state(x)
        expected = Rotation.from_rotvec(x[0, 3:6].numpy()) * reference
        got = Rotation.from_quat(state.body_q[0, 0, 3:].numpy())
        assert (expected.inv() * got).magnitude() < 1e-15
        back = coordinates.vector(state, near=x + 0.01)
        torch.testing.assert_close(back, x, rtol=0, atol=1e-14)


def test_left_jacobian_is_the_derivative_of_scipys_product():
    generator = torch.Generator().manual_seed(1)
    for length in (0.0, 1e-5, 0.0031, 0.0032, 0.5, 2.0, 5.0):
        r = torch.randn(3, generator=generator, dtype=torch.float64)
        r *= length / r.norm()
        before = Rotation.from_rotvec(r.numpy())
        columns = []
        for axis in torch.eye(3, dtype=torch.float64):
            ahead, behind = (Rotation.from_rotvec((r + e * axis).numpy()) * before.inv() for e in (1e-5, -1e-5))
            columns.append(torch.from_numpy((ahead.as_rotvec() - behind.as_rotvec()) / 2e-5))
        torch.testing.assert_close(left_jacobian(r), torch.stack(columns, 1), rtol=0, atol=1e-9)


def test_coordinates_hold_what_is_free():
    step = planar()
    assert step.coordinates.names == (
        "box.x", "box.y", "box.rz", "tip.x", "box.vx", "box.vy", "box.wz", "tip.vx",
    )  # fmt: skip
    assert planar(quasi_dynamic=True).coordinates.names == ("box.x", "box.y", "box.rz", "tip.x")
    x = torch.tensor([[0.1, 0.2, 9.0, -0.2, 1.0, 2.0, 3.0, 4.0]], dtype=torch.float64)  # the box has turned 1.4 times
    state = step.coordinates.state(x)
    expected = torch.tensor([0, 0, math.sin(4.5), math.cos(4.5)], dtype=torch.float64)
    torch.testing.assert_close(state.body_q[0, 0, 3:], expected, rtol=0, atol=1e-15)
    assert state.body_q[0, 1, :3].tolist() == [-0.2, 0.01, 0.0]
    torch.testing.assert_close(step.coordinates.vector(state, near=x + 0.5), x, rtol=0, atol=1e-14)
    # free flight: the angle goes on through 9 + 3 h, it does not jump by a turn
    after = step(x, x[:, 3:4])
    assert float(after[0, 2]) == pytest.approx(9.0 + 3.0 * step.simulator.step_size, abs=1e-12)


def test_planar_jacobian_against_differences():
    step = planar(substeps=3)
    x = step.coordinates.vector(step.simulator.model.state(1))
    x[0, 2], x[0, 7], u = 0.02, 0.3, torch.tensor([[-0.05]], dtype=torch.float64)
    a, b = step.step_jacobian(x, u)
    numeric_a, numeric_b = differences(step, x, u, 1e-7)
    assert float(numeric_a[0, 7]) != 0.0  # in contact
    torch.testing.assert_close(a[0], numeric_a, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(b[0], numeric_b, rtol=1e-6, atol=1e-6)


def test_spatial_jacobian_against_differences():
    """A tumbling box, far from the reference orientation: the rotation vector is not the turn."""
    model = free_body(velocity=(1, 2, 3), angular_velocity=(3, -2, 4)).finalize(dtype="float64")
    step = SimulatorStep(Simulator(model, step=0.02, threads=1))
    x = step.coordinates.vector(model.state(1))
    x[0, 3:6] = torch.tensor([1.5, -1.0, 2.0], dtype=torch.float64)
    a, b = step.step_jacobian(x, x.new_zeros(1, 0))
    numeric, _ = differences(step, x, x.new_zeros(1, 0), 1e-4)
    assert b.shape == (1, 12, 0)
    torch.testing.assert_close(a[0], numeric, rtol=0, atol=1e-9)


def test_push_jacobian_is_autograds():
    """Through the chart by torch and by the matrices of the chart: the same derivative."""
    model = push().finalize(dtype="float64")
    simulator = Simulator(model, threads=1)
    path = simulator.rollout(model.state(), push_targets(40, distance=0.1))
    now = State(path.body_q[30], path.body_v[30])
    step = SimulatorStep(simulator, reference=now)
    # two axes of rotation more than the pusher's none: the box has all
    assert len(step.coordinates) == 2 * 6 + 2 * 2
    x, u = step.coordinates.vector(now), push_targets(40, distance=0.1)[30]
    x = x + 0.0
    x[0, 5] += 0.01
    a, b = step.step_jacobian(x, u)
    by_x, by_u = torch.autograd.functional.jacobian(lambda p, q: step(p, q)[0], (x, u))
    torch.testing.assert_close(a[0], by_x[:, 0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(b[0], by_u[:, 0], rtol=1e-9, atol=1e-9)


def test_refusals():
    model = push().finalize(worlds=2)
    with pytest.raises(StateError, match="one world, this one has 2"):
        SimulatorStep(Simulator(model))
    with pytest.raises(StateError, match="quasi-dynamic"):
        planar(quasi_dynamic=True, velocities=True)
    with pytest.raises(StateError, match="substeps"):
        planar(substeps=0)
    step = planar()
    with pytest.raises(StateError, match=r"\[batch, 1\] .*tip"):
        step(torch.zeros(3, 8), torch.zeros(3, 2))
    with pytest.raises(StateError, match=r"\[worlds, 8\].*box\.rz"):
        step(torch.zeros(3, 7), torch.zeros(3, 1))
    with pytest.raises(StateError, match="one world"):
        StateCoordinates(step.simulator.model, step.simulator.model.state(2))
