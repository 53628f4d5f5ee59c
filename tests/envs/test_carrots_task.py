"""The task: its gradient against differences, pushes one by one, worlds that differ, errors."""

from __future__ import annotations

import math

import pytest
import torch

from carom.envs import TaskError, make, tasks
from carom.envs.carrots import Blade, Randomize

SHORT = Blade(push_duration=0.2)


def slopes(task, actions, directions, steps):
    """Central differences along a direction each, [steps, batch], from one batch of rollouts."""
    rows = torch.cat([actions + s * e * directions for e in steps for s in (1.0, -1.0)])
    values = task(rows).reshape(len(steps), 2, len(actions))
    return (values[:, 0] - values[:, 1]) / (2.0 * torch.tensor(steps, dtype=torch.float64)[:, None])


def near_initial(task, count, seed, reach):
    """Short pushes into the pile, each a little different."""
    gen = torch.Generator().manual_seed(seed)
    actions = task.initial_parameters().repeat(count, 1)
    actions[:, 0] += 0.025
    actions[:, 2], actions[:, 3] = actions[:, 0] + reach, actions[:, 1]
    directions = torch.randn(count, 4, generator=gen, dtype=torch.float64)
    noise = 0.006 * torch.randn(count, 4, generator=gen, dtype=torch.float64)
    return actions + noise, directions / directions.norm(dim=1, keepdim=True)


@pytest.mark.parametrize(
    ("count", "options"), [(8, {}), (3, {"quasi_dynamic": True, "contact_margin": 0.02})], ids=["dynamic", "quasi"]
)
def test_gradient_matches_central_differences(count, options):
    """Where the differences settle, the exact gradient is what they settle at.

    In the other rows a contact or a corner changes within the difference, or the motion is so unstable that it grows
    the difference out of the linear range; which rows these are is decided by the differences alone.
    """
    task = make("carrots", pieces=5, dtype="float64", blade=SHORT, **options)
    actions, directions = near_initial(task, count, 0, reach=0.03)
    value, gradient = task.value_and_gradient(actions)
    exact = (gradient * directions).sum(dim=1)
    rough, fine = slopes(task, actions, directions, (1e-8, 2.5e-9))
    settled = ((fine - rough).abs() < 1e-3 * fine.abs()) & (fine.abs() > 1e-3)
    assert settled.sum() > count // 2
    numeric = (16 * fine - rough) / 15  # Taylor's error is quadratic: what is left of it is far below 1e-3 of itself
    torch.testing.assert_close(exact[settled], numeric[settled], rtol=1e-5, atol=0.0)
    assert (value > 0).all()


@pytest.mark.slow
def test_gradient_of_twenty_pieces():
    """A whole push through 20 pieces: contacts change within any difference but the smallest; there it agrees."""
    task = make("carrots", pieces=20, dtype="float64", quasi_dynamic=True, contact_margin=0.02)
    gen = torch.Generator().manual_seed(0)
    noise, directions = (torch.randn(8, 4, generator=gen, dtype=torch.float64) for _ in range(2))
    directions = directions / directions.norm(dim=1, keepdim=True)
    actions = task.initial_parameters() + 0.01 * noise
    _, gradient = task.value_and_gradient(actions)
    exact = (gradient * directions).sum(dim=1)
    rough, fine = slopes(task, actions, directions, (1e-8, 1e-9))
    settled = (fine - rough).abs() < 1e-5 * fine.abs()
    assert settled.sum() >= 3
    torch.testing.assert_close(exact[settled], rough[settled], rtol=1e-5, atol=0.0)


@pytest.fixture(scope="module")
def episode():
    return make(
        "carrots", pieces=4, pushes=2, dtype="float64", seed=1, blade=SHORT, quasi_dynamic=True, contact_margin=0.02
    )


def test_an_episode_is_its_pushes_one_by_one(episode):
    theta = episode.initial_parameters()[None] + torch.tensor([[0.0], [0.005]], dtype=torch.float64)
    leaf = theta.clone().requires_grad_()
    state = episode.pile_state(2)
    for action in episode.actions(leaf).unbind(1):
        state = episode.push(state, action)
    (gradient,) = torch.autograd.grad(episode.cost(state).sum(), leaf)
    value, exact = episode.value_and_gradient(theta)
    assert torch.equal(episode.cost(state).detach(), value)
    torch.testing.assert_close(gradient, exact, rtol=1e-12, atol=0.0)
    whole = episode.rollout(theta)
    steps = 2 * episode.push_steps
    assert whole.body_q.shape == (steps + 1, 2, 5, 7)
    assert whole.diagnostics.steps == steps == len(episode.controls(theta))
    assert torch.equal(whole.body_q[-1], state.body_q.detach())
    # between pushes the pieces do not jump, the blade does
    jump = whole.body_q[1:, ..., :3] - whole.body_q[:-1, ..., :3]
    assert jump[:, :, :4].norm(dim=-1).max() < 0.02
    last = whole.body_q[episode.push_steps, :, episode.blade_body, :2]
    torch.testing.assert_close(last, episode.actions(theta)[:, 0, 2:], rtol=0, atol=2e-3)


def test_gradient_with_respect_to_the_state(episode):
    """The state that a push starts from: moved along x as a whole together with the push, the end moves as much."""
    state = episode.pile_state(1)
    action = episode.initial_parameters()[None, :4]
    shift = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    state.body_q = torch.cat([state.body_q[..., :1] + shift, state.body_q[..., 1:]], dim=-1)
    moved = episode.push(state, action + shift * torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64))
    for i in range(episode.piece_count):
        (g,) = torch.autograd.grad(moved.body_q[0, i, 0], shift, retain_graph=True)
        assert float(g) == pytest.approx(1.0, abs=1e-6)


def test_initial_push_helps():
    """Ten pieces, beside the target: the first push brings most of them in."""
    task = make("carrots", threads=1)
    theta = task.initial_parameters()[None]
    before = task.cost(task.pile_state())
    assert float(before) > 0.5 * (task.target_square.centre[0] - task.target_square.half_side)
    assert float(task(theta)) < 0.25 * float(before)
    end = task.rollout(theta, record=False)
    assert float(end.diagnostics.penetration) < 1e-4
    # an image seen by float32 on what float64 made: the same view
    assert abs(float(task.cost(end.final, "image") - task.cost(end.final))) < 0.01


RANDOM = Randomize(friction=(0.3, 0.6), mass=(0.8, 1.2), piles=2, shift=0.01, turn=0.5, seed=3)


@pytest.fixture(scope="module")
def randomized():
    return make("carrots", pieces=4, dtype="float64", randomize=RANDOM, blade=SHORT)


def test_worlds_do_not_depend_on_the_batch(randomized):
    few, many = randomized.worlds(3), randomized.worlds(40)
    assert torch.equal(few.pieces_q, many.pieces_q[:3])
    for name, value in few.parameters.items():
        assert torch.equal(value, many.parameters[name][:3])
    theta = randomized.initial_parameters().repeat(5, 1)
    costs = randomized(theta)
    assert torch.equal(randomized(theta[:2]), costs[:2])
    assert costs.unique().numel() == 5  # and all differ


def test_worlds_are_drawn_from_their_ranges(randomized):
    """Ends of the ranges are nearly reached: 400 x 6 uniform numbers miss 1 percent of a range by chance e^-24."""
    model, worlds = randomized.model, randomized.worlds(400)
    friction, mass = worlds.parameters["shape_friction"], worlds.parameters["body_mass"] / model.body_mass
    assert 0.3 <= friction.min() < 0.303 < 0.597 < friction.max() <= 0.6
    assert 0.8 <= mass[:, :4].min() < 0.804 < 1.196 < mass[:, :4].max() <= 1.2
    assert (mass[:, 4] == 1.0).all()  # the blade
    inertia = worlds.parameters["body_inertia"] / model.body_inertia
    torch.testing.assert_close(inertia.diagonal(dim1=-2, dim2=-1), mass[..., None].expand(400, 5, 3))
    # independent of each other: 1/sqrt(400) is the error of a correlation, five of which are 6e-7 false alarms each
    pair = torch.corrcoef(torch.cat([friction, mass[:, :4]], dim=1).T) - torch.eye(10, dtype=torch.float64)
    assert pair.abs().max() < 5 / 20


def test_piles_are_moved_as_rigid_bodies(randomized):
    """Each world's pile is one of the settled ones, turned about z and shifted: distances and heights stay."""
    q = randomized.worlds(30).pieces_q
    settled = randomized._piles
    assert settled.shape == (2, 4, 7)

    def shape(x):
        return torch.cat([(x[:, :, None, :3] - x[:, None, :, :3]).norm(dim=-1).flatten(1), x[..., 2]], dim=1)

    distance = (shape(q)[:, None] - shape(settled)).abs().amax(dim=-1)
    assert distance.min(dim=1).values.max() < 1e-14
    assert distance.argmin(dim=1).unique().numel() == 2
    torch.testing.assert_close(q[..., 3:].norm(dim=-1), torch.ones(30, 4, dtype=torch.float64))
    # at rest as before: what leans still leans, the same way up
    start = randomized.pile_state(30)
    blade = start.body_q[:, randomized.blade_body]  # held where it is parked
    hold = torch.cat([blade[:, :3], 2.0 * torch.atan2(blade[:, 5:6], blade[:, 6:])], dim=1)
    still = randomized.simulator.rollout(start, hold.expand(20, -1, -1).contiguous())
    assert still.body_v[1:, :, :4, :3].norm(dim=-1).max() < 5e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pieces": 0}, "pieces must be an integer from 1 to 200, got 0"),
        ({"pushes": 0}, "pushes must be an integer of at least 1, got 0"),
        ({"seed": -3}, "seed must be an integer of at least 0"),
        ({"friction": math.nan}, "friction must be finite and not negative"),
        ({"randomize": True}, "randomize must be a Randomize or None, got bool"),
        ({"piece": 3}, "unexpected keyword argument 'piece'"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises((TaskError, TypeError, ValueError), match=message):
        make("carrots", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"friction": (0.5, 0.2)}, r"friction must be a range \(low, high\)"),
        ({"mass": (0.0, 1.0)}, "finite positive numbers"),
        ({"piles": 0}, "piles must be an integer of at least 1"),
        ({"shift": -1.0}, "shift must be finite and not negative"),
        ({"turn": math.inf}, "turn must be finite"),
    ],
)
def test_bad_randomization(options, message):
    with pytest.raises(TaskError, match=message):
        Randomize(**options)


def test_bad_actions(episode):
    state = episode.pile_state(2)
    with pytest.raises(TaskError, match=r"action must be a tensor of shape \[worlds, 4\] = \[2, 4\], got \(2, 8\)"):
        episode.push(state, torch.zeros(2, 8))
    action = torch.tensor([[0.0, 0.0, 0.1, 0.0], [0.0, math.nan, 0.1, 0.0]])
    with pytest.raises(TaskError, match="the action of row 1 is not finite"):
        episode.push(state, action)
    with pytest.raises(TaskError, match="not finite at row 0, parameter 'y1_1'"):
        episode(torch.tensor([[0.0, 0, 0.1, 0, 0, 0, 0.1, math.inf]]))
    assert "carrots" in tasks()
