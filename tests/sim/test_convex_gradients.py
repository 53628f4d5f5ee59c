"""Exact gradients through contacts of convex hulls and cylinders with every other shape, against central differences.

Tolerance as in ``test_gradients.py``: 1e-6 of the derivative plus 1e-10.
"""

import math

import convex_shapes as shapes
import numpy as np
import pytest
import torch
from differences import Problem, compare, directions_for
from scenes import about, multiply, rotate

from carom.sim import ModelBuilder, Simulator, record

ADD = {
    "sphere": lambda b, body, **o: b.add_sphere(body, 0.06, **o),
    "capsule": lambda b, body, **o: b.add_capsule(body, 0.05, 0.08, **o),
    "box": lambda b, body, **o: b.add_box(body, (0.08, 0.07, 0.05), **o),
    "hull": lambda b, body, **o: b.add_convex(body, shapes.cloud(2), **o),
    "cylinder": lambda b, body, **o: b.add_cylinder(body, 0.08, 0.05, **o),
}


def weights(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def final_loss(t):
    q, v = t.final.body_q, t.final.body_v
    return (q * weights(q.shape[1:], 0).to(q)).sum((1, 2)) + 0.3 * (v * weights(v.shape[1:], 1).to(q)).sum((1, 2))


def falls_on(second, first, **options):
    """The first body on the ground, not quite level; the second one drops on it, turned and spinning."""
    b = ModelBuilder()
    b.add_ground(friction=0.5)
    lying = about((1, 0.1, 0), math.pi / 2) if first == "capsule" else about((1, 2, 3), 0.02)
    low = b.add_body(position=(0, 0, 0.09 if first == "hull" else 0.055), rotation=lying, mass=1.3)
    ADD[first](b, low, friction=0.4, **options)
    high = b.add_body(
        position=(0.013, 0.007, 0.28), rotation=about((1, 0.7, 0.2), 1.2), velocity=(0.1, 0.2, -1.0),
        angular_velocity=(1.0, 2.0, 0.5), mass=0.9,
    )  # fmt: skip
    ADD[second](b, high, friction=0.4, **options)
    return b


def slides_on(second, first):
    """Face on face, the second body turned, sliding and turning: a polygon whose corners move and change."""
    b = ModelBuilder()
    b.add_ground(friction=0.5)
    shape = {
        "box": lambda body: b.add_box(body, (0.1, 0.09, 0.05), friction=0.4),
        "hull": lambda body: b.add_convex(body, shapes.box((0.09, 0.1, 0.05)), friction=0.4),
        "cylinder": lambda body: b.add_cylinder(body, 0.09, 0.05, friction=0.4),
    }
    for k, name in enumerate((first, second)):
        body = b.add_body(
            position=(0.013 * k, 0.007 * k, 0.05 + 0.1 * k), rotation=about((0, 0, 1), 0.4 * k),
            velocity=(0.4 * k, 0.1 * k, 0), angular_velocity=(0, 0, 2.0 * k), mass=1.0 + 0.3 * k,
        )  # fmt: skip
        shape[name](body)
    return b


def hands_over():
    """A box over the edge of another, tilted: its face's polygon and a crossing of edges share the stiffness."""
    b = ModelBuilder()
    b.add_ground(friction=0.5)
    low = b.add_body(position=(0, 0, 0.05), mass=1.3)
    b.add_convex(low, shapes.box((0.09, 0.1, 0.05)), friction=0.4)
    turns = [about((0, 1, 0), 0.1), about((1, 0, 0), -0.1), about((0, 0, 1), 0.4)]
    first, second, third = torch.tensor(turns, dtype=torch.float64)
    rotation = multiply(multiply(first, second), third)
    corners = rotate(rotation.expand(8, 4), torch.from_numpy(shapes.box((0.09, 0.1, 0.05))))
    lowest = corners[corners[:, 2].argmin()]
    position = torch.tensor([0.096, 0.02, 0.0987], dtype=torch.float64) - lowest
    high = b.add_body(position=position.tolist(), rotation=rotation.tolist(), velocity=(0.3, 0.1, 0), mass=0.9)
    b.add_convex(high, shapes.box((0.09, 0.1, 0.05)), friction=0.4)
    return b


def check(builder, device, steps=40, felt=0.02):
    model = builder.finalize(dtype="float64", device=device)
    simulator = Simulator(model, tolerance=1e-13)
    state = model.state()
    inputs = {"body_q": state.body_q, "body_v": state.body_v}
    for name in ("body_mass", "body_inertia", "shape_friction", "shape_restitution"):
        inputs[name] = getattr(model, name).clone()
    problem = Problem(simulator, inputs, final_loss, steps, record=False)
    rows = compare(problem, directions_for(inputs, seed=1, entries=1))
    wrong = [r for r in rows if not abs(r[1] - r[2]) <= 1e-6 * r[3] + 1e-10]
    assert not wrong, "\n".join(f"{label}: exact {g:.12e}, differences {d:.12e}" for label, g, d, _ in wrong)
    # the second body felt the first: its velocity is not that of its flight, and the friction of its shape matters
    with torch.no_grad():
        end = simulator.rollout(state, steps=steps, record=False).final.body_v
    change = end[0, 1, :2] - state.body_v[0, 1, :2]
    assert change.norm() > felt


FALLS = [*((second, "hull") for second in ADD), ("cylinder", "cylinder"), ("capsule", "cylinder")]


@pytest.mark.parametrize(("second", "first"), FALLS)
def test_one_falls_on_the_other(second, first, device):
    check(falls_on(second, first), device)


def test_polygon_hands_over_to_edges(device):
    """For as long as both are listed: the contacts of the pair have two different normals."""
    builder, steps = hands_over(), 3
    model = builder.finalize(dtype="float64", device=device)
    simulator = Simulator(model)
    with torch.no_grad():
        seen = record(simulator, simulator.rollout(model.state(), steps=steps))
    for k in range(steps):
        here = seen.contacts(k)
        pair = (seen.contact_body[here] >= 0).all(axis=1)
        assert pair.any()
        normals = seen.contact_normal[here][pair]
        spread = np.linalg.norm(abs(normals) - abs(normals[0]), axis=1).max()
        assert 0.05 < spread < 0.15  # the sine of the angle between them
    check(builder, device, steps, felt=0.005)


@pytest.mark.parametrize(("second", "first"), [("hull", "hull"), ("cylinder", "cylinder")])
def test_one_slides_on_the_other(second, first, device):
    check(slides_on(second, first), device)


@pytest.mark.parametrize(("second", "first"), [("hull", "hull")])
def test_one_bounces_off_the_other(second, first, device):
    check(falls_on(second, first, restitution=0.6), device)
