"""The contact capacity grows where a world exceeds it, with results equal to the bit to a larger one from the start."""

import math
import warnings

import numpy as np
import pytest
import torch
from scenes import about

from carom.kernels.collision import pair_table
from carom.sim import STATIC, CapacityError, ModelBuilder, SimulationWarning, Simulator, record, step_jacobian
from carom.sim.stepping import batch_pool, simulator
from carom.sim.stepping.capacity import default_capacity, greatest_capacity

TIGHT = 3


def crowd(count=3, restitution=0.0, rolling=0.0):
    """Boxes and balls on the ground, and a blade on a velocity actuator that sweeps them."""
    b = ModelBuilder()
    b.add_ground(restitution=restitution)
    for i in range(count):
        body = b.add_body(position=(0.14 * i, 0, 0.049 + 0.02 * i), rotation=about((0.1, 0.2, 1), 0.2 * i))
        b.add_box(body, (0.05, 0.05, 0.05), restitution=restitution, rolling_resistance=rolling)
        ball = b.add_body(position=(0.14 * i, 0.11, 0.04), velocity=(0.1, -0.5, 0))
        b.add_sphere(ball, 0.04, restitution=restitution, rolling_resistance=rolling)
    blade = b.add_body(position=(-0.065, 0, 0.05), mass=1.0, locked=("z", "angular"))
    b.add_box(blade, (0.01, 0.2, 0.04))
    b.add_actuator(blade, "x", "velocity", damping=100.0)
    return b.finalize(dtype="float64")


@pytest.fixture
def tight(monkeypatch):
    monkeypatch.setattr(simulator, "default_capacity", lambda model, softened=False: TIGHT)


def inputs(model, worlds=3, steps=6):
    state = model.state(worlds)
    state.body_v[1, :, 2] = -0.3
    state.body_v[2, :, 0] = 0.4
    control = torch.full((steps, worlds, 1), 0.3, dtype=torch.float64)
    for x in (state.body_q, state.body_v, control):
        x.requires_grad_()
    return state, control


def gradients(simulator, state, control):
    """The path, and the derivatives of a sum over it by all inputs."""
    t = simulator.rollout(state, control)
    weights = torch.linspace(-1, 1, t.body_q.numel(), dtype=torch.float64).reshape(t.body_q.shape)
    return t, torch.autograd.grad((weights * t.body_q).sum(), (state.body_q, state.body_v, control))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("scene", [{}, {"restitution": 0.4}, {"rolling": 0.002}])
def test_growing_changes_no_bit(tight, scene, threads):
    model = crowd(**scene)
    state, control = inputs(model)
    roomy = Simulator(model, contact_capacity=400, step=0.01, threads=threads, segment=4)
    expected, by_roomy = gradients(roomy, state, control)
    growing = Simulator(model, step=0.01, threads=threads, segment=4)
    with pytest.warns(
        SimulationWarning, match=rf"there was room for {TIGHT}: room for \d+ was made.*contact_capacity="
    ):
        found, by_growing = gradients(growing, state, control)
    for name in ("body_q", "body_v"):
        assert torch.equal(getattr(found, name), getattr(expected, name))
    for a, b in zip(by_growing, by_roomy, strict=True):
        assert torch.equal(a, b)
    assert torch.equal(found.diagnostics.contacts, expected.diagnostics.contacts)
    assert torch.equal(found.diagnostics.iterations, expected.diagnostics.iterations)
    assert int(found.diagnostics.contacts.max()) <= growing.contact_capacity <= greatest_capacity(model)
    with warnings.catch_warnings():  # told once
        warnings.simplefilter("error")
        gradients(growing, state, control)


def recorded(s, t, state, control):
    found = record(s, t, control.detach())
    return [found.contact_force, found.contact_gap, found.contact_point, found.contact_start]


def jacobians(s, t, state, control):
    return [x.detach().numpy() for x in step_jacobian(s, s.model.state(2), control[0, :2])]


def pulled_back(s, t, state, control):
    seeds = {"path_q": None, "path_v": None, "final_q": torch.ones_like(t.final.body_q), "final_v": None}
    values = {name: getattr(s.model, name) for name in (*simulator.PARAMETERS, "shape_size")}
    out = s.run_backward(t.body_q.detach(), t.body_v.detach(), control.detach(), values, seeds)
    return [out[name].numpy() for name in sorted(out)]


def stepped(s, t, state, control):
    return [s.step(state, control[0]).body_q.detach().numpy()]


@pytest.mark.parametrize("call", [recorded, jacobians, pulled_back, stepped])
def test_whatever_comes_first_may_grow(tight, call):
    """A simulator whose first call is not a rollout, and one that is given the states of another."""
    model = crowd()
    state, control = inputs(model)
    roomy, growing = Simulator(model, contact_capacity=400, step=0.01), Simulator(model, step=0.01)
    t = roomy.rollout(state, control)
    with pytest.warns(SimulationWarning, match="room for .* was made"):
        found = call(growing, t, state, control)
    for x, y in zip(found, call(roomy, t, state, control), strict=True):
        assert np.array_equal(x, y)


def test_an_error_after_growing_leaves_the_simulator_usable(tight):
    model = crowd()
    state, control = inputs(model)
    growing = Simulator(model, step=0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("error", SimulationWarning)  # who makes warnings errors loses this result, and no other
        with pytest.raises(SimulationWarning, match="room for"):
            growing.rollout(state, control)
    fresh = Simulator(model, step=0.01, contact_capacity=400).rollout(state, control)
    assert torch.equal(growing.rollout(state, control).final.body_q, fresh.final.body_q)


def test_no_memory_for_more(tight, monkeypatch):
    model = crowd()
    state, control = inputs(model)
    growing = Simulator(model, step=0.01)
    made = batch_pool.LaunchGraphs

    def scarce(model, options, width, capacity):
        if capacity > TIGHT:
            raise RuntimeError("Failed to allocate 99 bytes on device 'cpu'")
        return made(model, options, width, capacity)

    monkeypatch.setattr(batch_pool, "LaunchGraphs", scarce)
    with pytest.raises(
        CapacityError, match=r"world \d met \d+ contacts, and there is no memory for \d+ contacts in each of"
    ):
        growing.rollout(state, control)
    assert growing.contact_capacity == TIGHT
    monkeypatch.setattr(batch_pool, "LaunchGraphs", made)
    with pytest.warns(SimulationWarning, match="room for"):
        growing.rollout(state, control)


def test_a_limit_is_a_limit(tight):
    model = crowd()
    state, control = inputs(model)
    with pytest.raises(CapacityError, match=r"met \d+ contacts but there is room for 7; .*or leave it out, so that"):
        Simulator(model, contact_capacity=7, step=0.01).rollout(state, control)


def test_lists_that_are_cut_off_warn_of_nothing_else(tight):
    """With half of the contacts left out bodies sink into each other, which is no fault of the scene."""
    model = crowd()
    state, control = inputs(model, steps=16)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        Simulator(model, step=0.01, segment=8).rollout(state, control)
    assert ["room for" in str(w.message) for w in told] == [True]


def prism(sides=8, radius=0.05, half=0.02):
    angle = np.arange(sides) * 2 * math.pi / sides
    return np.array([(radius * math.cos(a), radius * math.sin(a), z) for a in angle for z in (-half, half)])


def test_a_pair_of_hulls_has_room_for_a_polygon_and_a_crossing():
    """An octagonal prism dropped on another, 30 ways: nine contacts at once, of which eight had room."""
    rng = np.random.default_rng(0)
    b = ModelBuilder()
    b.add_convex(STATIC, prism())
    b.add_convex(b.add_body(position=(0, 0, 0.055)), prism())
    model = b.finalize(dtype="float64")
    assert default_capacity(model) == greatest_capacity(model) == 9
    state = model.state(30)
    for w in range(30):
        axis = (*rng.normal(size=2), 0.0)
        state.body_q[w, 0, 3:] = torch.tensor(about(axis, rng.uniform(0, 0.3)))
        state.body_q[w, 0, :2] = torch.as_tensor(rng.uniform(-0.04, 0.04, size=2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert int(Simulator(model).rollout(state, steps=150).diagnostics.contacts.max()) == 9


def test_the_default_is_the_sum_over_the_pairs():
    b = ModelBuilder()
    b.add_ground()
    for i, add in enumerate(
        (
            lambda x: b.add_sphere(x, 0.05), lambda x: b.add_capsule(x, 0.05, 0.1), lambda x: b.add_box(x, (0.1,) * 3),
            lambda x: b.add_convex(x, prism()), lambda x: b.add_cylinder(x, 0.05, 0.1),
        )
    ):  # fmt: skip
        add(b.add_body(position=(0, 0, i + 1)))
    model = b.finalize()
    on_ground = 1 + 2 + 8 + 16 + 32
    others = (1 + 1 + 1 + 1) + (3 + 3 + 3) + (9 + 9) + 9
    assert default_capacity(model) == greatest_capacity(model) == on_ground + others


def test_a_pair_beyond_the_table_is_a_fault_that_is_told(monkeypatch):
    """Detection counts for itself: with too small a number in the table it says so, and does not cut the list."""
    from carom.kernels.collision import detect_lanes, driver, hull_driver

    kind = (pair_table.ShapeType.PLANE, pair_table.ShapeType.BOX)
    monkeypatch.setitem(pair_table.PAIRS, kind, pair_table.PairKind("plane.plane_box", 3))
    for module in (driver, hull_driver, detect_lanes):
        monkeypatch.setattr(module, "make", module.make.__wrapped__)
    b = ModelBuilder()
    b.add_ground()
    b.add_box(b.add_body(position=(0, 0, 0.05)), (0.05, 0.05, 0.05))
    model = b.finalize(dtype="float64")
    with pytest.raises(
        CapacityError, match=r"a pair of shapes listed 4 contacts, more than the table .* please report"
    ):
        Simulator(model).rollout(model.state(), steps=2)
