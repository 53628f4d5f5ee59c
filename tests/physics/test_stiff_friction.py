"""Fast impacts with stiff friction: the right answer in both precisions and both solvers.

Friction is a damper of load mu / stiction against the masses: at 1000 m/s and 1e-6 m/s, 1e11 times a mass a step, which
single precision cannot hold beside the masses. The dense solver used to take such a world for solved before the first
iteration, or to end in NaN.
"""

import math

import pytest
import torch
from scenes import about

from carom.sim import ModelBuilder, Simulator

SPEEDS = (1.0, 10.0, 100.0, 1000.0)
FRICTIONS = (0.0, 0.5, 1.0, 3.0)
SHAPES = ("ball", "box", "rod", "capsule")
DOWN = (0.6, 0.0, -0.8)


def scene(shape, dtype, others):
    """The shape just above the ground; ``others`` more bodies far away make the world one for the island solver."""
    b = ModelBuilder()
    b.add_ground()
    if shape == "ball":
        body = b.add_body(position=(0, 0, 0.07))
        b.add_sphere(body, 0.05)
    elif shape == "box":
        body = b.add_body(position=(0, 0, 0.12), rotation=about((1, 2, 3), 0.5))
        b.add_box(body, (0.06, 0.05, 0.04))
    else:
        half, tilt = (0.5, 0.8) if shape == "rod" else (0.1, 0.1)
        body = b.add_body(position=(0, 0, half * math.sin(tilt) + 0.03), rotation=about((0, 1, 0), math.pi / 2 - tilt))
        b.add_capsule(body, 0.01, half)
    for i in range(others):
        other = b.add_body(position=(1e3 + i, 0, 0.05))
        b.add_sphere(other, 0.05)
    return b.finalize(dtype=dtype)


def ends(shape, dtype, stiction, others=0, steps=4):
    """Final state of the body in every world of SPEEDS x FRICTIONS, velocities in parts of the speed."""
    model = scene(shape, dtype, others)
    speed = torch.tensor([v for v in SPEEDS for _ in FRICTIONS], dtype=model.dtype)
    friction = torch.tensor([mu for _ in SPEEDS for mu in FRICTIONS], dtype=model.dtype)
    state = model.state()
    q, v = (x.expand(len(speed), -1, -1).clone() for x in (state.body_q, state.body_v))
    v[:, 0, :3] = speed[:, None] * torch.tensor(DOWN, dtype=model.dtype)
    state.body_q, state.body_v = q, v
    values = {"shape_friction": friction[:, None].expand(-1, model.shapes).contiguous()}
    simulator = Simulator(model, stiction=stiction, threads=1, allow_overlap=True)
    t = simulator.rollout(state, parameters=values, steps=steps)
    v = t.final.body_v[:, 0].double() / speed[:, None].double()
    v[:, 3:] *= 0.05  # the speed of a point at 5 cm
    return torch.cat([t.final.body_q[:, 0].double(), v], dim=1)


@pytest.mark.filterwarnings("ignore::carom.sim.SimulationWarning")
@pytest.mark.parametrize("shape", ["ball", "box"])
def test_fast_impacts_are_those_of_double_precision(shape):
    check(shape, (1e-3, 1e-6))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::carom.sim.SimulationWarning")
@pytest.mark.parametrize("shape", SHAPES)
def test_fast_impacts_are_those_of_double_precision_for_all(shape):
    check(shape, (1e-3, 1e-4, 1e-5, 1e-6))


def check(shape, stictions):
    for stiction in stictions:
        wanted = ends(shape, "float64", stiction)
        for dtype, others in (("float64", 2), ("float32", 0), ("float32", 2)):
            found = ends(shape, dtype, stiction, others)
            gap = (found[:, 7:] - wanted[:, 7:]).abs().amax(dim=1)
            bound = 1e-3 if dtype == "float32" else 1e-6
            assert (gap < bound).all(), (stiction, dtype, others, gap)


@pytest.mark.parametrize("others", [0, 2])
def test_a_leaning_rod_slides_and_sticks(others):
    """A metre long, 2 cm thick, in single precision at a friction of 2 and 3: it used not to converge."""
    for mu in (2.0, 3.0):
        for angle in (0.52, 1.31):
            b = ModelBuilder()
            b.add_ground(friction=mu)
            body = b.add_body(
                position=(0, 0, 0.5 * math.sin(angle) + 0.015), rotation=about((0, 1, 0), math.pi / 2 - angle),
                velocity=(-6.0, 0, 0),
            )  # fmt: skip
            b.add_capsule(body, 0.01, 0.5, friction=mu)
            for i in range(others):
                ball = b.add_body(position=(50 + i, 0, 0.05))
                b.add_sphere(ball, 0.05)
            model = b.finalize()
            t = Simulator(model, threads=1).rollout(model.state(), steps=150)
            assert t.diagnostics.penetration[0] < 1e-3
            assert t.final.body_q[0, 0, 2] > 0.009
