"""Worlds do not know of each other: to the bit the same alone, in a batch, on any number of threads, in any cut."""

import dataclasses

import pytest
import torch
from scenes import about, box_on_ground, push, push_targets

from carom.sim import ModelBuilder, Simulator, State

STEPS = 60
WORLDS = 7


def pile():
    """Boxes, a capsule and a ball that fall on each other: every kind of contact."""
    b = ModelBuilder()
    b.add_ground()
    for i in range(4):
        body = b.add_body(position=(0.02 * i, 0.01 * i, 0.07 + 0.15 * i), rotation=about((1, 0.2 * i, 0.3), 0.1 * i))
        if i == 1:
            b.add_capsule(body, 0.04, 0.05)
        elif i == 2:
            b.add_sphere(body, 0.05)
        else:
            b.add_box(body, (0.05, 0.06, 0.05))
    return b


def varied(model, worlds=WORLDS):
    """Parameters of every kind, different in every world, and states and controls that differ too."""
    factor = 1.0 + 0.1 * torch.arange(worlds, dtype=model.dtype, device=model.device)
    parameters = {
        name: getattr(model, name) * factor.view(-1, *[1] * (getattr(model, name).dim() - 1))
        for name in ("body_mass", "body_inertia", "shape_friction", "gravity")
    }
    for name, value in (("shape_stiffness", 2e4), ("shape_damping", 60.0)):
        given = value * factor[:, None].expand(worlds, model.shapes).clone()
        given[::2] = -1.0  # every other world derives its own
        parameters[name] = given
    state = model.state(worlds)
    state.body_v[..., 0] += 0.1 * factor[:, None]
    control = push_targets(STEPS, distance=0.08, worlds=worlds, dtype=model.dtype).to(model.device)
    control = control + 0.002 * factor[:, None] if model.actuators else None
    return state, control, {k: v.to(model.device) for k, v in parameters.items()}


def rollout(model, state, control, parameters, **options):
    t = Simulator(model, **options).rollout(state, control, parameters, steps=STEPS)
    return t.body_q, t.body_v


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scene", [push, pile])
def test_a_world_gets_what_it_gets_alone(device, scene, dtype):
    model = scene().finalize(dtype=dtype, device=device)
    state, control, parameters = varied(model)
    state = State(state.body_q.to(device), state.body_v.to(device))
    control = None if control is None else control.to(device)
    q, v = rollout(model, state, control, parameters)
    assert not torch.equal(q[:, 0], q[:, 1])
    for w in range(WORLDS):
        one = slice(w, w + 1)
        alone = rollout(
            model, State(state.body_q[one], state.body_v[one]), None if control is None else control[:, one],
            {k: x[one] for k, x in parameters.items()},
        )  # fmt: skip
        assert torch.equal(alone[0][:, 0], q[:, w]), w
        assert torch.equal(alone[1][:, 0], v[:, w]), w


@pytest.mark.parametrize("scene", [push, pile])
def test_threads_and_segments_change_nothing(scene):
    model = scene().finalize()
    state, control, parameters = varied(model, 37)
    reference = rollout(model, state, control, parameters, threads=1)
    for options in ({"threads": 2}, {"threads": 5}, {"segment": 1}, {"segment": 7, "threads": 2}, {"segment": 100}):
        other = rollout(model, state, control, parameters, **options)
        assert torch.equal(reference[0], other[0]), options
        assert torch.equal(reference[1], other[1]), options


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("quasi_dynamic", [False, True])
def test_gradients_on_and_off(device, dtype, quasi_dynamic):
    model = push().finalize(dtype=dtype, device=device)
    simulator = Simulator(model, quasi_dynamic=quasi_dynamic)
    control = push_targets(STEPS, distance=0.08, dtype=model.dtype).to(device)
    plain = simulator.rollout(model.state(), control)
    tracked = simulator.rollout(model.state(), control.clone().requires_grad_())
    tracked.final.body_q.sum().backward()
    again = simulator.rollout(model.state(), control)  # after a backward pass over the same buffers
    short = simulator.rollout(model.state(), control, record=False)
    for t in (tracked, again):
        assert torch.equal(t.body_q, plain.body_q)
        assert torch.equal(t.body_v, plain.body_v)
    for t in (tracked, again, short):
        assert torch.equal(t.final.body_q, plain.final.body_q)
        assert torch.equal(t.final.body_v, plain.final.body_v)


def test_trajectory_starts_and_ends_where_it_says():
    model = push().finalize(dtype="float64")
    simulator = Simulator(model)
    control = push_targets(50)
    t = simulator.rollout(model.state(), control)
    assert t.body_q.shape == (51, 1, 2, 7)
    assert t.body_v.shape == (51, 1, 2, 6)
    assert torch.equal(t.body_q[0], model.state().body_q)
    assert torch.equal(t.body_q[-1], t.final.body_q)
    halfway = simulator.rollout(State(t.body_q[20], t.body_v[20]), control[20:])
    assert torch.equal(halfway.final.body_q, t.final.body_q)
    assert simulator.rollout(model.state(), control, record=False).body_q is None


def test_no_steps_return_the_start():
    model = box_on_ground(velocity=(1, 2, 3)).finalize(dtype="float64")
    t = Simulator(model).rollout(model.state(), steps=0)
    assert torch.equal(t.final.body_q, model.state().body_q)
    assert torch.equal(t.final.body_v, model.state().body_v)
    assert t.body_q.shape[0] == 1


def test_inputs_are_left_alone():
    model = push().finalize(dtype="float64")
    state, control = model.state(), push_targets(20)
    copies = state.body_q.clone(), state.body_v.clone(), control.clone()
    Simulator(model).rollout(state, control)
    assert torch.equal(state.body_q, copies[0])
    assert torch.equal(state.body_v, copies[1])
    assert torch.equal(control, copies[2])
    assert torch.equal(model.state().body_q, copies[0])


def test_model_of_many_worlds_equals_overrides_of_one():
    """A model whose rows were replaced, and a model of one world with the same rows given to the rollout."""
    one, many = push().finalize(dtype="float64"), push().finalize(WORLDS, dtype="float64")
    state, control, parameters = varied(one)
    given = rollout(one, state, control, parameters)
    kept = rollout(dataclasses.replace(many, **parameters), state, control, {})
    assert torch.equal(given[0], kept[0])


def test_worlds_that_start_different_stay_finite_together():
    """A batch in which one world flies off at high speed: the others do not notice."""
    model = pile().finalize(dtype="float64")
    state = model.state(3)
    state.body_v[1] += 30.0
    q, _ = rollout(model, state, None, {})
    calm, _ = rollout(model, model.state(), None, {})
    assert torch.equal(q[:, 0], calm[:, 0])
    assert torch.equal(q[:, 2], calm[:, 0])
