"""The blade: where its targets go, how it follows them, what it does when it comes down on a piece."""

from __future__ import annotations

import math

import pytest
import torch
from scenes import rotate
from scipy.integrate import solve_ivp

from carom.envs import TaskError, make
from carom.envs.carrots import Blade
from carom.envs.carrots.blade import yaw_of

FAR = torch.tensor([[0.30, 0.30, 0.42, 0.39], [0.45, 0.3, 0.3, 0.5]], dtype=torch.float64)
"""Pushes where there are no pieces."""


@pytest.fixture(scope="module")
def task():
    return make("carrots", pieces=3, dtype="float64", threads=1)


@pytest.fixture(scope="module")
def free(task):
    return task.push_trajectory(task.pile_state(2), FAR)


def smooth(t):
    t = min(max(t, 0.0), 1.0)
    return 3 * t**2 - 2 * t**3


def test_square_to_its_motion():
    angle = torch.linspace(-3.1, 3.1, 40, dtype=torch.float64)
    ends = 0.2 * torch.stack([angle.cos(), angle.sin()], -1)
    actions = torch.cat([torch.zeros_like(ends), ends], -1)
    pose = Blade().start_pose(actions)
    broad = rotate(pose[:, 3:], torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64).expand(40, 3))
    torch.testing.assert_close((broad[:, :2] * ends).sum(-1).abs(), torch.full_like(angle, 0.2))
    yaw = yaw_of(actions)
    turns = (yaw - angle - 0.5 * math.pi) / math.pi  # direction + 90 degrees, up to half turns
    torch.testing.assert_close(turns, turns.round(), rtol=0, atol=1e-12)
    assert yaw.abs().max() <= 0.5 * math.pi


def test_the_way_there_and_back(task):
    """Down at the first point, straight to the second, up again: the phases' ends, and no step aside."""
    h, blade = task.simulator.step_size, task.blade
    targets = blade.targets(FAR, h)
    lower, push, lift, wait = blade.phases(h)
    assert len(targets) == lower + push + lift + wait == task.push_steps
    torch.testing.assert_close(targets[:lower, :, :2], FAR[:, :2].expand(lower, 2, 2))
    torch.testing.assert_close(targets[lower + push - 1 :, :, :2], FAR[:, 2:].expand(lift + wait + 1, 2, 2))
    along = FAR[:, 2:] - FAR[:, :2]
    off = targets[..., :2] - FAR[:, :2]
    assert (off[..., 0] * along[:, 1] - off[..., 1] * along[:, 0]).abs().max() < 1e-15
    sag = blade.mass * 9.81 / blade.stiffness_z
    low = blade.half_extents[2] + blade.gap + sag
    torch.testing.assert_close(targets[lower - 1 : lower + push, :, 2], torch.full((push + 1, 2), low).double())
    torch.testing.assert_close(targets[-1, :, 2], torch.full((2,), low + blade.lift).double())
    torch.testing.assert_close(task.controls(FAR[:1]), targets[:, :1])


def test_the_jump_of_the_yaw_is_no_jump_of_the_blade(task):
    """A hair either side of a push along x the yaw differs by half a turn: a box turned so is the same."""
    near = torch.tensor([[-0.1, 0.002, 0.0, 0.002 + s * 1e-9] for s in (1.0, -1.0)], dtype=torch.float64)
    yaw = yaw_of(near)
    assert abs(float(yaw[0] - yaw[1])) == pytest.approx(math.pi, abs=1e-6)
    path = task.push_trajectory(task.pile_state(2), near).body_q[:, :, : task.piece_count]
    touched = 60  # steps: a few hundredths of a second of contact, before differences of 1e-9 grow
    assert (path[touched, 0] - path[touched, 1]).abs().max() < 1e-6


def test_follows_as_a_damped_spring(task, free):
    """Free of contact: m x'' = k (X(t) - x) - d x', the same along the push, up and down, by scipy.

    The simulator's step is of first order, so the difference is bounded by the acceleration's scale times h T.
    """
    blade, h = task.blade, task.simulator.step_size
    lower, push, lift, _ = (n * h for n in blade.phases(h))
    length = (FAR[:, 2:] - FAR[:, :2]).norm(dim=-1)

    def follow(k, d, target, start):
        def f(t, s):
            return [s[1], (k * (target(t) - s[0]) - d * s[1]) / blade.mass]

        times = torch.arange(task.push_steps + 1).double() * h
        end = float(times[-1])
        return torch.from_numpy(
            solve_ivp(f, (0, end), [start, 0], t_eval=times.numpy().clip(max=end), rtol=1e-9, atol=1e-12, max_step=h).y[
                0
            ]
        )

    q = free.body_q[:, :, task.blade_body]
    for w in range(2):
        direction = (FAR[w, 2:] - FAR[w, :2]) / length[w]
        along = (q[:, w, :2] - FAR[w, :2]) @ direction
        expected = follow(
            blade.stiffness, blade.damping, lambda t, w=w: float(length[w]) * smooth((t - lower) / push), 0.0
        )
        # speeds of 0.3 m/s, shifted in time by no more than a step
        assert (along - expected).abs().max() < 0.3 * h
        aside = (q[:, w, :2] - FAR[w, :2]) @ torch.stack([-direction[1], direction[0]])
        assert aside.abs().max() < 1e-12
    height = follow(
        blade.stiffness_z,
        blade.damping_z,
        lambda t: blade.low + blade.lift * (1 - smooth(t / lower) + smooth((t - lower - push) / lift)),
        blade.low + blade.lift,
    )
    assert (q[:, 0, 2] - height).abs().max() < 0.8 * h  # 0.08 m in 0.15 s, 0.8 m/s at most
    # the slow middle of the push: down to the gap, and at its end at the second point
    middle = round((lower + 0.7 * push) / h)
    assert abs(float(q[middle, 0, 2]) - blade.low) < 1e-5
    assert (q[-1, :, :2] - FAR[:, 2:]).abs().max() < 1e-4


def test_stays_square_and_clear_of_the_table(task, free):
    q = free.body_q[:, :, task.blade_body]
    assert (q[:, :, 3:] - q[0, :, 3:]).abs().max() < 1e-9
    assert q[..., 2].min() - task.blade_half_extents[2] > 0.9 * task.blade.gap
    # nothing was touched: the pieces are where they would be without it, but for creep below the stiction speed
    moved = (free.final.body_q - free.body_q[0])[:, : task.piece_count, :3].norm(dim=-1)
    assert moved.max() < 2e-3


def test_gives_way_when_it_comes_down_on_a_piece(task):
    """The spring's force over a piece is at most k times how far the piece is in the way; the piece stays."""
    state = task.pile_state(3)
    at = torch.stack([state.body_q[i, i, :2] for i in range(3)])
    away = at - state.body_q[0, :3, :2].mean(dim=0)
    actions = torch.cat([at, at + 0.05 * away / away.norm(dim=-1, keepdim=True)], -1)
    path = task.push_trajectory(state, actions)
    lower = task.blade.phases(task.simulator.step_size)[0]
    blade = path.body_q[lower, :, task.blade_body, 2]
    assert (blade > task.blade.low + 0.003).all()  # it stands on the piece
    speed = path.body_v[:, :, :3, :3].norm(dim=-1)
    assert speed.max() < 1.5  # less than a fall of 11 cm
    assert path.body_q[:, :, :3, 2].min() > 0.0
    assert path.body_q[:, :, :3, 2].max() < 0.06
    assert float(path.diagnostics.penetration.max()) < 1e-4


def test_a_push_without_length(task):
    theta = torch.tensor([[0.0, 0.0, 0.1, 0.0], [0.1, 0.2, 0.1, 0.2]], dtype=torch.float64)
    with pytest.raises(
        TaskError, match=r"the push of row 1 from \(0.1, 0.2\) to \(0.1, 0.2\) m is shorter than 1e-06 m"
    ):
        task(theta)


def test_short_pushes_keep_finite_derivatives():
    actions = torch.tensor([[0.0, 0.0, 2e-6, 0.0], [0.0, 0.0, 0.0, -2e-6]], dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(Blade().targets(actions, 0.005).sum() + Blade().start_pose(actions).sum(), actions)
    assert torch.isfinite(g).all()
