"""Impacts of bodies that actuators drive, without gravity: the force acts before the impact and after it."""

import math

import pytest
import torch

from carom.sim import ModelBuilder, Simulator, State

FORCE, GAP, TIME = 3.0, 0.5, 0.8


@pytest.mark.parametrize("h", [0.02, 0.008, 1 / 480])
@pytest.mark.parametrize("e", [1.0, 0.4])
def test_a_driven_ball_meets_a_wall_with_the_speed_of_its_way(h, e):
    """v^2 = 2 a d at the impact, at any phase of the step; and its derivatives by the force of all steps alike.

    The place was off by up to 6e-3 m at 20 ms where only gravity's acceleration had a part in the path of the step.
    """
    b = ModelBuilder(gravity=(0.0, 0.0, 0.0))
    b.add_plane(rotation=(0.0, math.sqrt(0.5), 0.0, math.sqrt(0.5)), restitution=e, friction=0.0)  # faces +x
    body = b.add_body(position=(0.1 + GAP, 0.0, 0.0), mass=1.3, locked=("y", "z", "angular"))
    b.add_sphere(body, 0.1, restitution=e, friction=0.0)
    b.add_actuator(body, "x", kind="force")
    m = b.finalize(dtype="float64")
    steps = round(TIME / h)
    push = torch.tensor(FORCE, dtype=torch.float64, requires_grad=True)
    a = push / 1.3
    v = torch.zeros(6, dtype=torch.float64)
    v = torch.cat([(0.5 * h * a)[None], v[1:]])[None, None]  # at rest at the start; stored half a step earlier
    final = Simulator(m, step=h).rollout(State(m.state().body_q, v), -push.expand(steps, 1, 1), steps=steps).final

    hit = (2 * GAP / a).sqrt()
    left = steps * h - hit
    place = 0.1 + e * a * hit * left - 0.5 * a * left**2
    speed = e * a * hit - a * (left - 0.5 * h)
    assert float(final.body_q[0, 0, 0].detach()) == pytest.approx(float(place.detach()), abs=1e-12)
    assert float(final.body_v[0, 0, 0].detach()) == pytest.approx(float(speed.detach()), abs=1e-11)
    (found,) = torch.autograd.grad(final.body_q[0, 0, 0], push, retain_graph=True)
    (wanted,) = torch.autograd.grad(place, push)
    assert float(found) == pytest.approx(float(wanted), rel=1e-9)
