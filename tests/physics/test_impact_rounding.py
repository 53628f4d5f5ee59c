"""Impacts where rounding decides: far from the origin, of tiny bodies, of faces whose corners differ by a rounding."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import warp as wp

from carom.kernels.restitution import worlds
from carom.sim import ModelBuilder, Simulator

WORLDS = 200


@pytest.mark.parametrize(
    ("dtype", "place"), [("float32", 0.0), ("float32", 10.0), ("float32", 60.0), ("float64", 100.0), ("float64", 5e3)]
)
def test_balls_that_meet_far_away_change_speeds(dtype, place):
    """At 200 phases of the impact within the step; single precision has coordinates to 4e-6 m at 60 m."""
    b = ModelBuilder(gravity=(0, 0, 0))
    for side in (-1.0, 1.0):
        body = b.add_body(position=(place + 0.15 * side, 0, 0), velocity=(-side, 0, 0), mass=1.0)
        b.add_sphere(body, 0.1, restitution=1.0, friction=0.0)
    model = b.finalize(dtype=dtype)
    state = model.state(WORLDS)
    state.body_q[:, 1, 0] += torch.linspace(0.0, 0.02, WORLDS, dtype=model.dtype)
    v = Simulator(model, step=0.005).rollout(state, steps=25).final.body_v[:, :, 0]
    np.testing.assert_allclose(v.double().numpy(), np.tile([-1.0, 1.0], (WORLDS, 1)), rtol=0, atol=2e-3)


@pytest.mark.parametrize("radius", [5e-5, 3e-4, 1.0, 300.0])
def test_ball_of_any_size_bounces_in_single_precision(radius):
    """Steel: an inertia of 4e-18 to 3e16 kg m^2. Lengths go with the radius, times with its root."""
    found = {}
    for dtype in ("float32", "float64"):
        b = ModelBuilder(gravity=(0, 0, -9.81))
        b.add_ground(restitution=0.8, friction=0.3)
        ball = b.add_body(position=(0, 0, 2.0 * radius), velocity=(0.3 * math.sqrt(radius), 0, 0))
        b.add_sphere(ball, radius, density=7800.0, restitution=0.8, friction=0.3)
        model = b.finalize(dtype=dtype)
        simulator = Simulator(
            model, step=0.01 * math.sqrt(radius), restitution_threshold=0.1 * math.sqrt(radius),
            stiction=1e-3 * math.sqrt(radius), contact_margin=1e-3 * radius,
        )  # fmt: skip
        final = simulator.rollout(model.state(), steps=60).final
        found[dtype] = torch.cat([final.body_q[0, 0, :3] / radius, final.body_v[0, 0, :3] / math.sqrt(radius)]).double()
    assert float(found["float64"][5]) > 1.0  # upwards
    np.testing.assert_allclose(found["float32"], found["float64"], rtol=0, atol=2e-3)


@pytest.mark.parametrize("depth", [-3e-7, -6e-8, 0.0, 6e-8, 3e-7])
def test_box_that_lands_flat_does_not_tumble(depth):
    """All corners are in the cluster, also where the faces overlapped by a rounding when the step began."""
    b = ModelBuilder(gravity=(0, 0, 0))
    b.add_ground(restitution=0.5, friction=0.5)
    turn = 0.3
    box = b.add_body(
        position=(0.2, 0.1, 0.5 + depth), rotation=(0, 0, math.sin(turn / 2), math.cos(turn / 2)), velocity=(0, 0, -1.0)
    )
    b.add_box(box, (0.5, 0.5, 0.5), restitution=0.5, friction=0.5)
    model = b.finalize(dtype="float32")
    v = Simulator(model, step=0.005, allow_overlap=True).rollout(model.state(), steps=2).final.body_v[0, 0]
    assert float(v[2]) == pytest.approx(0.5, abs=2e-3)
    assert float(v[3:].abs().max()) < 2e-3


def test_steps_in_a_row_are_counted_by_their_numbers():
    """Steps without an event are not looked at, so that their numbers tell whether two follow each other."""
    taken, number = wp.zeros(2, dtype=wp.int32, device="cpu"), wp.zeros(2, dtype=wp.int32, device="cpu")
    late, staged = worlds.Late(2, "cpu"), wp.zeros(2, dtype=wp.int32, device="cpu")
    late.clear()
    rounds = SimpleNamespace(taken=taken, single=8)
    for step, many in ((1, (9, 9)), (2, (9, 0)), (3, (9, 9)), (5, (9, 9)), (6, (9, 9)), (7, (8, 9))):
        number.fill_(step)
        taken.assign(np.array(many, dtype=np.int32))
        worlds.count_late(wp.float64, rounds, number, late, staged)
        assert (staged.numpy() == (np.array(many) > 0)).all()
    assert late.most.numpy().tolist() == [3, 3]
