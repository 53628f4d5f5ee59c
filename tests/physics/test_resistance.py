"""Rolling and torsional resistance against closed forms: incline, stopping distance, spin, and conservation.

The law's only regularization is the angular stiction: a resistance is full but for eps^2/(2 w^2) of it at the angular
speed w. Tests of what moves set it to 1e-3 rad/s, so that it does not show.
"""

import math

import numpy as np
import pytest
import torch
from scenes import G, about, run, spin_momentum

from carom.sim import ModelBuilder, ModelError, Simulator, StateError, record

RADIUS, MASS = 0.05, 0.7
SPHERE = 0.4 * MASS * RADIUS**2
"""Moment of inertia of the ball [kg m^2]."""
LYING = about((1, 0, 0), math.pi / 2)


def ball(rolling=0.0, torsional=0.0, *, incline=0.0, on_ground=(0.0, 0.0), restitution=0.0, height=RADIUS, **body):
    b = ModelBuilder(gravity=(G * math.sin(incline), 0.0, -G * math.cos(incline)))
    b.add_ground(
        friction=0.8, rolling_resistance=on_ground[0], torsional_resistance=on_ground[1], restitution=restitution
    )
    number = b.add_body(position=(0, 0, height), mass=MASS, **body)
    b.add_sphere(
        number, RADIUS, friction=0.8, rolling_resistance=rolling, torsional_resistance=torsional,
        restitution=restitution,
    )  # fmt: skip
    return b


def lying_capsule(rolling, **body):
    b = ModelBuilder()
    b.add_ground(friction=0.8)
    number = b.add_body(position=(0, 0, RADIUS), rotation=LYING, mass=MASS, **body)
    b.add_capsule(number, RADIUS, 0.1, friction=0.8, rolling_resistance=rolling)
    return b


def spinning_box(rolling=0.0, torsional=0.004, half=(0.05, 0.04, 0.03), **body):
    b = ModelBuilder()
    b.add_ground(friction=0.3)
    number = b.add_body(position=(0, 0, half[2]), mass=MASS, **body)
    b.add_box(number, half, friction=0.3, rolling_resistance=rolling, torsional_resistance=torsional)
    return b


@pytest.mark.parametrize("h", [0.002, 0.01])
def test_ball_holds_below_the_angle_of_its_resistance(device, h):
    """It is in equilibrium at the creep eps q/sqrt(1 - q^2), q = r tan(angle)/mu_r, as a sticking body is."""
    angle, q = 0.2, 0.8
    t = run(ball(RADIUS * math.tan(angle) / q, incline=angle), steps=round(1 / h), step=h, device=device)
    spin = 0.02 * q / math.sqrt(1 - q * q)
    # contacts act midway between the surfaces, at a lever shorter by half the depth, g (h/2 pi)^2 / 2
    lever = 1 - G * (h / (2 * math.pi)) ** 2 / (2 * RADIUS)
    assert t.body_v[-1, 0, 0, 4].item() == pytest.approx(spin, rel=3 * (1 - lever) / (1 - q * q) + 1e-6)
    assert t.body_v[-1, 0, 0, 0].item() == pytest.approx(RADIUS * spin, abs=3e-4)  # and friction's creep


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_ball_rolls_down_beyond_it(device, share):
    """m a = m g sin - F and (2/5) m r a = F r - mu_r m g cos."""
    angle = 0.2
    mu = share * RADIUS * math.tan(angle)
    t = run(ball(mu, incline=angle), steps=400, step=0.0025, angular_stiction=1e-3, device=device)
    v = t.body_v[:, 0, 0, 0]
    a = (G * math.sin(angle) - mu * G * math.cos(angle) / RADIUS) / 1.4
    assert (v[400] - v[100]).item() / 0.75 == pytest.approx(a, rel=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [ball, lying_capsule])
def test_rolling_stops_at_the_closed_form_distance(device, shape, dtype):
    """The step is x+ = x + h v+, so the distance is less by h v/2."""
    mu, v, h = 0.004, 1.0, 0.0025
    builder = shape(mu, velocity=(v, 0, 0), angular_velocity=(0, v / RADIUS, 0))
    model = builder.finalize(device=device, dtype=dtype)
    inertia = model.body_inertia[0, 0, 0 if shape is ball else 2, 0 if shape is ball else 2].item()
    a = mu * G / RADIUS / (1 + inertia / (MASS * RADIUS**2))
    t = Simulator(model, step=h, angular_stiction=1e-3).rollout(model.state(), steps=round(1.2 * v / a / h))
    assert t.body_q[-1, 0, 0, 0].item() == pytest.approx(v * v / (2 * a) - h * v / 2, rel=2e-3)
    assert t.body_v[-1].abs().max() < 1e-3
    half = len(t.body_v) // 2
    assert t.body_v[half, 0, 0, 0].item() == pytest.approx(v - a * h * half, rel=2e-3)
    # what is known at the start of the step keeps it on the ground, as it does for slip
    assert (t.body_q[:, 0, 0, 2] - RADIUS).abs().max() < 1e-4


def test_ball_spins_down_by_its_torsional_resistance(device):
    mu, h = 0.003, 0.005
    t = run(ball(0.0, mu, angular_velocity=(0, 0, 20)), steps=100, step=h, angular_stiction=1e-3, device=device)
    w = t.body_v[:, 0, 0, 5]
    assert (w[100] - w[20]).item() == pytest.approx(-mu * MASS * G / SPHERE * 80 * h, rel=1e-4)
    assert t.body_v[:, 0, 0, :2].abs().max() < 1e-12


@pytest.mark.parametrize("even", [False, True])
def test_box_spins_down_by_friction_and_torsion(device, even):
    """Each of four corners has a quarter of the load; friction's lever is their distance, or that of even pressure."""
    options = {"steps": 100, "step": 0.0025, "angular_stiction": 1e-3, "device": device, "even_faces": even}
    t = run(spinning_box(angular_velocity=(0, 0, 25)), **options)
    w = t.body_v[:, 0, 0, 5]
    x, y = np.meshgrid((np.arange(500) + 0.5) / 500 * 0.05, (np.arange(500) + 0.5) / 500 * 0.04)
    lever = 0.3 * (float(np.hypot(x, y).mean()) if even else math.hypot(0.05, 0.04)) + 0.004
    rate = lever * G / ((0.05**2 + 0.04**2) / 3)
    assert (w[60] - w[20]).item() == pytest.approx(-rate * 0.1, rel=3e-3)


def test_a_pair_has_the_sum_of_its_coefficients(device):
    start = {"velocity": (0.5, 0, 0), "angular_velocity": (0, 10, 5)}
    alone = run(ball(0.004, 0.003, **start), steps=100, device=device)
    shared = run(ball(0.001, 0.003, on_ground=(0.003, 0.0), **start), steps=100, device=device)
    torch.testing.assert_close(alone.body_v, shared.body_v, rtol=0, atol=1e-9)


def test_bouncing_ball_loses_the_spin_that_its_impulse_carries(device):
    """Torsion takes mu_t times the normal impulse m (1 + e) v, with v = sqrt(2 g drop)."""
    mu, e, drop = 0.002, 0.7, 0.3
    b = ball(0.0, mu, restitution=e, height=RADIUS + drop, angular_velocity=(0, 0, 30))
    t = run(b, steps=60, step=0.005, angular_stiction=1e-3, device=device)
    assert t.body_v[-1, 0, 0, 2] > 0.5
    loss = mu * MASS * (1 + e) * math.sqrt(2 * G * drop) / SPHERE
    assert t.body_v[-1, 0, 0, 5].item() == pytest.approx(30 - loss, abs=1e-3 * loss)


def test_momentum_is_conserved_in_a_collision(device):
    b = ModelBuilder(gravity=(0, 0, 0))
    for i in range(2):
        number = b.add_body(
            position=(0.12 * i, 0.03 * i, 0.02 * i), velocity=(1 - 2 * i, 0, 0.1), angular_velocity=(5, 20 * i, -10),
            mass=1.0 + i,
        )  # fmt: skip
        b.add_sphere(number, RADIUS, friction=0.4, rolling_resistance=0.01, torsional_resistance=0.02)
    model = b.finalize(dtype="float64", device=device)
    t = Simulator(model).rollout(model.state(), steps=30)
    q, v, mass = t.body_q[:, 0], t.body_v[:, 0], model.body_mass[0]
    linear = (mass[:, None] * v[..., :3]).sum(1)
    own = sum(spin_momentum(q[:, i], v[:, i], model.body_inertia[0, i]) for i in range(2))
    angular = own + torch.linalg.cross(q[..., :3], mass[:, None] * v[..., :3]).sum(1)
    torch.testing.assert_close(linear, linear[:1].expand_as(linear), rtol=0, atol=1e-12)
    torch.testing.assert_close(angular, angular[:1].expand_as(angular), rtol=0, atol=1e-12)
    energy = (mass * (v[..., :3] ** 2).sum(-1)).sum(-1) + sum(
        model.body_inertia[0, i, 0, 0] * (v[:, i, 3:] ** 2).sum(-1) for i in range(2)
    )
    assert energy[-1] < 0.8 * energy[0]


def test_large_worlds_do_as_small_ones_do(device):
    """Three bodies far apart in one world, solved in blocks, against each one alone, solved densely."""
    kinds = (
        lambda b, body: b.add_sphere(body, RADIUS, rolling_resistance=0.004, torsional_resistance=0.002),
        lambda b, body: b.add_capsule(body, 0.03, 0.05, rolling_resistance=0.004, torsional_resistance=0.002),
        lambda b, body: b.add_box(body, (0.05, 0.04, 0.03), rolling_resistance=0.001, torsional_resistance=0.003),
    )

    def scene(numbers):
        b = ModelBuilder()
        b.add_ground()
        for i in numbers:
            body = b.add_body(position=(0, i, 0.08), velocity=(0.5, 0.1, -0.2), angular_velocity=(1, 4, 9))
            kinds[i](b, body)
        return b

    together = run(scene(range(3)), steps=120, device=device)
    for i in range(3):
        alone = run(scene([i]), steps=120, device=device)
        torch.testing.assert_close(together.body_v[:, :, i], alone.body_v[:, :, 0], rtol=0, atol=1e-8)


def test_resistance_acts_only_where_there_is_some(device):
    """A world without moves as one of a model that knows of none, also in a batch with worlds that have some."""
    start = {"velocity": (0.5, 0.2, 0), "angular_velocity": (0, 10, 5)}
    model = spinning_box(torsional=0.0, **start).finalize(dtype="float64", device=device)
    simulator = Simulator(model)
    plain = simulator.rollout(model.state(2), steps=100)
    assert not any(work.resists for graphs in simulator.pool.batches for work, _ in graphs.recorded)
    torsion = torch.zeros(2, 2, dtype=torch.float64)
    torsion[1, 1] = 0.004
    mixed = simulator.rollout(model.state(2), None, {"shape_torsional_resistance": torsion}, steps=100)
    torch.testing.assert_close(mixed.body_q[:, 0], plain.body_q[:, 0], rtol=0, atol=1e-10)
    assert (mixed.body_q[-1, 1] - plain.body_q[-1, 1]).abs().max() > 0.01


@pytest.mark.parametrize("restitution", [0.0, 0.6])
def test_recorded_torques_change_the_spin(device, restitution):
    """I dw = h torque about the centre, with the moments of resistance."""
    b = ball(
        0.004, 0.003, restitution=restitution, height=RADIUS + 0.02, velocity=(0.5, 0, -1), angular_velocity=(0, 10, 8)
    )
    model = b.finalize(dtype="float64", device=device)
    simulator = Simulator(model)
    found = record(simulator, simulator.rollout(model.state(), steps=60))
    # of an impact the point recorded is not quite where its friction acts, which does not touch the spin
    axes = slice(3, 6) if restitution == 0.0 else slice(5, 6)
    torque = found.contact_wrench()[:, 0, 0, axes]
    change = SPHERE * np.diff(found.body_v[:, 0, 0, axes], axis=0) / simulator.step_size
    np.testing.assert_allclose(torque, change, atol=1e-8 * np.abs(change).max())
    assert np.abs(found.contact_torque).max() > 0.01


def test_negative_coefficients_are_refused():
    with pytest.raises(ModelError, match="rolling_resistance"):
        ball(-0.1)
    with pytest.raises(ModelError, match="angular_stiction"):
        Simulator(ball().finalize(), angular_stiction=0.0)
    model = ball().finalize()
    with pytest.raises(StateError, match="shape_torsional_resistance"):
        Simulator(model).step(model.state(), None, {"shape_torsional_resistance": torch.tensor([0.0, -1.0])})
