"""The forward map is continuous, and its differences settle: without this no gradient means anything."""

import math

import pytest
import torch
from scenes import about, push, push_targets

from carom.kernels.contact.hard import CONTACT_PERIOD_STEPS
from carom.sim import ModelBuilder, Simulator, State

EPS = tuple(10.0**-k for k in range(2, 8))
"""Steps from 1e-2 to 1e-7."""


def sweep(simulator, control, direction, functional):
    """Central differences of a functional of the final state along ``direction``, one per step, and the exact slope."""
    worlds = torch.cat([control + s * e * direction for e in EPS for s in (1.0, -1.0)], 1)
    state = simulator.model.state(2 * len(EPS))
    values = functional(simulator.rollout(state, worlds, record=False).final).reshape(-1, 2)
    differences = (values[:, 0] - values[:, 1]) / (2 * torch.tensor(EPS, dtype=torch.float64))
    leaf = control.clone().requires_grad_()
    final = simulator.rollout(simulator.model.state(), leaf, record=False).final
    (g,) = torch.autograd.grad(functional(final).sum(), leaf)
    return differences, float((g * direction).sum())


def slopes_around(simulator, control, direction, functional, points=24):
    """Exact slopes along ``direction`` at points spread evenly over each step of ``sweep``, [EPS, points]."""
    places = torch.tensor(EPS, dtype=torch.float64)[:, None] * (2 * torch.arange(points) + 1 - points) / points
    leaf = (control + places.reshape(-1, 1) * direction).requires_grad_()
    final = simulator.rollout(simulator.model.state(places.numel()), leaf, record=False).final
    (g,) = torch.autograd.grad(functional(final).sum(), leaf)
    return (g * direction).sum((0, 2)).reshape(places.shape)


def pose_x(state):
    return state.body_q[:, 0, 0]


def pose_y(state):
    return state.body_q[:, 0, 1]


def yaw(state):
    return 2.0 * torch.atan2(state.body_q[:, 0, 5], state.body_q[:, 0, 6])


@pytest.mark.parametrize("functional", [pose_x, pose_y, yaw])
@pytest.mark.parametrize("offset", [0.0, 0.02])
@pytest.mark.parametrize("quasi_dynamic", [False, True])
def test_differences_of_a_push_settle(functional, offset, quasi_dynamic):
    """200 steps of a push, centred and off centre. The sweep goes from 1e-2 to 1e-7.

    Convergence: the changes from one step to the next shrink, a hundredfold where the function is smooth over the step
    and tenfold where contacts switch and it bends (at least fourfold), down to the rounding of the poses over the step,
    1e-14/eps; and the limit is the exact gradient, to 1e-6. A single bend, by B of the slope, leaves changes of up to
    B/2 at every step that spans it: the exact slopes say how large they are. And a difference is the mean of the slopes
    over its span, wherever they bend, unless the function jumps.
    """
    model = push(offset=offset).finalize(dtype="float64")
    simulator = Simulator(model, tolerance=1e-13, quasi_dynamic=quasi_dynamic)
    control = push_targets(200, offset=offset)
    direction = torch.randn(control.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    direction = 0.1 * direction / direction.norm() * 200**0.5  # each target by about a tenth of eps
    differences, exact = sweep(simulator, control, direction, functional)
    size = max(abs(exact), 0.01)
    changes = (differences[1:] - differences[:-1]).abs()
    rounding = 1e-14 / torch.tensor(EPS[1:], dtype=torch.float64)
    slopes = slopes_around(simulator, control, direction, functional)
    spread = slopes.amax(1) - slopes.amin(1)
    for k in range(1, len(changes)):
        shrunk = changes[k - 1] / 4 + 4 * rounding[k] + 1e-9 * size
        assert changes[k] < max(shrunk, spread[k] / 2), (k, differences, exact)
    points = slopes.shape[1]
    variation = (slopes[:, 1:] - slopes[:, :-1]).abs().sum(1)  # bounds the error of the mean of so many points
    off = (differences - slopes.mean(1)).abs()
    assert (off < variation / points + 4e-14 / torch.tensor(EPS, dtype=torch.float64) + 1e-6 * size).all(), (
        off,
        variation,
    )
    error = (differences - exact).abs()
    assert error.min() < 1e-6 * size
    assert (error[1:] < 0.05 * size).all()  # nowhere does it grow without bound


def box_drop(height):
    b = ModelBuilder()
    b.add_ground()
    body = b.add_body(position=(0, 0, height), rotation=about((1, 0.5, 0.2), 0.4), velocity=(0.3, 0.1, -0.5), mass=1.0)
    b.add_box(body, (0.05, 0.06, 0.04))
    return b


def test_no_jumps_along_a_line_of_initial_heights():
    """A tumbling landing as a function of the initial height on a grid of 1e-6 m: steps of the result stay like it.

    Contacts switch on and off along the way, and with each of them the slope bends; a contact that entered with a force
    would show as a step that does not shrink with the grid.
    """
    model = box_drop(0.12).finalize(dtype="float64")
    simulator = Simulator(model, tolerance=1e-13)
    jumps = []
    for spacing in (1e-5, 1e-6, 1e-7):
        worlds = 400
        state = model.state(worlds)
        state.body_q[:, 0, 2] += spacing * torch.arange(worlds, dtype=torch.float64)
        q = simulator.rollout(State(state.body_q, state.body_v), steps=80, record=False).final.body_q[:, 0]
        jumps.append(float((q[1:] - q[:-1]).abs().max()))
    slopes = [j / s for j, s in zip(jumps, (1e-5, 1e-6, 1e-7), strict=True)]
    # Lipschitz: the greatest slope over the line is that of the map, whatever the grid
    assert max(slopes[1:]) < 2.0 * slopes[0]


def test_contact_enters_without_a_force():
    """A sphere that approaches, as a function of its height: one step by hand, which starts from zero with a bend.

    With r = 2 pi/periods, the derived stiffness m (r/h)^2 and critical damping, the step solves
    v1 = (v* - r^2 gap/h)/(1 + r)^2 where that leaves a load, and v1 = v* beyond.
    """
    h, speed = 0.005, 1.0
    b = ModelBuilder()
    b.add_ground()
    body = b.add_body(position=(0, 0, 0.05), velocity=(0, 0, -speed), mass=1.7)
    b.add_sphere(body, 0.05)
    model = b.finalize(dtype="float64")
    worlds = 2000
    gap = torch.linspace(0.0, 0.02, worlds, dtype=torch.float64)
    state = model.state(worlds)
    state.body_q[:, 0, 2] += gap
    after = Simulator(model, step=h).rollout(state, steps=1, record=False).final.body_v[:, 0, 2]
    r = 2 * math.pi / CONTACT_PERIOD_STEPS
    free = -speed - 9.81 * h
    by_hand = torch.clamp((free - r * r * gap / h) / (1 + r) ** 2, min=free)
    assert (by_hand == free).any()
    assert torch.allclose(after, by_hand, rtol=0, atol=1e-11)
