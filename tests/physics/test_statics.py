"""Thresholds and forces of statics with friction: tipping against sliding, the force on a wedge, its self-locking."""

import math

import numpy as np
import pytest
import torch
from scenes import G

from carom.sim import STATIC, ModelBuilder, Simulator

WIDTH, HEIGHT, MU = 0.1, 0.4, 0.4


def tower(pusher=True):
    b = ModelBuilder()
    b.add_ground(friction=MU)
    box = b.add_body(position=(0, 0, HEIGHT / 2), name="tower")
    b.add_box(box, (WIDTH / 2, 0.05, HEIGHT / 2), friction=MU)
    if pusher:
        ball = b.add_body(position=(-WIDTH / 2 - 0.01, 0, 0.1), mass=1.0, locked=("y", "z", "angular"))
        b.exclude(0, b.add_sphere(ball, 0.01, friction=0.0))
        b.add_actuator(ball, "x", "velocity", damping=1e4)
    else:
        b.add_actuator(box, "x", "force")
        b.add_actuator(box, "ry", "force")
    return b


def tilt(q):
    return 2.0 * q[..., 4].abs()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_slow_push_tips_a_box_above_the_height_of_statics(device, dtype):
    """Pushed at 2 cm/s by a smooth ball at 41 heights: below width / (2 mu) it slides, above it tips. To 0.2 %."""
    model = tower().finalize(dtype=dtype, device=device)
    part = torch.linspace(0.96, 1.04, 41, dtype=model.dtype, device=device)
    state = model.state(41)
    state.body_q[:, 1, 2] = part * WIDTH / (2 * MU)
    speed = 0.02 * torch.linspace(0, 1, 600, dtype=model.dtype, device=device).mul(15).clamp(max=1)
    t = Simulator(model, step=0.005).rollout(state, speed[:, None, None].expand(-1, 41, -1).contiguous(), record=False)
    tipped = tilt(t.final.body_q[:, 0]) > 0.01
    assert tipped[part > 1.005].all()
    assert not tipped[part < 0.995].any()
    slid = t.final.body_q[:, 0, 0][~tipped]
    assert (slid > 0.04).all()  # of 5.8 cm
    # within 0.5 % of the limit a box may be on its way to tip or to turn aside, as rounding decides
    assert tilt(t.final.body_q[:, 0])[part < 0.995].max() < 5e-4


@pytest.mark.parametrize("push", [1.2, 2.0])
def test_accelerated_box_tips_above_the_height_of_dynamics(push):
    """A force F at height z; at the limit the ground acts at the edge: F (z - c) + mu m g c = m g width / 2; c: centre.

    It gains up to the stiction speed over (push - 1) on Coulomb's law while friction builds up.
    """
    model = tower(pusher=False).finalize(dtype="float64")
    weight = float(model.body_mass[0, 0]) * G
    force, centre = push * MU * weight, HEIGHT / 2
    limit = centre + (weight * WIDTH / 2 - MU * weight * centre) / force
    part = torch.linspace(0.96, 1.04, 41, dtype=torch.float64)
    control = torch.stack([torch.full_like(part, force), force * (part * limit - centre)], dim=-1)
    t = Simulator(model, step=0.005).rollout(model.state(41), control.repeat(100, 1, 1), record=False)
    tipped = tilt(t.final.body_q[:, 0]) > 5e-3
    assert tipped[part > 1.005].all()
    assert not tipped[part < 0.995].any()
    assert float(t.final.body_v[0, 0, 0]) == pytest.approx((push - 1) * MU * G * 0.5, abs=1e-3 / (push - 1))


def prism(outline, half_depth=0.05):
    """Points of an outline in the plane of x and z, extruded along y."""
    return np.array([[x, y, z] for x, z in outline for y in (-half_depth, half_depth)])


def wedge_under_a_block(angle, load, weight, *, wall, friction=0.5):
    """A wedge on the ground, its thin end towards +x, under a block whose lower face fits it, 10 cm wide.

    The block leans against a wall, or is guided along z without friction.
    """
    rise = math.tan(angle)
    b = ModelBuilder()
    b.add_ground(friction=friction)
    wedge = b.add_body(mass=weight / G, name="wedge")
    b.add_convex(wedge, prism([(-0.3, 0.0), (0.0, 0.0), (-0.3, 0.3 * rise)]), friction=friction)
    block = b.add_body(mass=load / G, locked=() if wall else ("x", "y", "angular"), name="block")
    low, high = (-0.2, -0.1) if wall else (-0.2, -0.12)
    b.add_convex(block, prism([(low, -low * rise), (high, -high * rise), (low, 0.3), (high, 0.3)]), friction=friction)
    if wall:
        b.add_box(STATIC, (0.05, 0.2, 0.5), position=(high + 0.05, 0, 0.62), friction=friction)
    return b, wedge


@pytest.mark.parametrize("mu", [0.1, 0.2, 0.4])
def test_force_that_drives_a_wedge_under_a_block(mu, device):
    """Three rubbing faces. The load on the wedge is V = W / (1 - mu tan(angle + phi)): the wall holds the block back.

    The force is P = V tan(angle + phi) + mu (V + w). Measured: 0.14 % to 0.34 % less; at the wall, along which the
    block rises at 1 cm/s, friction is regularized by 0.5 %.
    """
    angle, load, weight, damping, speed = 0.2, 200.0, 10.0, 1e5, 0.05
    b, wedge = wedge_under_a_block(angle, load, weight, wall=True, friction=mu)
    b.add_actuator(wedge, "x", "velocity", damping=damping)
    model = b.finalize(dtype="float64", device=device)
    control = speed * torch.linspace(0, 5, 200, dtype=torch.float64, device=device).clamp(max=1)
    t = Simulator(model, step=0.005).rollout(model.state(), control[:, None, None])
    force = damping * (control - t.body_v[1:, 0, wedge, 0])[100:]
    turned = math.tan(angle + math.atan(mu))
    pressed = load / (1 - mu * turned)
    wanted = pressed * turned + mu * (pressed + weight)
    assert (force / wanted - 1).abs().max() < 0.005
    assert float(force.mean()) < wanted  # regularized friction is never more than Coulomb's


def test_wedge_locks_itself_at_twice_the_angle_of_friction(device):
    """Loaded and let go, it is squeezed out if W tan(angle - phi) > (W + w) tan(phi), for w = 0: if angle > 2 phi."""
    angle, load, weight = 0.4, 200.0, 2.0
    model = wedge_under_a_block(angle, load, weight, wall=False)[0].finalize(dtype="float64", device=device)
    mu = np.linspace(0.1, 0.3, 200001)
    limit = float(mu[np.argmin(load * np.tan(angle - np.arctan(mu)) > (load + weight) * mu)])
    assert limit == pytest.approx(math.tan(angle / 2), rel=0.01)
    part = torch.linspace(0.96, 1.04, 41, dtype=torch.float64, device=device)
    friction = (part * limit)[:, None].repeat(1, 3)
    t = Simulator(model, step=0.005, stiction=1e-4).rollout(
        model.state(41), None, {"shape_friction": friction}, steps=200, record=False
    )
    moved = -t.final.body_q[:, 0, 0] + model.state().body_q[0, 0, 0]
    out = moved > 0.01
    assert out[part < 0.995].all()
    assert not out[part > 1.005].any()
