"""Closed-loop tasks: gradients against differences, costs against the objectives, seeds, success, bad input."""

from __future__ import annotations

import math

import pytest
import torch

from carom.envs import TaskError
from carom.envs.control import FlatStates, control_problem, control_tasks, make_control

OPTIONS = {
    "carrots": {"pieces": 2, "horizon": 2, "threads": 1, "dtype": "float64"},
    "search": {"objective": "quadratic"},
}
NAMES = sorted(control_tasks())


@pytest.fixture(scope="module")
def all_tasks():
    double = {"dtype": "float64", "threads": 1}
    return {name: make_control(name, **OPTIONS.get(name, double)) for name in NAMES}


def random_actions(task, worlds, intervals, seed=0):
    low, high = (torch.tensor(bound, dtype=torch.float64) for bound in (task.action_low, task.action_high))
    unit = torch.rand(intervals, worlds, len(low), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return low + (high - low) * unit


def forward_actions(task, worlds, intervals):
    """Towards the block, so that there is contact."""
    actions = 0.4 * random_actions(task, worlds, intervals)
    actions[..., task.spread_axis ^ 1] = 0.75 * task.action_high[0]
    return actions


def run(task, state, actions):
    costs = []
    for action in actions:
        state, cost, _ = task.step(state, action)
        costs.append(cost)
    return state, torch.stack(costs)


@pytest.mark.parametrize("name", ["push", "push_t", "box_pushing"])
def test_gradient_matches_central_differences(all_tasks, name):
    """Total cost and observations by actions, goal and start, through several intervals of contact."""
    task = all_tasks[name]
    generator = torch.Generator().manual_seed(1)
    start, actions = task.reset(1, seed=5), forward_actions(task, 1, 8)
    actions = 0.5 * actions if name != "box_pushing" else actions
    weights = torch.randn(len(task.observation_names), generator=generator, dtype=torch.float64)

    def total(position, goal, taken):
        """[rows], of a start position of the pusher [rows, 2], goals [rows, 3] and actions [8, rows, 2]."""
        rows = len(goal)
        state = start.select(torch.zeros(rows, dtype=torch.int64))
        q = state.bodies.body_q
        pusher = torch.cat([position, q[:, 1, 2:]], dim=1)
        state.bodies.body_q = torch.stack([q[:, 0], pusher], dim=1)
        state.goal = goal
        state, costs = run(task, state, taken)
        return costs.sum(0) + 0.1 * task.observe(state) @ weights

    inputs = [start.bodies.body_q[:, 1, :2] - 1e-4, start.goal, actions]
    leaves = [x.clone().requires_grad_() for x in inputs]
    gradients = torch.autograd.grad(total(*leaves).sum(), leaves)
    d = [torch.randn(x.shape, generator=generator, dtype=torch.float64) for x in inputs]
    exact = float(sum((g * x).sum() for g, x in zip(gradients, d, strict=True)))
    steps = torch.tensor([1e-6, -1e-6, 2e-6, -2e-6], dtype=torch.float64)
    along = [x + s * y for s in steps for x, y in zip(inputs, d, strict=True)]
    batch = [torch.cat(along[k::3], dim=1 if k == 2 else 0) for k in range(3)]
    with torch.no_grad():
        v = total(*batch)
    numeric = float((4 * (v[0] - v[1]) / 2e-6 - (v[2] - v[3]) / 4e-6) / 3)
    assert exact == pytest.approx(numeric, rel=1e-5, abs=1e-4)
    assert min(float(g.abs().max()) for g in gradients) > 0


def test_box_pushing_costs_add_up_to_the_objective(all_tasks):
    """The same actions in closed and in open loop, from the published start to the published goal."""
    task = make_control("box_pushing", goals=None, dtype="float64", threads=1)
    actions = forward_actions(task, 2, task.horizon)
    _, costs = run(task, task.reset(2), actions)
    theta = actions.transpose(0, 1).reshape(2, -1)
    torch.testing.assert_close(costs.sum(0), task.objective(theta), rtol=1e-9, atol=0)
    _, still = run(task, task.reset(1), torch.zeros(task.horizon, 1, 2, dtype=torch.float64))
    assert float(still.sum()) == pytest.approx(50 * (1.5 + 1.2 * (math.pi / 4) ** 2), rel=1e-9)


def test_push_is_the_objective_in_pieces(all_tasks):
    """A straight push in 20 intervals ends where the open loop with the same targets does."""
    task = make_control("push", dtype="float64", spread=0.0, horizon=20, offset=0.01, way_points=1, threads=1)
    state, _ = run(task, task.reset(1), torch.tensor([0.005, 0.0], dtype=torch.float64).expand(20, 1, 2))
    x, y = task.objective.pusher_start
    theta = torch.tensor([[x + 0.1, y]], dtype=torch.float64)
    torch.testing.assert_close(task.pose(state), task.objective.outputs(theta)[:, :3], rtol=0, atol=1e-9)


def test_carrots_action_is_one_push(all_tasks):
    task = all_tasks["carrots"]
    state = task.reset(2, seed=0)
    action = task.carrots.initial_parameters().reshape(-1, 4)[:1].repeat(2, 1)
    after, cost, observation = task.step(state, action)
    expected = task.carrots.push(state.bodies, action, state.parameters)
    assert torch.equal(observation, expected.body_q[:, :2].flatten(1))
    assert torch.equal(cost, task.carrots.cost(expected))
    assert int(after.time[0]) == 1


@pytest.mark.parametrize("name", NAMES)
def test_seeds(all_tasks, name):
    """World i of seed s is world 0 of seed s + i; seeds and episodes differ."""
    task = all_tasks[name]
    flat = FlatStates(task.reset(1))
    three = flat.vector(task.reset(3, seed=7))
    assert torch.equal(three, flat.vector(task.reset(3, seed=[7, 8, 9])))
    assert torch.equal(three[2], flat.vector(task.reset(1, seed=9))[0])
    assert not torch.equal(three[0], three[1])
    assert not torch.equal(three[0], flat.vector(task.fresh([(7, 1)]))[0])
    assert torch.equal(flat.vector(flat.state(three)), three)


def test_goals_are_uniform_between_the_bounds(all_tasks):
    """Mean and variance of a uniform distribution: 4 standard errors, 3 coordinates, 4e-4 false alarms in all."""
    task, n = all_tasks["push"], 2000
    low, high = (torch.tensor(row, dtype=torch.float64) for row in task.goals)
    unit = (task.reset(n, seed=0).goal - low) / (high - low)
    assert (unit > 0).all()
    assert (unit < 1).all()
    assert ((unit.mean(0) - 0.5).abs() < 4 / math.sqrt(12 * n)).all()
    assert ((unit.var(0) - 1 / 12).abs() < 4 * math.sqrt((1 / 80 - 1 / 144) / n)).all()


def test_hand_made_push_succeeds():
    """A straight push through the middle by the way to go, and what the controller lags at rest, which is nothing."""
    goal = ((0.06, 0.0, 0.0), (0.06, 0.0, 0.0))
    task = make_control("push", goals=goal, spread=0.0, dtype="float64", threads=1)
    state = task.reset(1)
    assert not bool(task.success(state))
    reach = torch.tensor([[0.01, 0.0]], dtype=torch.float64)
    state, costs = run(task, state, torch.stack([reach] * 6 + [0 * reach] * 4))
    distance, angle = task.errors(state)
    assert bool(task.success(state))
    assert float(distance) < 5e-3
    assert float(angle) < 1e-6
    # the cost is the distance's share alone once the pusher is told to stay
    assert float(costs[-1]) == pytest.approx((float(distance) / 0.1) ** 2, rel=1e-6)
    assert (costs[1:].diff(dim=0) <= 1e-9).all()


def test_control_problem_steps_the_task(all_tasks):
    task = all_tasks["push"]
    problem = control_problem(task, starts=3, seed=1)
    action = random_actions(task, 3, 1)[0]
    rows, cost = problem.step(problem.start, action)
    after, expected, _ = task.step(task.reset(3, seed=1), action)
    assert torch.equal(rows, FlatStates(after).vector(after))
    assert torch.equal(cost, expected)


def test_bad_input(all_tasks):
    task = all_tasks["push"]
    state, action = task.reset(3), torch.zeros(3, 2, dtype=torch.float64)
    with pytest.raises(
        TaskError, match=r"action must be a tensor of shape \[worlds, actions\] = \(3, 2\), got \(2, 2\)"
    ):
        task.step(state, action[:2])
    action[1, 1] = math.nan
    with pytest.raises(TaskError, match="action 'dy' of world 1 is not finite: nan"):
        task.step(state, action)
    action[1, 1] = 0.021
    with pytest.raises(TaskError, match=r"'dy' of world 1 is 0.021, out of bounds \[-0.02, 0.02\]; squash"):
        task.step(state, action)
    with pytest.raises(TaskError, match=r"begin with state = task\.reset"):
        task.step(None, action)
    with pytest.raises(TaskError, match="worlds must be an integer of at least 1, got 0"):
        task.reset(0)
    with pytest.raises(TaskError, match="one for each of 3 worlds"):
        task.reset(3, seed=[1, 2])
    with pytest.raises(TaskError, match="did you mean 'push_t'"):
        make_control("push-t")
    with pytest.raises(TaskError, match="interval must be a multiple of step"):
        make_control("push", interval=0.1, step=0.03)
    with pytest.raises(TaskError, match="goals must be the lowest and the highest"):
        make_control("push", goals=((0.1, 0.0, 0.0), (0.0, 0.0, 0.0)))


def test_search_steps_on_the_objective(all_tasks):
    """Costs are the objective's at the changed parameters, slopes its gradient."""
    task = all_tasks["search"]
    state = task.reset(3, seed=2)
    action = random_actions(task, 3, 1)[0].requires_grad_()
    after, cost, observation = task.step(state, action)
    theta = (task.initial + task.scale * observation).detach()
    torch.testing.assert_close(theta, after.command.detach(), rtol=1e-12, atol=0)
    value, gradient = task.objective.value_and_gradient(theta)
    (slope,) = torch.autograd.grad(cost.sum(), action)
    torch.testing.assert_close(cost.detach(), value)
    torch.testing.assert_close(slope, gradient)


def test_observations_in_the_frame_of_the_block_do_not_turn_with_the_scene():
    """Everything turned about the vertical and moved: only the block's own cosine and sine change."""
    task = make_control("push", dtype="float64")
    state = task.reset(6, seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _ in range(8):
            bound = torch.tensor(task.action_high)
            action = bound * torch.rand(6, 2, generator=generator, dtype=torch.float64)
            state = task.step(state, action).state
    angle, shift = 0.7, torch.tensor([0.3, -0.2], dtype=torch.float64)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64)
    half = torch.tensor([0.0, 0.0, math.sin(angle / 2), math.cos(angle / 2)], dtype=torch.float64)

    def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        vector = a[3] * b[..., :3] + b[..., 3:] * a[:3] + torch.linalg.cross(a[:3].expand_as(b[..., :3]), b[..., :3])
        return torch.cat([vector, (a[3] * b[..., 3] - (a[:3] * b[..., :3]).sum(-1))[..., None]], dim=-1)

    turned = state.map(torch.clone)
    q, v = turned.bodies.body_q, turned.bodies.body_v
    q[..., :2] = q[..., :2] @ turn.T + shift
    q[..., 3:] = product(half, q[..., 3:])
    v[..., :2], v[..., 3:5] = v[..., :2] @ turn.T, v[..., 3:5] @ turn.T
    turned.goal[:, :2] = turned.goal[:, :2] @ turn.T + shift
    turned.goal[:, 2] += angle
    turned.command[:] = turned.command @ turn.T + shift
    one, other = task.observe(state), task.observe(turned)
    assert one.shape[1] == len(task.observation_names)
    torch.testing.assert_close(other[:, 2:], one[:, 2:], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(other[:, :2], one[:, :2] @ turn.T, rtol=1e-12, atol=1e-12)
    assert float(one[:, 2:].std(0).min()) > 1e-4
    with pytest.raises(TaskError, match="frame must be"):
        make_control("push", frame="goal")


@pytest.mark.parametrize("name", ["push", "push_t"])
def test_success_is_within_a_centimetre_and_ten_degrees(name):
    """Of the goal, in the plane; the block set down just inside and just outside."""
    task = make_control(name, dtype="float64", threads=1)
    off = [(0.0099, 0.0, 0.0), (0.0101, 0.0, 0.0), (0.0, -0.0099, 9.9), (0.0071, 0.0071, 0.0), (0.0, 0.0, -10.1)]
    state = task.reset(len(off), seed=0)
    shift = torch.tensor(off, dtype=torch.float64)
    yaw = state.goal[:, 2] + torch.deg2rad(shift[:, 2])
    state.bodies.body_q[:, 0, :2] = state.goal[:, :2] + shift[:, :2]
    state.bodies.body_q[:, 0, 3:5] = 0.0
    state.bodies.body_q[:, 0, 5], state.bodies.body_q[:, 0, 6] = (yaw / 2).sin(), (yaw / 2).cos()
    assert task.success(state).tolist() == [True, False, True, False, False]


def test_a_recorded_episode_is_the_one_that_was_stepped():
    task = make_control("push", horizon=6)
    start = task.reset(3, seed=2)
    generator = torch.Generator().manual_seed(0)
    actions = 0.01 * torch.rand(6, 3, 2, generator=generator)
    recording = task.record(start, actions)
    state = start
    for action in actions:
        state = task.step(state, action).state
    assert recording.steps == 60
    assert torch.equal(torch.from_numpy(recording.body_q[-1]), state.bodies.body_q)
    with pytest.raises(TaskError, match="out of bounds"):
        task.record(start, 5.0 * actions)
