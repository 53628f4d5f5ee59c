"""Torques on bodies that spin: the momentum changes by torque times time, whatever the body and the step."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scenes import G, about, free_body, spin_momentum, unrotate

from carom.sim import ModelBuilder, Simulator
from carom.sim.scene.mass import quaternion_matrix

INERTIA = {"disc": (1e-3, 1e-3, 2e-3), "rod": (2e-3, 2e-3, 2e-4), "brick": (1e-3, 2e-3, 2.5e-3)}
TILT = about((0, 1, 0), 0.3)
AXIS = quaternion_matrix(np.array(TILT)) @ [0, 0, 1]


def momenta(model, trajectory):
    return spin_momentum(trajectory.body_q[:, 0], trajectory.body_v[:, 0], model.body_inertia[0, 0])[:, 0]


@pytest.mark.filterwarnings("ignore::carom.sim.SimulationWarning")
@pytest.mark.parametrize("shape", INERTIA)
@pytest.mark.parametrize(("spin", "h"), [(20.0, 0.005), (150.0, 0.001), (400.0, 0.005)])
def test_a_torque_adds_its_impulse(shape, spin, h):
    """Along world axes, for a second, also where a step is far too long for the spin (2 rad)."""
    b = ModelBuilder(gravity=(0, 0, 0))
    body = b.add_body(
        mass=1.0, inertia=np.diag(INERTIA[shape]), rotation=TILT, angular_velocity=tuple(spin * AXIS + [0.3, 0.2, -0.1])
    )
    for axis in ("rx", "ry", "rz"):
        b.add_actuator(body, axis, "force")
    model, steps = b.finalize(dtype="float64"), round(1 / h)
    torque = torch.tensor([0.05, 0.02, -0.03], dtype=torch.float64)
    t = Simulator(model, step=h, threads=1).rollout(model.state(), torque.expand(steps, 1, 3))
    found = momenta(model, t)
    wanted = found[0] + torch.arange(steps + 1, dtype=torch.float64)[:, None] * h * torque
    assert (found - wanted).abs().max() < 1e-11 * wanted.abs().max()


@pytest.mark.filterwarnings("ignore::carom.sim.SimulationWarning")
@pytest.mark.parametrize("h", [1e-3, 5e-4])
def test_a_top_without_friction_keeps_what_its_weight_cannot_change(h):
    """A sphere at the tip on a frictionless floor: the momentum about the vertical stays."""
    b = ModelBuilder()
    b.add_ground(friction=0.0)
    body = b.add_body(position=tuple(0.005 * np.array([0, 0, 1]) + 0.1 * AXIS), rotation=TILT)
    b.add_sphere(body, 0.005, position=(0, 0, -0.1), density=1e-3, friction=0.0)
    b.add_cylinder(body, 0.05, 0.01, density=6000, collision_mask=0)
    model = b.finalize(dtype="float64")
    state = model.state()
    state.body_v[0, 0, 3:] = torch.tensor(150.0 * AXIS)
    t = Simulator(model, step=h, threads=1).rollout(state, steps=round(1 / h))
    found = momenta(model, t)
    assert (found[:, 2] / found[0, 2] - 1).abs().max() < 1e-9
    assert (found[:, :2] - found[0, :2]).norm(dim=1).max() > 0.1 * found[0, 2]  # it does go round


def precession(h, spin=150.0, seconds=0.5):
    """Direction of a top about its fixed tip, from a position actuator that holds nothing but the weight."""
    b = ModelBuilder(gravity=(0, 0, 0))
    body = b.add_body(mass=1.0, inertia=np.diag(INERTIA["disc"]), rotation=TILT, angular_velocity=tuple(spin * AXIS))
    b.add_actuator(body, "rx", "force")
    model, steps = b.finalize(dtype="float64"), round(seconds / h)
    time = (torch.arange(steps, dtype=torch.float64) + 0.5) * h
    control = (0.5 * torch.cos(20.0 * time))[:, None, None]
    t = Simulator(model, step=h, threads=1).rollout(model.state(), control)
    axis = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
    q = t.final.body_q[0, 0, 3:]
    return unrotate(torch.cat([-q[:3], q[3:]])[None], axis)[0], t.final.body_v[0, 0, 3:]


def test_the_motion_under_a_torque_converges():
    """The axis of a disc under a torque that changes is a step's kick and drift: first order, that of leap-frog."""
    poses = [precession(h)[0] for h in (2e-3, 1e-3, 5e-4, 2.5e-4)]
    gaps = [float((a - b).norm()) for a, b in pairwise(poses)]
    orders = [math.log2(a / b) for a, b in pairwise(gaps)]
    assert all(order > 0.9 for order in orders), (gaps, orders)
    assert gaps[0] < 2e-3


def test_attitude_of_a_free_body_is_fourth_order():
    ends = []
    for h in (0.02, 0.01, 0.005, 0.0025):
        model = free_body(angular_velocity=(3, 7, 2)).finalize(dtype="float64")
        t = Simulator(model, step=h, threads=1).rollout(model.state(), steps=round(2 / h))
        ends.append(t.final.body_q[0, 0, 3:])
    gaps = [float((a - b).norm()) for a, b in pairwise(ends)]
    orders = [math.log2(a / b) for a, b in pairwise(gaps)]
    assert all(abs(order - 4.0) < 0.3 for order in orders), (gaps, orders)
    assert gaps[0] < 1e-4


@pytest.mark.parametrize("friction", [0.0, 0.5])
def test_collisions_of_spinning_bodies_keep_the_angular_momentum(friction):
    """Two bricks that hit in space, at up to 60 rad/s: momentum about the common centre."""
    rng = np.random.default_rng(3)
    b = ModelBuilder(gravity=(0, 0, 0))
    for side in (-1, 1):
        body = b.add_body(
            position=(0.06 * side, 0.02 * side, 0.0), rotation=about(rng.normal(size=3), 1.0),
            velocity=(-1.0 * side, 0.2, 0.1 * side), angular_velocity=tuple(rng.normal(size=3) * 35),
        )  # fmt: skip
        b.add_box(body, (0.06, 0.04, 0.02), friction=friction)
    model = b.finalize(dtype="float64")
    t = Simulator(model, step=0.002, threads=1).rollout(model.state(), steps=60)
    total = torch.zeros(61, 3, dtype=torch.float64)
    for body in range(2):
        q, v = t.body_q[:, 0, body], t.body_v[:, 0, body]
        total += spin_momentum(q, v, model.body_inertia[0, body])
        total += model.body_mass[0, body] * torch.linalg.cross(q[:, :3], v[:, :3])
    assert (t.body_v[-1, 0] - t.body_v[0, 0])[:, :3].abs().max() > 0.1  # they met
    assert (total - total[0]).norm(dim=1).max() < 1e-12 * total[0].norm()


def test_weight_does_not_turn_a_free_body():
    model = free_body(gravity=(0, 0, -G), angular_velocity=(30, 70, 20)).finalize(dtype="float64")
    found = momenta(model, Simulator(model, threads=1).rollout(model.state(), steps=200))
    assert (found - found[0]).norm(dim=1).max() < 1e-12 * found[0].norm()
