"""Slip that starts or stops within a step: what lands while it slides stays down, what is hit sideways too.

A near-rigid contact without friction gives back 1.4 % of the speed of approach (critical damping over one period of a
step), so hops are compared with those of the same body without friction.
"""

import math

import pytest
import torch
from differences import Problem, compare, directions_for
from scenes import G, about

from carom.sim import PARAMETERS, LogBarrier, ModelBuilder, Simulator, Softplus, State

FRICTIONS = (0.1, 0.3, 0.5, 0.8, 1.2)
SPEEDS = (0.0, 0.3, 1.0, 3.0, 10.0)
CUBE = [(x, y, z) for x in (-0.1, 0.1) for y in (-0.1, 0.1) for z in (-0.1, 0.1)]


def shape_on(b, body, shape):
    """Every shape is 0.1 m below the body's centre."""
    match shape:
        case "ball":
            b.add_sphere(body, 0.1)
        case "box":
            b.add_box(body, (0.1, 0.1, 0.1))
        case "capsule":
            b.add_capsule(body, 0.1, 0.1)
        case "cylinder":
            b.add_cylinder(body, 0.1, 0.1)
        case "hull":
            b.add_convex(body, CUBE)


def lander(shape, support="ground", locked=()):
    """A body that touches what is below it: the ground, or a free slab of ten times its mass on smooth ground."""
    b = ModelBuilder()
    b.add_ground()
    top = 0.0
    if support == "slab":
        slab = b.add_body(position=(0, 0, 0.1), mass=10.0, name="slab", locked="angular")
        b.add_box(slab, (3.0, 3.0, 0.1))
        top = 0.2
    body = b.add_body(
        position=(0, 0, top + 0.1), mass=1.0, name="body", locked=locked,
        rotation=about((1, 0, 0), math.pi / 2) if shape == "capsule" else (0, 0, 0, 1),
    )  # fmt: skip
    shape_on(b, body, shape)
    return b


def highest(builder, step, frictions, velocities, *, smooth=(), seconds=0.05, **options):
    """Greatest upward speed of the last body in each world [worlds], by friction and start velocity."""
    model = builder.finalize(dtype="float64")
    worlds = len(velocities)
    state = model.state(worlds)
    state.body_v[:, -1] = velocities
    friction = frictions[:, None].repeat(1, model.shapes)
    for shape in smooth:
        friction[:, shape] = 0.0
    t = Simulator(model, step=step, **options).rollout(
        state, parameters={"shape_friction": friction}, steps=max(6, round(seconds / step))
    )
    return t.body_v[:, :, -1, 2].max(0).values, t


def grid(down=1.0, spin=(0.0, 0.0, 0.0)):
    cases = [(mu, speed) for mu in FRICTIONS for speed in SPEEDS]
    frictions = torch.tensor([mu for mu, _ in cases], dtype=torch.float64)
    velocities = torch.tensor([(speed, 0.4 * speed, -down, *spin) for _, speed in cases], dtype=torch.float64)
    return frictions, velocities


@pytest.mark.parametrize("step", [0.001, 0.002, 0.005, 0.01])
@pytest.mark.parametrize(
    ("shape", "locked", "spin"),
    [
        ("ball", (), (0, 0, 0)),
        ("ball", (), (20, -30, 10)),
        ("capsule", ("rx", "ry", "rz"), (0, 0, 0)),
        ("box", ("rx", "ry", "rz"), (0, 0, 0)),
        ("cylinder", ("rx", "ry"), (0, 0, 20)),
        ("hull", ("rx", "ry"), (0, 0, 20)),
    ],
)
def test_what_lands_while_it_slides_does_not_hop(shape, locked, spin, step):
    frictions, velocities = grid(spin=spin)
    builder = lander(shape, locked=locked)
    hop, _ = highest(builder, step, frictions, velocities)
    without, _ = highest(builder, step, torch.zeros_like(frictions), velocities)
    assert (hop - without).max() < 0.01
