"""Impacts with restitution against closed forms: heights, speeds, momentum, phases within the step, saltation."""

import math

import numpy as np
import pytest
import torch
from scenes import G, about, kinetic_energy, rotate, run

from carom.sim import ModelBuilder, ModelError, SimulationWarning, Simulator, State, StateError, record, step_jacobian


def ball(e, height, velocity=(0.0, 0.0, 0.0), friction=0.0, gravity=(0.0, 0.0, -G), **options):
    b = ModelBuilder(gravity=gravity)
    b.add_ground(restitution=e, friction=friction, **options)
    body = b.add_body(position=(0.0, 0.0, 0.1 + height), velocity=velocity, mass=1.3)
    b.add_sphere(body, 0.1, restitution=e, friction=friction, **options)
    return b


def drops(e, heights, h, steps, dtype="float64", **options):
    """Heights and velocities of balls dropped from ``heights``, [T + 1, W] each.

    The step's velocities are those half a step earlier: a ball at rest at t = 0 starts with G h / 2 upwards.
    """
    model = ball(e, 1.0, **options).finalize(dtype=dtype)
    state = model.state(len(heights))
    state.body_q[:, 0, 2] = 0.1 + heights
    state.body_v[:, 0, 2] = G * h / 2
    t = Simulator(model, step=h).rollout(state, steps=steps)
    return t.body_q[:, :, 0, 2] - 0.1, t.body_v[:, :, 0, 2] - G * h / 2


@pytest.mark.parametrize("h", [0.002, 0.005, 0.01])
@pytest.mark.parametrize("e", [0.4, 0.7, 0.95])
def test_bounce_height(device, e, h):
    """e^2 times the height of the drop, at 50 phases of the impact within the step. Asked for: 2 %.

    The trajectory is exact.
    """
    heights = torch.linspace(0.3, 0.8, 50, dtype=torch.float64)
    b = ball(e, 1.0)
    model = b.finalize(dtype="float64", device=device)
    state = model.state(50)
    state.body_q[:, 0, 2] = 0.1 + heights.to(device)
    state.body_v[:, 0, 2] = G * h / 2
    t = Simulator(model, step=h).rollout(state, steps=round(0.43 / h))
    z, v = (t.body_q[..., 0, 2] - 0.1).cpu(), t.body_v[..., 0, 2].cpu() - G * h / 2
    reached = (z + v**2 / (2 * G))[-1]
    assert (v[0] <= 1e-12).all()
    assert torch.allclose(reached, e * e * heights, rtol=1e-9)
    assert z.min() > -1e-9


def test_given_stiffness_does_not_change_a_bounce():
    soft = drops(0.6, torch.tensor([0.4, 0.5], dtype=torch.float64), 0.005, 80, stiffness=3e3, damping=1.0)
    rigid = drops(0.6, torch.tensor([0.4, 0.5], dtype=torch.float64), 0.005, 80)
    assert torch.allclose(soft[0], rigid[0], rtol=0, atol=1e-12)


def test_single_precision_bounces_as_high():
    heights = torch.linspace(0.3, 0.8, 50)
    z, v = drops(0.8, heights, 0.005, 86, dtype="float32")
    assert torch.allclose((z + v**2 / (2 * G))[-1], 0.64 * heights, rtol=2e-3)


def test_elastic_ball_keeps_its_energy():
    """Ten seconds, some 20 bounces each."""
    heights = torch.linspace(0.2, 0.7, 20, dtype=torch.float64)
    z, v = drops(1.0, heights, 0.005, 2000)
    energy = z + v**2 / (2 * G)
    bounces = ((v[1:] > 0) & (v[:-1] < 0)).sum(0).max()
    assert bounces >= 20
    assert (energy / heights - 1).abs().max() < 1e-9


def test_final_state_is_continuous_in_the_drop_height():
    """Through five step boundaries, at a fixed time after the bounce: central differences settle, no sawtooth.

    The closed form: the slope of the final height by the drop's, a smooth function.
    """
    h, steps, e = 0.005, 90, 0.7
    heights = torch.linspace(0.40, 0.47, 4001, dtype=torch.float64)
    z, v = drops(e, heights, h, steps)
    time = steps * h
    fall = torch.sqrt(2 * heights / G)
    exact = e * G * fall * (time - fall) - G * (time - fall) ** 2 / 2
    phases = torch.unique((fall / h).floor())
    assert len(phases) >= 5
    assert torch.allclose(z[-1], exact, rtol=0, atol=2e-6)
    assert torch.allclose(torch.diff(z[-1]), torch.diff(exact), rtol=0, atol=1e-9)
    assert torch.allclose(v[-1], e * G * fall - G * (time - fall), rtol=0, atol=1e-5)


@pytest.mark.parametrize("e", [0.3, 0.8])
@pytest.mark.parametrize("phase", [0.1, 0.5, 0.9])
def test_saltation_matrix(e, phase):
    """Derivative of gap and velocity after an impact by those before it: [[-e, 0], [-(1 + e) g / v, -e]].

    Of the whole step it stands between free flights: d(gap, v)(h) = F(h - tau) S F(tau), F(t) = [[1, t], [0, 1]].
    """
    h, speed = 0.005, 2.0
    tau = phase * h
    # at t: velocity -speed + g tau, gap speed tau - g tau^2 / 2, so that the impact is at tau, at -speed
    gap = speed * tau - G * tau**2 / 2
    model = ball(e, gap).finalize(dtype="float64")
    state = model.state()
    state.body_v[0, 0, 2] = -speed + G * tau + G * h / 2
    a, _ = step_jacobian(Simulator(model, step=h, tolerance=1e-13), state)
    found = a[0][[2, 8]][:, [2, 8]].numpy()

    def flight(t):
        return np.array([[1.0, t], [0.0, 1.0]])

    saltation = np.array([[-e, 0.0], [-(1 + e) * G / -speed, -e]])  # v is the velocity before, downwards
    np.testing.assert_allclose(found, flight(h - tau) @ saltation @ flight(tau), rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("masses", [(1.0, 1.0), (0.3, 2.0), (5.0, 0.4)])
@pytest.mark.parametrize("e", [0.5, 1.0])
def test_two_balls_head_on(masses, e):
    """Momentum is kept, the relative speed is -e times what it was, and each ball turns where they meet."""
    speeds, gap, radius = (1.5, -0.7), 0.0213, 0.05
    b = ModelBuilder(gravity=(0, 0, 0))
    for i in range(2):
        body = b.add_body(position=((2 * radius + gap) * i, 0, 0), velocity=(speeds[i], 0, 0), mass=masses[i])
        b.add_sphere(body, radius, restitution=e)
    steps, h = 10, 0.005
    t = run(b, steps=steps, step=h)
    v, x = t.final.body_v[0, :, 0], t.final.body_q[0, :, 0]
    total = sum(masses)
    centre = (masses[0] * speeds[0] + masses[1] * speeds[1]) / total
    approach = speeds[0] - speeds[1]
    after = [centre - e * approach * masses[1] / total, centre + e * approach * masses[0] / total]
    assert torch.allclose(v, torch.tensor(after, dtype=torch.float64), rtol=0, atol=1e-5)
    meet = gap / approach
    where = [(2 * radius + gap) * i + speeds[i] * meet + after[i] * (steps * h - meet) for i in range(2)]
    assert torch.allclose(x, torch.tensor(where, dtype=torch.float64), rtol=0, atol=1e-6)


def test_cradle_hands_the_motion_on():
    """Five equal balls with gaps of 2 mm: one comes in, one goes out, the others are left at rest."""
    b = ModelBuilder(gravity=(0, 0, 0))
    for i in range(5):
        body = b.add_body(position=(0.102 * i, 0, 0), velocity=(1.0 if i == 0 else 0.0, 0, 0), mass=0.5)
        b.add_sphere(body, 0.05, restitution=1.0)
    v = run(b, steps=10, step=0.001).final.body_v[0, :, 0]
    assert torch.allclose(v, torch.tensor([0, 0, 0, 0, 1.0], dtype=torch.float64), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("friction", "slip"), [(0.2, 3.0), (0.1, 1.0), (0.6, 1.0), (0.5, 0.5)])
def test_oblique_bounce(friction, slip):
    """A ball without spin: sliding, the slip shrinks by 7/2 mu (1 + e) |un|; where that is more than all, it rolls."""
    e, h = 0.8, 0.005
    t = run(ball(e, 0.0123, (slip, 0.0, -1.0), friction, gravity=(0, 0, 0)), steps=10, step=h)
    v = t.final.body_v[0, 0]
    change = min(friction * (1 + e), slip * 2 / 7)
    assert abs(float(v[2]) - e) < 1e-5
    # what sticks creeps at the stiction speed, 1 mm/s, at most
    assert abs(float(v[0]) - (slip - change)) < 1e-3
    assert abs(float(v[4]) - 2.5 * change / 0.1) < 2.5e-2


@pytest.mark.parametrize("slide", [0.0, 2.0])
def test_box_dropped_flat(slide):
    """Four corners at once: the height of one, and Coulomb's law for the sum."""
    e, mu, h, height = 0.5, 0.3, 0.005, 0.31
    b = ModelBuilder()
    b.add_ground(restitution=e, friction=mu)
    body = b.add_body(position=(0, 0, 0.04 + height), velocity=(slide, 0, G * h / 2), mass=0.7)
    b.add_box(body, (0.06, 0.05, 0.04), restitution=e, friction=mu)
    t = run(b, steps=70, step=h)
    z, v = t.body_q[-1, 0, 0, 2] - 0.04, t.body_v[-1, 0, 0]
    assert abs(float(z + (v[2] - G * h / 2) ** 2 / (2 * G)) / (e * e * height) - 1) < 2e-3
    expected = max(slide - mu * (1 + e) * math.sqrt(2 * G * height), 0.0)
    assert abs(float(v[0]) - expected) < 1e-3
    assert v[3:].abs().max() < 0.03  # forced to bounce alike, the corners leave the box upright


def test_ball_at_rest_stays_at_rest(device):
    """Two seconds with e = 1, dropped from nothing and already settled: no jitter, no drift."""
    model = ball(1.0, 0.0).finalize(dtype="float64", device=device)
    t = Simulator(model).rollout(model.state(), steps=400)
    assert t.body_v[20:].abs().max() < 1e-9
    assert (t.body_q[20:] - t.body_q[-1]).abs().max() < 1e-9


def test_bounces_die_out():
    """Below the threshold nothing bounces: a ball with e = 0.7 comes to rest, after the time of the bounces."""
    z, v = drops(0.7, torch.linspace(0.3, 0.35, 8, dtype=torch.float64), 0.005, 500)
    whole = math.sqrt(2 * 0.35 / G) * (1 + 0.7) / (1 - 0.7)
    late = round(1.1 * whole / 0.005)
    assert z[late:].abs().max() < 1e-4
    assert (v[late:] + G * 0.0025).abs().max() < 1e-3


def test_hit_on_a_supported_box_does_not_lift_it():
    """The ground answers at the time of the hit: the box stays within the compliance of its contacts."""
    b = ModelBuilder()
    b.add_ground(restitution=0.5)
    b.add_box(b.add_body(position=(0, 0, 0.05), mass=1.0), (0.1, 0.1, 0.05), restitution=0.5)
    b.add_sphere(b.add_body(position=(0, 0, 0.172), velocity=(0, 0, -4), mass=1.0), 0.05, restitution=0.5)
    z = run(b, steps=60).body_q[:, 0, 0, 2] - 0.05
    # an impulse of 6 N s on contacts of b = 52 kg for a step of 5 ms
    assert z.abs().max() < 6.0 / 52.0 * 0.005 * 1.1
    assert z.max() < 1e-6


def test_corners_that_land_one_after_the_other_do_not_sink():
    """A spinning plate whose corners meet the ground at different times of one step stays above it."""
    b = ModelBuilder()
    b.add_ground(friction=0.3, restitution=0.8)
    body = b.add_body(position=(0, 0, 0.25), rotation=about((1, 0.5, 0.2), 0.6), mass=1.3)
    half = torch.tensor([0.2, 0.2, 0.01], dtype=torch.float64)
    b.add_box(body, half.tolist(), friction=0.3, restitution=0.8)
    model = b.finalize(dtype="float64")
    state = model.state(64)
    generator = torch.Generator().manual_seed(0)
    state.body_v[..., 2] = -1.0
    state.body_v[..., 3:] = 6.0 * torch.randn(64, 1, 3, generator=generator, dtype=torch.float64)
    q = Simulator(model).rollout(state, steps=100).body_q[:, :, 0]
    signs = torch.tensor([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=torch.float64)
    corners = rotate(q[..., None, 3:].expand(*q.shape[:2], 8, 4), (signs * half).expand(*q.shape[:2], 8, 3))
    lowest = (corners[..., 2] + q[..., None, 2]).amin(-1)
    assert lowest.min() > -2e-3  # speeds reach 5 m/s, 25 mm a step


def tumbling(e, friction, worlds, h, steps):
    b = ModelBuilder()
    b.add_ground(friction=friction, restitution=e)
    body = b.add_body(position=(0, 0, 0.25), rotation=about((1, 0.5, 0.2), 0.6), velocity=(0.4, 0.1, -1), mass=1.3)
    b.add_box(body, (0.06, 0.05, 0.04), friction=friction, restitution=e)
    model = b.finalize(dtype="float64")
    state = model.state(worlds)
    generator = torch.Generator().manual_seed(0)
    scale = torch.tensor([1, 1, 1, 3, 3, 3], dtype=torch.float64)
    state.body_v += torch.randn(worlds, 1, 6, generator=generator, dtype=torch.float64) * scale
    t = Simulator(model, step=h).rollout(state, steps=steps)
    v = t.body_v.clone()
    v[..., 2] -= G * h / 2  # stored velocities are those half a step before the poses
    energy = kinetic_energy(t.body_q, v, model.body_mass[0], model.body_inertia[0])
    return energy + model.body_mass[0, 0] * G * t.body_q[..., 0, 2]


def test_tumbling_boxes_lose_energy():
    """At e = 0.5 no step of 64 tumbling boxes gains over a thousandth of the energy at the start."""
    energy = tumbling(0.5, 0.4, 64, 0.005, 300)
    assert ((energy[1:] - energy[:-1]) / energy[0]).max() < 1e-3
    assert (energy[-1] < 0.5 * energy[0]).all()


def test_elastic_boxes_without_friction_keep_their_energy():
    """The impulse acts where the body stands at the time of the impact, and gravity is that of half a step later."""
    energy = tumbling(1.0, 0.0, 64, 0.005, 50)
    assert (energy[-1] / energy[0] - 1).abs().max() < 1e-3


def test_gradient_of_balls_that_overlap_at_the_start():
    """They change speeds at once, at whatever depth: the place of the second moves with the speed of the first."""
    h, b = 0.01, ModelBuilder(gravity=(0, 0, 0))
    for x, v in ((0.0, 1.0), (0.1999, 0.0)):
        body = b.add_body(position=(x, 0, 0), velocity=(v, 0, 0), mass=1.0, locked=("y", "z", "angular"))
        b.add_sphere(body, 0.1, restitution=1.0, friction=0.0)
    model = b.finalize(dtype="float64")
    a, _ = step_jacobian(Simulator(model, step=h, allow_overlap=True), model.state())
    found = a[0][[0, 6, 12, 18]][:, [0, 6, 12, 18]].numpy()  # both places, both speeds
    np.testing.assert_allclose(found, [[1, 0, 0, h], [0, 1, h, 0], [0, 0, 0, 1], [0, 0, 1, 0]], rtol=0, atol=1e-9)


def test_no_restitution_is_the_same_to_the_bit_in_a_batch_that_bounces():
    model = ball(0.0, 0.3, (0.3, 0.0, -1.0), 0.4).finalize(dtype="float64")
    alone = Simulator(model).rollout(model.state(), steps=100)
    values = torch.tensor([[0.8, 0.8], [0.0, 0.0]], dtype=torch.float64)
    both = Simulator(model).rollout(model.state(2), None, {"shape_restitution": values}, steps=100)
    assert torch.equal(alone.body_q[:, 0], both.body_q[:, 1])
    assert torch.equal(alone.body_v[:, 0], both.body_v[:, 1])
    assert not torch.equal(alone.body_q[:, 0], both.body_q[:, 0])  # an override on a model built without any works


def test_one_shape_with_restitution_alone_warns():
    b = ModelBuilder()
    b.add_ground()
    b.add_sphere(b.add_body(), 0.1, restitution=0.5, name="lonely")
    with pytest.warns(SimulationWarning, match="'lonely' has restitution"):
        b.finalize()


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_restitution_out_of_range(value):
    b = ModelBuilder()
    with pytest.raises(ModelError, match="restitution of shape"):
        b.add_ground(restitution=value)
    model = ball(0.5, 0.1).finalize()
    with pytest.raises(StateError, match="shape_restitution"):
        Simulator(model).rollout(model.state(), None, {"shape_restitution": torch.tensor([[0.5, value]])}, steps=1)


def test_quasi_dynamic_steps_refuse_restitution():
    model = ball(0.5, 0.1).finalize()
    with pytest.raises(StateError, match="quasi-dynamic"):
        Simulator(model, quasi_dynamic=True).rollout(model.state(), steps=1)


def test_threshold_must_be_positive():
    with pytest.raises(ModelError, match="restitution_threshold"):
        Simulator(ball(0.5, 0.1).finalize(), restitution_threshold=0.0)


@pytest.mark.parametrize("h", [0.001, 0.005])
@pytest.mark.parametrize(("friction", "speed"), [(0.3, 0.5), (0.3, 3.0), (0.8, 0.5), (0.8, 3.0)])
def test_a_sliding_ball_lands_without_a_hop_if_restitution_is_next_to_nothing(h, friction, speed):
    """Coulomb's impact at 1 m/s: slip falls by 7/2 mu until it rolls. Without it the ball leaves at up to 0.6 m/s."""
    model = ball(1e-6, 0.3 * h, (speed, 0.0, -1.0), friction, gravity=(0.0, 0.0, 0.0)).finalize(dtype="float64")
    t = Simulator(model, step=h).rollout(model.state(), steps=round(0.05 / h))
    after = max(speed - friction, 5 / 7 * speed)
    assert float(t.final.body_v[0, 0, 0]) == pytest.approx(after, rel=2e-3)
    assert float(t.body_v[:, 0, 0, 2].max()) < 0.025
    assert float(t.body_q[:, 0, 0, 2].min()) > 0.1 - 0.05 * h


def test_steps_one_by_one_equal_a_rollout():
    model = ball(0.8, 0.05, (0.3, 0.0, -1.0), 0.4).finalize()
    simulator = Simulator(model)
    state = model.state()
    for _ in range(40):
        state = simulator.step(State(state.body_q, state.body_v))
    whole = simulator.rollout(model.state(), steps=40).final
    assert torch.equal(state.body_q, whole.body_q)


def test_recorded_forces_are_what_changes_the_momentum():
    """A tumbling box: of its linear momentum in every step, impacts with friction included."""
    b = ModelBuilder()
    b.add_ground(friction=0.4, restitution=0.7)
    body = b.add_body(position=(0, 0, 0.2), rotation=about((1, 0.5, 0.2), 0.6), velocity=(0.4, 0.1, -1), mass=1.3)
    b.add_box(body, (0.06, 0.05, 0.04), friction=0.4, restitution=0.7)
    model = b.finalize(dtype="float64")
    simulator = Simulator(model)
    found = record(simulator, simulator.rollout(model.state(), steps=60))
    h = found.step_size
    change = 1.3 * np.diff(found.body_v[:, 0, 0, :3], axis=0)
    forces = np.array([found.contact_force[found.contacts(t, 0)].sum(0) for t in range(60)])
    assert np.abs(forces).max() > 200.0
    np.testing.assert_allclose(change, h * (forces + np.array([0, 0, -1.3 * G])), rtol=0, atol=1e-9)


def test_worlds_of_a_batch_some_of_which_bounce_are_those_of_worlds_alone():
    """States, gradients and recorded forces of worlds with restitution and without, in an order that mixes them."""
    model = ball(0.0, 0.02, (2.0, 0.0, -1.0), 0.4).finalize(dtype="float64")
    simulator = Simulator(model)
    e = torch.tensor([0.0, 0.8, 0.0, 0.5, 0.0], dtype=torch.float64)
    weights = torch.randn(5, 1, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def outcome(worlds):
        values = e[worlds, None].expand(-1, 2).clone().requires_grad_()
        friction = torch.full((len(worlds), 2), 0.4, dtype=torch.float64, requires_grad=True)
        parameters = {"shape_restitution": values, "shape_friction": friction}
        t = simulator.rollout(model.state(len(worlds)), None, parameters, steps=12)
        gradients = torch.autograd.grad((t.final.body_q * weights[worlds]).sum(), [values, friction])
        plain = {name: value.detach() for name, value in parameters.items()}
        found = record(simulator, t, parameters=plain)
        force = np.zeros((12, len(worlds), 3))
        for step in range(12):
            for world in range(len(worlds)):
                force[step, world] = found.contact_force[found.contacts(step=step, world=world)].sum(axis=0)
        return t.body_q.detach(), t.body_v.detach(), gradients, force

    q, v, gradients, force = outcome(list(range(5)))
    for w in range(5):
        q1, v1, gradients1, force1 = outcome([w])
        assert torch.equal(q[:, w], q1[:, 0])
        assert torch.equal(v[:, w], v1[:, 0])
        for many, one in zip(gradients, gradients1, strict=True):
            torch.testing.assert_close(many[w], one[0], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(force[:, w], force1[:, 0], rtol=1e-12, atol=1e-12)
    assert (force != 0.0).any(axis=(0, 2)).all()
