"""Normal contact against closed forms: penetration, rest on every shape, momentum and energy, a stack that stands."""

import math

import pytest
import torch
from scenes import G, about, box_on_ground, kinetic_energy, run, sphere_on_ground, spin_momentum

from carom.kernels.collision.features import PARALLEL
from carom.kernels.contact.hard import CONTACT_PERIOD_STEPS
from carom.sim import STATIC, ModelBuilder, Simulator


def sinking(h):
    """Depth [m] by which a body sinks into fixed support under the derived stiffness m (2 pi/(periods h))^2."""
    return G * (h * CONTACT_PERIOD_STEPS / (2 * math.pi)) ** 2


def add(b, body, kind, size=0.05, **options):
    if kind == "sphere":
        return b.add_sphere(body, size, **options)
    if kind == "capsule":
        return b.add_capsule(body, size, 0.1, **options)
    return b.add_box(body, (0.08, 0.07, size), **options)


LYING = {"capsule": about((1, 0, 0), math.pi / 2)}
"""Capsules lie along y."""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["sphere", "capsule", "box"])
@pytest.mark.parametrize("stiffness", [None, 5e3, 2e4])
def test_static_penetration(device, dtype, kind, stiffness):
    """m g/k where k is given; where it is not, the derived value. One stiffness a pair, for any number of corners."""
    h, mass = 0.005, 2.0
    b = ModelBuilder()
    b.add_ground(stiffness=stiffness)
    body = b.add_body(position=(0, 0, 0.05), rotation=LYING.get(kind, (0, 0, 0, 1)), mass=mass)
    add(b, body, kind)
    t = run(b, device=device, dtype=dtype, steps=600, step=h)
    depth = 0.05 - float(t.final.body_q[0, 0, 2])
    wanted = mass * G / stiffness if stiffness else sinking(h)
    # float32: heights of 0.05 m are known to 4e-9, and the last velocity to about 64 units of rounding
    assert depth == pytest.approx(
        wanted, rel=1e-9 if dtype == "float64" else 1e-4, abs=0 if dtype == "float64" else 2e-8
    )


def test_two_stiffnesses_act_in_series():
    b = ModelBuilder()
    b.add_ground(stiffness=1e4)
    body = b.add_body(position=(0, 0, 0.05), mass=2.0)
    b.add_box(body, (0.05, 0.05, 0.05), stiffness=3e4)
    depth = 0.05 - float(run(b, steps=1000).final.body_q[0, 0, 2])
    assert depth == pytest.approx(2.0 * G / (1e4 * 3e4 / 4e4), rel=1e-6)


@pytest.mark.parametrize("support", ["plane", "box", "sphere", "capsule"])
@pytest.mark.parametrize("kind", ["sphere", "capsule", "box"])
def test_every_shape_comes_to_rest_on_every_shape(device, kind, support):
    """Dropped by 2 cm onto the top, centred: it ends touching, sunk by what its weight takes, and still."""
    h = 0.005
    b = ModelBuilder()
    if support == "plane":
        top = 0.0
        b.add_ground()
    elif support == "capsule":
        top = 0.2
        b.add_capsule(STATIC, 0.2, 0.5, rotation=about((0, 1, 0), math.pi / 2))
    else:
        top = 0.3
        if support == "sphere":
            b.add_sphere(STATIC, 0.3)
        else:
            b.add_box(STATIC, (0.5, 0.5, 0.3))
    body = b.add_body(position=(0, 0, top + 0.07), rotation=LYING.get(kind, (0, 0, 0, 1)), mass=1.0)
    add(b, body, kind)
    t = run(b, device=device, steps=300, step=h)
    q, v = t.final.body_q[0, 0].cpu(), t.final.body_v[0, 0].cpu()
    # crossed capsules share the stiffness with their ends, which here touch nothing: PARALLEL^2 of it is lost
    loss = PARALLEL**2 if (kind, support) == ("capsule", "capsule") else 0.0
    assert top + 0.05 - float(q[2]) == pytest.approx(sinking(h) * (1 + loss), rel=1e-9)
    assert q[:2].abs().max() < 1e-12
    assert v.abs().max() < 1e-12


TURNED = about((1, 2, 3), 0.5)


def collision(kind, sizes=None):
    b = ModelBuilder(gravity=(0, 0, 0))
    one = b.add_body(velocity=(1, 0.1, 0), angular_velocity=(0, 1, 2), mass=1.0)
    two = b.add_body(position=(0.25, 0.03, 0.02), rotation=TURNED, angular_velocity=(1, 0, -1), mass=2.0)
    if kind == "sphere":
        b.add_sphere(one, 0.1)
        b.add_sphere(two, 0.08)
    else:
        b.add_box(one, sizes[0])
        b.add_box(two, sizes[1])
    return b


def momenta(builder, h, dtype="float64", device="cpu", seconds=0.4):
    model = builder.finalize(dtype=dtype, device=device)
    t = Simulator(model, step=h).rollout(model.state(), steps=round(seconds / h))
    q, v = t.body_q[:, 0].double().cpu(), t.body_v[:, 0].double().cpu()
    mass, inertia = model.body_mass[0].double().cpu(), model.body_inertia[0].double().cpu()
    p = mass[:, None] * v[..., :3]
    spin = torch.stack([spin_momentum(q[:, i], v[:, i], inertia[i]) for i in range(2)], 1)
    energy = kinetic_energy(q, v, mass, inertia)
    return p.sum(1), (spin + torch.linalg.cross(q[..., :3], p)).sum(1), energy


CUBES = ((0.09, 0.09, 0.09), (0.07, 0.07, 0.07))
BRICKS = ((0.1, 0.08, 0.06), (0.06, 0.07, 0.08))


@pytest.mark.parametrize(("kind", "sizes"), [("sphere", None), ("box", CUBES)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_free_collision_keeps_all_momenta(device, kind, sizes, dtype):
    """Every impulse acts on both bodies at one point: both sums are kept to rounding, where inertia does not turn."""
    p, spin, energy = momenta(collision(kind, sizes), 0.005, dtype, device)
    noise = 1e-14 if dtype == "float64" else 1e-6
    assert (p - p[0]).abs().max() < noise
    assert (spin - spin[0]).abs().max() < noise
    assert energy[-1] < 0.7 * energy[0]  # they did collide
    assert (energy[1:] - energy[:-1]).max() < noise


def test_free_collision_of_bricks_keeps_angular_momentum():
    """To rounding: impulses act in the attitude of the start, from which momentum carries the bodies on."""
    for h in (0.004, 0.002, 0.001, 0.0005):
        p, spin, energy = momenta(collision("box", BRICKS), h)
        assert (p - p[0]).abs().max() < 1e-14
        assert energy[-1] < 0.7 * energy[0]
        assert float((spin - spin[0]).norm(dim=-1).max() / spin[0].norm()) < 1e-11


def test_equal_balls_share_their_velocity():
    """Inelastic central collision of equal masses: both end near half the speed, and their sum is kept."""
    b = ModelBuilder(gravity=(0, 0, 0))
    for x, v in ((0.0, 1.0), (0.21, 0.0)):
        body = b.add_body(position=(x, 0, 0), velocity=(v, 0, 0), mass=1.0)
        b.add_sphere(body, 0.1)
    t = run(b, steps=100)
    v = t.body_v[:, 0, :, 0]
    assert v[-1, 1] >= v[-1, 0] - 1e-12  # never pulled together
    # a critically damped contact returns little: the rebound's share of the approach speed is far below a tenth
    assert v[-1, 1] - v[-1, 0] < 0.1
    assert v[-1].sum() == pytest.approx(1.0, abs=1e-13)


def test_contact_never_pulls():
    """A ball falls on soft, damped ground and leaves it: no step's impulse is downwards.

    The ground pushes just where a spring and damper would: gap < -(h + d/k) times the velocity after the step. On the
    way out the damper would pull, and does not.
    """
    h, k, d = 0.002, 2000.0, 20.0
    b = ModelBuilder()
    b.add_ground(stiffness=k, damping=d)
    body = b.add_body(position=(0, 0, 0.35), mass=1.0)
    b.add_sphere(body, 0.05)
    t = run(b, steps=600, step=h)
    v, gap = t.body_v[:, 0, 0, 2], t.body_q[:-1, 0, 0, 2] - 0.05
    impulse = v[1:] - v[:-1] + G * h
    assert impulse.min() > -1e-12
    assert impulse.max() > 5 * G * h  # the landing
    pushed = gap < -(h + d / k) * v[1:]
    assert impulse[~pushed].abs().max() < 1e-12
    assert torch.allclose(impulse[pushed], (-h * k * gap - (h * h * k + h * d) * v[1:])[pushed], rtol=0, atol=1e-10)
    assert ((gap < 0) & ~pushed).any()  # on its way out


def pile(shapes):
    b = ModelBuilder()
    b.add_ground()
    for i, kind in enumerate(shapes):
        body = b.add_body(position=(0.02 * i, 0.01 * i, 0.15 + 0.25 * i), rotation=about((1, 0.2 * i, 0.3), 0.3 * i))
        if kind == "box":
            b.add_box(body, (0.05, 0.06, 0.04))
        else:
            add(b, body, kind)
    return b


PASSIVE = {
    "box drops": lambda: box_on_ground(
        half=(0.06, 0.05, 0.04), lift=0.1, rotation=about((1, 0.3, 0.2), 0.7), velocity=(0.5, 0.3, -1),
        angular_velocity=(3, 2, 1),
    ),
    "ball drops": lambda: sphere_on_ground(lift=0.1, velocity=(1, 0, 0)),
    "box slides": lambda: box_on_ground(velocity=(1, 0, 0), angular_velocity=(0, 0, 5)),
    "boxes fall on each other": lambda: pile(["box"] * 3),
    "mixed shapes fall on each other": lambda: pile(["capsule", "sphere", "capsule"]),
}  # fmt: skip


@pytest.mark.parametrize("h", [0.002, 0.01])
@pytest.mark.parametrize("scene", PASSIVE)
def test_energy_does_not_grow(scene, h):
    """Kinetic and potential energy of passive scenes, step by step.

    Allowed rise: the term that keeps sliding bodies on the ground lifts them by up to h mu ds when their slip
    drops by ds in a step (and lowers them when it grows), and the contacts hold m g times the sinking.
    """
    model = PASSIVE[scene]().finalize(dtype="float64")
    t = Simulator(model, step=h).rollout(model.state(), steps=round(1.0 / h))
    weight = model.body_mass[0] * G
    energy = kinetic_energy(t.body_q, t.body_v, model.body_mass[0], model.body_inertia[0])[:, 0]
    energy = energy + (weight * t.body_q[:, 0, :, 2]).sum(-1)
    speed = t.body_v[:, 0, :, :3].norm(dim=-1) + 0.15 * t.body_v[:, 0, :, 3:].norm(dim=-1)
    fastest = torch.maximum(speed[1:], speed[:-1]).sum(-1)
    allowed = weight.sum() * (h * 0.5 * fastest + 4 * sinking(h))
    assert (energy[1:] - energy[:-1] <= allowed).all()
    assert energy[-1] < energy[0]
    highest = torch.cummax(energy.flip(0), 0).values.flip(0)  # the highest from each step on
    assert (highest - energy).max() < 2 * allowed.max()


def test_stack_of_five_boxes_stands(device):
    """Ten seconds, 10 ms steps, not quite aligned: each box sinks by what the weight above it takes, and stays."""
    h, n = 0.01, 5
    b = ModelBuilder()
    b.add_ground()
    offsets = [(0.0, 0.0), (0.004, -0.003), (-0.002, 0.005), (0.003, 0.004), (-0.004, 0.0)]
    for i, (x, y) in enumerate(offsets):
        body = b.add_body(position=(x, y, 0.05 + 0.1 * i), rotation=about((0, 0, 1), 0.1 * i))
        b.add_box(body, (0.05, 0.05, 0.05))
    t = run(b, device=device, steps=1000, step=h)
    q, start = t.final.body_q[0].cpu(), t.body_q[0, 0].cpu()
    assert (q[:, :2] - start[:, :2]).abs().max() < 1e-3
    tilt = 2 * q[:, 3:5].norm(dim=-1)
    # the offsets load one side more: a tilt of about sinking times offset over half width squared
    assert tilt.max() < n * n * sinking(h) * 0.005 / 0.05**2
    # the ground's contact carries 5 weights with stiffness k, the others what is above them with k/2 (reduced mass)
    per_box = sinking(h)
    expected, total = [], 0.0
    for i in range(n):
        total += (n - i) * per_box * (1 if i == 0 else 2)
        expected.append(total)
    assert torch.allclose(start[:, 2] - q[:, 2], torch.tensor(expected, dtype=torch.float64), rtol=0.05)
    # tilted contacts carry weight times tilt along themselves, and creep at the stiction speed times that over mu;
    # each box carries on the creep of those below
    creep = 1e-3 * float(tilt.sum()) / 0.5
    assert t.final.body_v[0, :, :3].abs().max() < creep


def test_fast_ball_does_not_tunnel():
    """20 m/s at 10 ms, two radii a step: the margin sees it coming."""
    for speed in (5.0, 20.0):
        t = run(sphere_on_ground(0.1, lift=0.5, velocity=(0, 0, -speed)), steps=100, step=0.01)
        assert t.body_q[:, 0, 0, 2].min() > 0.05
