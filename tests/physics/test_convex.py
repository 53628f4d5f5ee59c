"""Convex bodies in motion: the same as boxes where they are boxes, momentum, rest, and exact gradients."""

import convex_shapes as shapes
import numpy as np
import pytest
import torch
from differences import Problem, compare, directions_for
from scenes import about, rotate, run, spin_momentum

from carom.sim import ModelBuilder, Simulator

HALF = (0.06, 0.05, 0.04)


def turned(q, points):
    """Points [n, 3] turned by a quaternion, as numpy."""
    x = torch.as_tensor(np.asarray(points), dtype=torch.float64)
    return rotate(torch.as_tensor(q, dtype=torch.float64).expand(len(x), 4), x).numpy()


def boxes(kinds, poses, gravity=(0, 0, -9.81), ground=True, **body):
    """Boxes, each given as a "box" or as its "hull"."""
    b = ModelBuilder(gravity=gravity)
    if ground:
        b.add_ground()
    for kind, (position, rotation) in zip(kinds, poses, strict=True):
        number = b.add_body(position=position, rotation=rotation, **body)
        if kind == "box":
            b.add_box(number, HALF)
        else:
            b.add_convex(number, shapes.box(HALF))
    return b


SCENES = {
    "dropped": ([((0, 0, 0.2), about((1, 2, 3), 1.0))], {}),
    "sliding": ([((0, 0, 0.04), about((0, 0, 1), 0.3))], {"velocity": (1.0, 0.2, 0.0)}),
    "stacked": ([((0, 0, 0.04), about((0, 0, 1), 0.3)), ((0.01, 0.01, 0.121), about((0, 0, 1), -0.2)),
                 ((0.0, -0.01, 0.202), about((0, 0, 1), 1.0))], {}),
}  # fmt: skip


@pytest.mark.parametrize("scene", SCENES)
def test_a_box_given_as_a_hull_moves_as_a_box(scene, device):
    poses, options = SCENES[scene]
    ends = []
    for kinds in (["box"] * 3, ["hull"] * 3, ["hull", "box", "hull"]):
        t = run(boxes(kinds[: len(poses)], poses, **options), device=device, steps=150, step=0.005)
        ends.append(torch.cat([t.final.body_q, t.final.body_v], -1).cpu())
    assert (ends[1] - ends[0]).abs().max() < 1e-6
    assert (ends[2] - ends[0]).abs().max() < 1e-6


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_momentum_in_collisions(dtype, device):
    """Four different bodies run into each other in free space."""
    b = ModelBuilder(gravity=(0, 0, 0))
    starts = np.array([[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]]) * 0.12
    points = (shapes.tetrahedron(), shapes.dodecahedron(), shapes.cloud(), shapes.icosahedron())
    for x, p in zip(starts, points, strict=True):
        body = b.add_body(position=x, velocity=-5.0 * x + [0.05, 0.02, 0.0], angular_velocity=(1.0, 2.0, -1.0))
        b.add_convex(body, p)
    model = b.finalize(device=device, dtype=dtype)
    t = Simulator(model, step=0.005).rollout(model.state(), steps=100)
    q, v = t.body_q.double().cpu()[:, 0], t.body_v.double().cpu()[:, 0]
    mass = model.body_mass[0].double().cpu()
    linear = (mass[:, None] * v[..., :3]).sum(1)
    spin = torch.stack([spin_momentum(q[:, i], v[:, i], model.body_inertia[0, i].cpu()) for i in range(4)]).sum(0)
    angular = spin + (mass[:, None] * torch.linalg.cross(q[..., :3], v[..., :3])).sum(1)
    assert t.diagnostics.contacts.max() > 0
    assert (v[-1] - v[0]).abs().max() > 0.1  # they met
    size = (mass * v[0, :, :3].norm(dim=-1)).sum()
    assert (linear - linear[0]).abs().max() / size < (1e-5 if dtype == "float32" else 1e-13)
    assert (angular - angular[0]).abs().max() / (0.2 * size) < 2e-3  # the order of the time step


@pytest.mark.parametrize("name", ["icosahedron", "tetrahedron", "dodecahedron", "cloud"])
def test_comes_to_rest_on_a_face(name, device):
    b = ModelBuilder()
    b.add_ground(friction=0.8)
    body = b.add_body(position=(0, 0, 0.25), rotation=about((1, 2, 3), 1.0), angular_velocity=(1.0, -2.0, 0.5))
    b.add_convex(body, getattr(shapes, name)(), friction=0.8)
    t = run(b, device=device, steps=1600, step=0.005)
    assert t.final.body_v.abs().max() < 2e-3
    mesh = b.finalize(dtype="float64").meshes[0]
    q = t.final.body_q[0, 0].cpu()
    heights = turned(q[3:], mesh.vertices)[:, 2] + float(q[2])
    resting = np.flatnonzero(heights < 1e-4)
    assert heights.min() > -1e-4
    faces = [set(mesh.loop[a:b].tolist()) for a, b in zip(mesh.loop_start[:-1], mesh.loop_start[1:], strict=True)]
    assert set(resting.tolist()) in faces


def test_hull_stands_on_a_hull(device):
    b = ModelBuilder()
    b.add_ground()
    z = 0.0
    for k in range(4):  # prisms of 16 sides on top of each other, each turned against the one below
        body = b.add_body(position=(0.003 * k, 0.0, z + 0.03), rotation=about((0, 0, 1), 0.13 * k))
        b.add_cylinder(body, 0.05, 0.03, sides=16)
        z += 0.06
    t = run(b, device=device, steps=600, step=0.005)
    assert t.final.body_v.abs().max() < 1e-3
    assert (t.final.body_q - t.body_q[0]).abs().max() < 1e-3


def loss(t):
    q, v = t.final.body_q, t.final.body_v
    return (q[..., :3] * q.new_tensor([1.0, 0.7, -2.0])).sum((1, 2)) + 0.1 * (v * v).sum((1, 2)) + q[:, 0, 3:6].sum(-1)


def pushed_piece():
    b = ModelBuilder()
    b.add_ground(friction=0.4)
    mesh = shapes.cloud(3)
    turn = about((1, 0.5, 0.2), 0.4)
    low = turned(turn, mesh)[:, 2].min()
    body = b.add_body(position=(0, 0, 1e-5 - low), rotation=turn, velocity=(0.3, 0.1, 0.0), name="piece")
    b.add_convex(body, mesh, friction=0.4)
    pusher = b.add_body(position=(-0.2, 0.01, 0.08), mass=1.0, locked=("z", "angular"), name="pusher")
    b.add_convex(pusher, shapes.box((0.05, 0.1, 0.05)))
    b.add_actuator(pusher, "x", stiffness=1000.0, damping=100.0)
    b.exclude(0, 2)
    control = torch.linspace(-0.2, -0.05, 40, dtype=torch.float64)[:, None, None]
    return b, control


def hull_on_hull():
    b = ModelBuilder()
    b.add_ground(friction=0.5)
    one = b.add_body(position=(0, 0, 0.05))
    b.add_convex(one, shapes.box((0.12, 0.1, 0.05)), friction=0.5)
    two = b.add_body(position=(0.02, 0.01, 0.13), rotation=about((0, 0, 1), 0.4), velocity=(0.2, 0.1, 0.0))
    b.add_convex(two, shapes.box((0.05, 0.04, 0.03)), friction=0.5)
    return b, None


def edges_crossing():
    b = ModelBuilder(gravity=(0, 0, 0))
    for k, axis in enumerate(((1, 0, 0), (0, 1, 0))):
        body = b.add_body(
            position=(0.003 * k, 0.004 * k, 0.15 * k), rotation=about(axis, np.pi / 4), velocity=(0.02 * k, 0, -0.5 * k)
        )
        b.add_convex(body, shapes.box((0.05, 0.05, 0.05)))
    return b, None


@pytest.mark.parametrize("scene", [pushed_piece, hull_on_hull, edges_crossing])
def test_exact_gradient(scene, device):
    b, control = scene()
    model = b.finalize(device=device, dtype="float64")
    state = model.state()
    inputs = {"body_q": state.body_q, "body_v": state.body_v, "shape_friction": model.shape_friction}
    if control is not None:
        inputs["control"] = control.to(device)
    simulator = Simulator(model, step=0.005)
    steps = None if control is not None else 30
    problem = Problem(simulator, inputs, loss, steps=steps, record=False)
    with torch.no_grad():
        assert simulator.rollout(state, control, steps=steps).diagnostics.contacts.max() > 0
    for label, exact, numerical, scale in compare(problem, directions_for(inputs)):
        # losses of order one carry rounding, which entries of 1e-6 are too small to hide
        assert abs(exact - numerical) <= 1e-6 * scale + 1e-10, f"{label}: {exact} and {numerical}"
