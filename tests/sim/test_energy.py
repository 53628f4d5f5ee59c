"""``carom.energy``: closed forms of bodies that fly, tumble, rest, slide and swing, and what it refuses."""

import dataclasses
import math

import pytest
import torch
from scenes import G, box_on_ground, free_body, push, run, sphere_on_ground

import carom
from carom.sim import ModelError, Simulator, StateError, Trajectory


def rolled(builder, step=0.01, steps=50, dtype="float64", **options):
    simulator = Simulator(builder.finalize(dtype=dtype), step=step, **options)
    return simulator, simulator.rollout(simulator.model.state(), steps=steps)


@pytest.mark.parametrize(("dtype", "rounding"), [("float64", 1e-13), ("float32", 1e-5)])
def test_a_ball_in_free_flight_keeps_its_energy(dtype, rounding):
    builder = free_body(half=(0.1, 0.1, 0.1), gravity=(0.3, 0, -G), velocity=(1, 2, 3), angular_velocity=(1, 2, 3))
    simulator, t = rolled(builder, dtype=dtype)
    e = carom.energy(simulator, t)
    assert e.kinetic.shape == e.potential.shape == (50, 1, 1)
    assert e.total.shape == (50, 1)
    assert (e.total / e.total[0] - 1).abs().max() < rounding
    # the velocity given is that of half a step before the pose: v + g h/2
    v = torch.tensor([1 + 0.3 * 0.005, 2, 3 - G * 0.005], dtype=torch.float64)
    inertia = 1.2 * 2 * 0.1**2 / 3
    expected = 0.5 * 1.2 * float(v @ v) + 0.5 * inertia * 14
    assert float(e.kinetic[0]) == pytest.approx(expected, rel=max(rounding, 1e-12))


def test_stored_velocities_would_be_off_by_m_g_h_v_over_2():
    """The error that the function removes, so that the test above shows something."""
    simulator, t = rolled(free_body(gravity=(0, 0, -G), velocity=(0, 0, 3)))
    v, z = t.body_v[:-1, 0, 0, 2], t.body_q[:-1, 0, 0, 2]
    naive = 0.6 * v**2 + 1.2 * G * z
    exact = carom.energy(simulator, t).total[:, 0]
    h = 0.01
    assert torch.allclose(naive - exact, 1.2 * G * h * v / 2 - 0.6 * (G * h / 2) ** 2, atol=1e-12)
    assert (naive - naive[0]).abs().max() > 0.1


def test_a_tumbling_body_keeps_its_energy():
    """To the fourth-order step of Euler's equations and the second-order direction of its momentum."""
    drift = []
    for h in (0.01, 0.005):
        simulator, t = rolled(free_body(angular_velocity=(3, 7, 2)), step=h, steps=round(1 / h))
        e = carom.energy(simulator, t).total[:, 0]
        drift.append(float((e / e[0] - 1).abs().max()))
    assert drift[0] < 1e-4
    assert drift[1] < drift[0] / 3.5


def test_rest_has_no_kinetic_energy_and_a_state_agrees_with_its_trajectory():
    simulator, t = rolled(box_on_ground(), steps=20)
    e = carom.energy(simulator, t)
    assert e.kinetic[-1].abs().max() < 1e-20
    assert float(e.potential[-1]) == pytest.approx(G * float(t.body_q[-2, 0, 0, 2]), rel=1e-14)
    simulator, t = rolled(sphere_on_ground(velocity=(1, 0, 0)), steps=20)
    whole = carom.energy(simulator, t)
    one = carom.energy(simulator, carom.State(t.body_q[7], t.body_v[7]))
    assert torch.equal(one.kinetic, whole.kinetic[7])
    assert torch.equal(one.potential, whole.potential[7])


def test_friction_takes_its_work():
    """A box that slides: the kinetic energy falls by mu m g times the way, at every step."""
    simulator, t = rolled(box_on_ground(velocity=(1, 0, 0), locked="angular"), step=0.005, steps=30)
    e = carom.energy(simulator, t).kinetic[15:, 0, 0]  # by then the depth has settled
    x = t.body_q[15:-1, 0, 0, 0]
    assert torch.allclose(e[0] - e, 0.5 * G * (x - x[0]), rtol=2e-4, atol=1e-9)


def test_parameters_controls_and_gradients():
    simulator = Simulator(free_body(gravity=(0, 0, -G), velocity=(1, 0, 0)).finalize(dtype="float64"))
    state = simulator.model.state()
    mass = torch.tensor([[2.0]], dtype=torch.float64, requires_grad=True)
    e = carom.energy(simulator, state, parameters={"body_mass": mass})
    e.total.sum().backward()
    speed2 = 1 + (G * 0.0025) ** 2
    assert float(e.total.detach()) == pytest.approx(speed2, rel=1e-12)
    assert float(mass.grad) == pytest.approx(speed2 / 2, rel=1e-12)
    simulator = Simulator(push().finalize(dtype="float64"))
    state = simulator.model.state()
    control = torch.tensor([[-0.07, 0.02]], dtype=torch.float64)
    assert float(carom.energy(simulator, state, control).kinetic.sum()) < 1e-6


def test_what_it_refuses():
    model = box_on_ground().finalize(dtype="float64")
    with pytest.raises(ModelError, match="quasi-dynamic"):
        carom.energy(Simulator(model, quasi_dynamic=True), model.state())
    simulator = Simulator(model)
    with pytest.raises(StateError, match="record=True"):
        carom.energy(simulator, simulator.rollout(model.state(), steps=2, record=False))
    t = run(box_on_ground(), steps=2)
    with pytest.raises(StateError, match="leave out"):
        carom.energy(simulator, t, torch.zeros(1, 0))
    with pytest.raises(StateError, match="no step"):
        carom.energy(simulator, Trajectory(t.final, t.body_q[:1], t.body_v[:1], t.diagnostics))


@pytest.mark.parametrize("steps_a_period", [400, 100, 40, 20])
@pytest.mark.parametrize("ratio", [0.0, 0.1])
def test_the_step_damps_a_given_stiffness_by_h_k(steps_a_period, ratio):
    """A ball on a spring: a step multiplies the square of the amplitude by 1/(1 + h (h k + d)/m)."""
    k, mass = 1000.0, 1.0
    omega = math.sqrt(k / mass)
    h = 2 * math.pi / omega / steps_a_period
    d = 2 * ratio * math.sqrt(k * mass)
    b = sphere_on_ground(friction=0.0, lift=-mass * G / k + 0.002, mass=mass)
    model = b.finalize(dtype="float64")
    shapes = model.shapes
    model = dataclasses.replace(
        model,
        shape_stiffness=torch.full((1, shapes), 2 * k, dtype=torch.float64),
        shape_damping=torch.full((1, shapes), d, dtype=torch.float64),
    )
    t = Simulator(model, step=h).rollout(model.state(), steps=3)
    z, v = t.body_q[:, 0, 0, 2] - 0.1 + mass * G / k, t.body_v[:, 0, 0, 2]
    # the determinant of a step's map is the factor by which areas in the plane of z and v shrink
    area = z[:-1] * v[1:] - z[1:] * v[:-1]
    factor = area[1:] / area[:-1]
    assert torch.allclose(factor, torch.full_like(factor, 1 / (1 + h * (h * k + d) / mass)), rtol=1e-8)
