"""Gradients with respect to parameters at the least or greatest value they may have, against one-sided differences.

Each is the derivative from the side that is allowed, or comes with a warning; a zero without a word is neither.
"""

import itertools
import math
import warnings

import pytest
import torch
from scenes import about, push, push_targets

from carom.sim import PARAMETERS, ModelBuilder, SimulationWarning, Simulator

STEPS = 40
EPS = tuple(1e-3 / 4**k for k in range(6))


def sliding(gravity=(0.0, 0.0, -9.81), **options):
    """A tilted box that slides, and tips on, across ground while it sinks in."""
    b = ModelBuilder(gravity=gravity)
    given = {"friction": 0.4, "stiffness": 3e4, "damping": 30.0, "rolling_resistance": 2e-3} | options
    b.add_ground(**given)
    box = b.add_body(
        position=(0, 0, 0.06), rotation=about((1, 0.5, 0.2), 0.1), velocity=(1.3, 0.2, -0.2),
        angular_velocity=(1, 2, 3), mass=1.3, name="box",
    )  # fmt: skip
    b.add_box(box, (0.06, 0.05, 0.05), **given)
    return b


def bouncing():
    return sliding(restitution=0.6)


def two_bodies(**options):
    """More than 8 free axes: the solver by islands."""
    b = sliding(**options)
    given = {"friction": 0.4, "stiffness": 3e4, "damping": 30.0} | options
    ball = b.add_body(position=(0.12, 0.01, 0.05), mass=0.5, name="ball")
    b.add_sphere(ball, 0.05, **given)
    return b


def pushed():
    return push(gains=(1000.0, 100.0))


SCENES = {
    "sliding": sliding, "bouncing": bouncing, "islands": two_bodies, "pushed": pushed,
    "islands, bouncing": lambda: two_bodies(restitution=0.6),
}  # fmt: skip


def rollout(builder, **options):
    """The cost as a function of {name: tensor}, and the model."""
    model = builder.finalize(dtype="float64")
    simulator = Simulator(model, tolerance=1e-13, threads=1, **options)
    control = push_targets(STEPS) if model.actuators else None
    gen = torch.Generator().manual_seed(3)
    weight = torch.randn((model.bodies, 13), generator=gen, dtype=torch.float64)

    def cost(values):
        final = simulator.rollout(
            model.state(), control, values, steps=None if model.actuators else STEPS, record=False
        ).final
        return (torch.cat([final.body_q, 0.1 * final.body_v], -1)[0] * weight).sum()

    return cost, model


def one_sided(f, sign):
    """Derivative of ``f`` at zero along ``sign``, and how well the steps agree; three points, then Richardson's way."""
    here = f(0.0)
    slopes = [(4 * f(sign * e) - f(2 * sign * e) - 3 * here) / (2 * e * sign) for e in EPS]
    better = [(16 * fine - coarse) / 15 for coarse, fine in itertools.pairwise(slopes)]
    errors = [abs(fine - coarse) for coarse, fine in itertools.pairwise(better)]
    best = min(range(len(errors)), key=errors.__getitem__)
    return better[best + 1], errors[best]


# parameter, the value at its bound, the side from which it may come, the scale of a step, the scenes
BOUNDS = [
    ("shape_friction", 0.0, 1, 1.0, ("sliding", "bouncing", "islands", "pushed", "islands, bouncing")),
    ("shape_damping", 0.0, 1, 10.0, ("sliding", "islands")),
    ("shape_restitution", 1.0, -1, 1.0, ("bouncing", "islands, bouncing")),
    ("shape_rolling_resistance", 0.0, 1, 0.01, ("sliding", "bouncing", "islands", "islands, bouncing")),
    ("shape_torsional_resistance", 0.0, 1, 0.01, ("sliding", "bouncing", "islands", "islands, bouncing")),
    ("actuator_stiffness", 0.0, 1, 100.0, ("pushed",)),
    ("actuator_damping", 0.0, 1, 100.0, ("pushed",)),
    ("gravity", 0.0, 1, 1.0, ("sliding", "islands")),
]


@pytest.mark.parametrize(
    ("name", "bound", "sign", "scale", "scene"),
    [(name, bound, sign, scale, scene) for name, bound, sign, scale, scenes in BOUNDS for scene in scenes],
)
def test_the_derivative_at_a_bound_is_that_from_the_side_allowed(name, bound, sign, scale, scene):
    cost, model = rollout(SCENES[scene]())
    base = getattr(model, name).clone()
    for column in range(min(base[0].numel(), 3)):
        at = base.clone()
        at.view(-1)[column] = bound

        def moved(e, at=at, column=column):
            x = at.clone()
            x.view(-1)[column] += e * scale
            with torch.no_grad():
                return float(cost({name: x}))

        expected, error = one_sided(moved, sign)
        assert error < 1e-5 * abs(expected) + 1e-9, "the differences do not settle"
        leaf = at.requires_grad_()
        with warnings.catch_warnings():
            warnings.simplefilter("error", SimulationWarning)
            (gradient,) = torch.autograd.grad(cost({name: leaf}), leaf)
        got = float(gradient.view(-1)[column]) * scale
        assert got == pytest.approx(expected, rel=1e-5, abs=1e-8), (name, scene, column)


def test_the_sweep_of_bounds_has_every_parameter():
    open_ended = {"body_mass", "body_inertia"}  # positive: the bound is no value of theirs
    warned = {"shape_stiffness"}  # zero or less stands for a derived one, see below
    assert {name for name, *_ in BOUNDS} | open_ended | warned == set(PARAMETERS)


@pytest.mark.parametrize("scene", ["sliding", "islands"])
def test_a_friction_of_exactly_zero_has_the_slope_of_one_just_above(scene):
    """Where all shapes have none, a warning tells that zero is right for each alone, and not for all together."""
    cost, model = rollout(SCENES[scene]())

    def gradient(others, box):
        friction = torch.full_like(model.shape_friction, others)
        friction[0, 1] = box
        leaf = friction.requires_grad_()
        return torch.autograd.grad(cost({"shape_friction": leaf}), leaf)[0][0]

    assert gradient(0.4, 0.0)[1] == pytest.approx(float(gradient(0.4, 1e-12)[1]), rel=1e-8)
    assert abs(gradient(0.4, 0.0)[1]) > 1e-3
    with pytest.warns(SimulationWarning, match=r"friction of shapes .* is exactly 0 for both .*one parameter"):
        none = gradient(0.0, 0.0)
    assert not none.any()
    with torch.no_grad():
        zero = torch.zeros_like(model.shape_friction)
        together = (cost({"shape_friction": zero + 1e-6}) - cost({"shape_friction": zero})) / 1e-6
    assert abs(together) > 1e-3


@pytest.mark.parametrize("at", [(0.0, 0.6), (0.6, 0.0), (0.0, 0.0)])
def test_the_gradient_by_a_restitution_of_zero_warns_that_it_is_none(at):
    """The result jumps there: no number is the derivative."""
    cost, _ = rollout(bouncing())
    restitution = torch.tensor([at], dtype=torch.float64, requires_grad=True)
    with pytest.warns(SimulationWarning, match=r"restitution of shapes 'ground.*' and .*exactly 0.*jumps.*1e-6"):
        (gradient,) = torch.autograd.grad(cost({"shape_restitution": restitution}), restitution)
    assert not gradient.any()
    with torch.no_grad():
        near = torch.tensor([[max(x, 1e-9) for x in at]], dtype=torch.float64)
        assert abs(cost({"shape_restitution": near}) - cost({"shape_restitution": restitution})) > 1e-5


@pytest.mark.parametrize("name", ["shape_stiffness", "shape_damping"])
def test_the_gradient_by_a_derived_coefficient_warns_that_it_has_no_effect(name):
    cost, model = rollout(sliding(stiffness=None, damping=None))
    leaf = getattr(model, name).clone().requires_grad_()
    with pytest.warns(SimulationWarning, match=rf"{name} of .* is -1, which stands for no .* derived from mass"):
        (gradient,) = torch.autograd.grad(cost({name: leaf}), leaf)
    assert not gradient.any()


def test_a_rollout_without_gradients_does_not_warn_of_bounds():
    cost, model = rollout(sliding(friction=0.0, restitution=0.0, stiffness=None))
    with warnings.catch_warnings():
        warnings.simplefilter("error", SimulationWarning)
        value = cost({name: getattr(model, name).clone() for name in PARAMETERS})
        mass = model.body_mass.clone().requires_grad_()
        torch.autograd.grad(cost({"body_mass": mass}), mass)
    assert math.isfinite(float(value))
