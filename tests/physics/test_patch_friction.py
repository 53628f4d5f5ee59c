"""Friction of flat faces: torsion, and sliding with turning, as under even pressure, integrated numerically."""

import math

import numpy as np
import pytest
from scenes import G, about

from carom.sim import STATIC, ModelBuilder, Simulator, State, record

MU, MASS, INERTIA, HEIGHT, H = 0.3, 1.3, 1e-2, 0.006, 0.001


def polygon(corners, radius):
    angle = 2.0 * math.pi * (np.arange(corners) + 0.3) / corners
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def rectangle(x, y):
    return np.array([[x, y], [-x, y], [-x, -y], [x, -y]])


def even_points(outline, n=240):
    """A fine grid of points within a convex polygon, from its centroid [m]."""
    low, size = outline.min(0), np.ptp(outline, axis=0).max()
    axis = (np.arange(n) + 0.5) / n * size
    x = np.stack(np.meshgrid(axis + low[0], axis + low[1]), -1).reshape(-1, 2)
    side = np.roll(outline, -1, axis=0) - outline
    left = side[:, 0] * (x[:, None, 1] - outline[:, 1]) - side[:, 1] * (x[:, None, 0] - outline[:, 0])
    x = x[(left > 0).all(1)]
    return x - x.mean(0)


def prism(outline):
    points = np.concatenate([np.c_[outline, np.full(len(outline), z)] for z in (-HEIGHT, HEIGHT)])
    return lambda b, body: b.add_convex(body, points, friction=MU)


TRIANGLE = np.array([[-0.04, -0.02], [0.08, -0.02], [-0.04, 0.04]])
SHAPES = {
    "box": (rectangle(0.05, 0.05), lambda b, body: b.add_box(body, (0.05, 0.05, HEIGHT), friction=MU)),
    "box 1:3": (rectangle(0.075, 0.025), lambda b, body: b.add_box(body, (0.075, 0.025, HEIGHT), friction=MU)),
    "cylinder": (polygon(512, 0.05), lambda b, body: b.add_cylinder(body, 0.05, HEIGHT, friction=MU)),
    **{str(n): (polygon(n, 0.06), prism(polygon(n, 0.06))) for n in (3, 4, 5, 6, 8, 12)},
    "prism 1:3": (rectangle(0.075, 0.025), prism(rectangle(0.075, 0.025))),
    "right triangle": (TRIANGLE, prism(TRIANGLE)),
}


def scene(add, *, ground=True, others=0, height=HEIGHT, rotation=(0, 0, 0, 1), **motion):
    """A body on the ground; ``others`` lie beside it, and make more than 8 free axes, which islands solve."""
    b = ModelBuilder()
    if ground:
        b.add_ground(friction=MU)
    body = b.add_body(position=(0, 0, height), rotation=rotation, mass=MASS, inertia=np.eye(3) * INERTIA, **motion)
    add(b, body)
    for i in range(others):
        b.add_box(b.add_body(position=(1.0 + i, 0, 0.05), mass=1.0), (0.05, 0.05, 0.05))
    return b


def deceleration(builder, dtype="float64", settled=20, steps=80, step=H):
    """Mean deceleration of the first body over some steps [6], and its mean velocity."""
    model = builder.finalize(dtype=dtype)
    t = Simulator(model, step=step, threads=1).rollout(model.state(worlds=1), steps=settled + steps)
    v = t.body_v[settled:, 0, 0].double().numpy()
    return (v[0] - v[-1]) / (steps * step), v.mean(0)


def arm(builder, **options):
    """Torque of friction over mu m g [m]."""
    return deceleration(builder, **options)[0][5] * INERTIA / (MU * MASS * G)


def even_arm(outline):
    return np.linalg.norm(even_points(outline), axis=1).mean()


SPIN = {"angular_velocity": (0, 0, 20.0)}


@pytest.mark.parametrize("name", SHAPES)
def test_torsion_on_a_plane_is_that_of_even_pressure(name):
    outline, add = SHAPES[name]
    even = even_arm(outline)
    for others, dtype in ((0, "float64"), (2, "float64"), (0, "float32")):
        found = arm(scene(add, others=others, **SPIN), dtype=dtype)
        assert found == pytest.approx(even, rel=0.02 if name == "right triangle" else 0.005), (others, dtype)


@pytest.mark.parametrize("below", ["box", "hull"])
@pytest.mark.parametrize("name", ["box", "box 1:3", "3", "6", "8", "right triangle"])
def test_torsion_on_a_face_is_that_of_even_pressure(name, below):
    outline, add = SHAPES[name]
    table = rectangle(0.2, 0.2)
    b = scene(add, ground=False, **SPIN)
    if below == "box":
        b.add_box(STATIC, (0.2, 0.2, 0.1), position=(0, 0, -0.1), friction=MU)
    else:
        points = np.concatenate([np.c_[table, np.full(4, z)] for z in (-0.2, 0.0)])
        b.add_convex(STATIC, points, friction=MU)
    # a right triangle's corners have not the loads that the lengths of its sides would give them
    assert arm(b) == pytest.approx(even_arm(outline), rel=0.08 if name == "right triangle" else 0.02)


@pytest.mark.parametrize("speed", [0.3, 3.0])
@pytest.mark.parametrize("name", ["box", "box 1:3", "cylinder", "6"])
def test_a_face_that_lands_level_has_even_friction_in_every_step(name, speed):
    """Torque impulse over mu times normal impulse, step by step from the first touch on."""
    outline, add = SHAPES[name]
    model = scene(add, height=HEIGHT + 0.002, velocity=(0, 0, -speed), **SPIN).finalize(dtype="float64")
    v = Simulator(model, step=0.005).rollout(model.state(), steps=12).body_v[:, 0, 0].numpy()
    normal = MASS * (np.diff(v[:, 2]) + G * 0.005)
    touched = normal > 1e-3 * MASS * G * 0.005
    assert touched.any()
    found = -INERTIA * np.diff(v[:, 5])[touched] / (MU * normal[touched])
    np.testing.assert_allclose(found, even_arm(outline), rtol=0.02)


def test_torsion_where_faces_overlap_in_part():
    """A wide plate on a narrow table: the patch is the table's face."""
    b = scene(
        lambda b, body: b.add_box(body, (0.2, 0.2, HEIGHT), friction=MU), ground=False, angular_velocity=(0, 0, 5)
    )
    b.add_box(STATIC, (0.05, 0.03, 0.1), position=(0, 0, -0.1), friction=MU)
    assert arm(b, steps=30) == pytest.approx(even_arm(rectangle(0.05, 0.03)), rel=0.02)


def test_torsion_of_two_free_bodies():
    """One box spins on another free one, on the ground without friction; torque and counter-torque."""
    b = ModelBuilder()
    b.add_ground(friction=0.0)
    for i in range(2):
        body = b.add_body(
            position=(0, 0, 0.05 + 0.1 * i), angular_velocity=(0, 0, 20.0 * i), mass=MASS, inertia=np.eye(3) * INERTIA
        )
        b.add_box(body, (0.05 + 0.05 * (1 - i), 0.05 + 0.05 * (1 - i), 0.05), friction=MU)
    model = b.finalize(dtype="float64")
    v = (
        Simulator(model, even_faces=True, step=H, threads=1)
        .rollout(model.state(worlds=1), steps=100)
        .body_v[:, 0, :, 5]
        .numpy()
    )
    torque = (v[20] - v[100]) / (80 * H) * INERTIA
    assert torque[1] == pytest.approx(MU * MASS * G * even_arm(rectangle(0.05, 0.05)), rel=0.02)
    assert torque[0] == pytest.approx(-torque[1], rel=1e-6)


def test_a_lying_capsule_turns_as_an_even_line():
    for table in (False, True):
        b = scene(
            lambda b, body: b.add_capsule(body, 0.02, 0.06, friction=MU), ground=not table, height=0.02,
            rotation=about((1, 0, 0), math.pi / 2), **SPIN,
        )  # fmt: skip
        if table:
            b.add_box(STATIC, (0.2, 0.2, 0.1), position=(0, 0, -0.1), friction=MU)
        assert arm(b) == pytest.approx(0.03, rel=0.02), table


@pytest.mark.parametrize(("name", "off"), [("box", 0.09), ("6", 0.065), ("cylinder", 0.055), ("box 1:3", 0.11)])
def test_sliding_and_turning_keep_to_the_limit_surface(monkeypatch, name, off):
    """The power that friction takes, against even pressure: the distance to the limit surface in every direction.

    Little friction: while slips change, the slip-corrected law shifts load between the corners, with the square of mu.
    By quadrature, points at the drawn-in corners are off by 8.2 % (square), 5.7 (hexagon), 4.9 (disc), 10.5 (1:3).
    """
    monkeypatch.setitem(globals(), "MU", 0.03)
    outline, add = SHAPES[name]
    worst = 0.0
    for ratio in (0.3, 0.6, 1.0, 1.5):  # speed over spin times arm
        for direction in (0.0, 0.5):
            size = ratio * even_arm(outline) * 10.0
            velocity = (size * math.cos(direction), size * math.sin(direction), 0.0)
            b = scene(add, velocity=velocity, angular_velocity=(0, 0, 10.0))
            model = b.finalize(dtype="float64")
            run = Simulator(model, even_faces=True, step=H, threads=1).rollout(model.state(), steps=17)
            before, v = run.body_v[-2:, 0, 0].numpy()  # friction of a step is that of the velocity after it
            slower = (before - v) / H
            lost = MASS * slower[:2] @ v[:2] + INERTIA * slower[5] * v[5]
            x = even_points(outline)
            slip = np.hypot(v[0] - v[5] * x[:, 1], v[1] + v[5] * x[:, 0]).mean()
            worst = max(worst, abs(lost / (MU * MASS * (G - slower[2]) * slip) - 1.0))
    assert worst < off


def test_one_loaded_corner_has_no_moment():
    """A box that slides on one corner, tilted by over two degrees: friction acts there, without a moment about it."""
    for tilt in (0.04, 0.05, 0.1):
        b = scene(
            lambda b, body: b.add_box(body, (0.05, 0.05, 0.05), friction=MU), height=0.2, velocity=(0.5, 0.3, 0),
            rotation=about((1, 0.7, 0), tilt),
        )  # fmt: skip
        model = b.finalize(dtype="float64")
        q = model.state().body_q.clone()
        x, y, _, w = q[0, 0, 3:].tolist()
        # height of the corners under the centre, by the third row of the rotation matrix
        low = min(
            2 * (-w * y) * cx + 2 * (w * x) * cy - (1 - 2 * (x * x + y * y)) * 0.05
            for cx in (-0.05, 0.05) for cy in (-0.05, 0.05)
        )  # fmt: skip
        q[0, 0, 2] = -low - 1e-5
        simulator = Simulator(model, even_faces=True, step=H, threads=1)
        run = record(simulator, simulator.rollout(State(q, model.state().body_v), steps=1))
        acting = run.contact_force[:, 2] > 0
        assert acting.sum() == 1
        assert np.linalg.norm(run.contact_force[acting][0, :2]) > 0.1
        assert np.abs(run.contact_torque[acting]).max() < 1e-12


def test_forces_of_a_recording_change_the_spin():
    _, add = SHAPES["6"]
    model = scene(add, velocity=(0.3, 0.1, 0), **SPIN).finalize(dtype="float64")
    simulator = Simulator(model, even_faces=True, step=H, threads=1)
    t = simulator.rollout(model.state(), steps=30)
    change = INERTIA * (t.body_v[1:, 0, 0, 5] - t.body_v[:-1, 0, 0, 5]).numpy()
    wrench = record(simulator, t).contact_wrench()[:, 0, 0, 5] * H
    assert np.abs(change - wrench).max() < 1e-6 * np.abs(change).max()
