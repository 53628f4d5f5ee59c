"""A simulated scene as a control problem, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch

from carom.gradients import GradientError, Smoothing
from carom.gradients.policy import (
    Constant,
    ControlProblem,
    LeaveOneOut,
    LinearCritic,
    NetworkCritic,
    OpenLoop,
    PolicyGradient,
    open_loop_objective,
)
from carom.sim import ModelBuilder, Simulator, SimulatorStep

START = torch.tensor([0.1, -0.2], dtype=torch.float64)


def step(x, u):
    return x + u, x.square().sum(1)


def linear():
    return torch.nn.Linear(2, 2).double()


PROBLEM = ControlProblem(step, START, 3)


def test_a_simulated_push():
    """Contact within the horizon: the gradient over free controls is that of ``Smoothing`` of whole rollouts.

    The rollout is one call of the simulator there, and step by step through plain vectors here.
    """
    b = ModelBuilder(gravity=(0, 0, 0))
    box = b.add_body(mass=0.2, locked=("y", "z", "angular"), name="box")
    b.add_box(box, (0.05, 0.05, 0.05))
    tip = b.add_body(position=(-0.072, 0, 0), mass=0.1, locked=("y", "z", "angular"), name="tip")
    b.add_sphere(tip, 0.02)
    b.add_actuator(tip, "x", stiffness=200.0, damping=2.0)
    simulator = Simulator(b.finalize(dtype="float64"), step=0.01, threads=1)
    one = SimulatorStep(simulator)
    task = ControlProblem(
        lambda x, u: (one(x, u), 10.0 * (x[:, 0] - 0.05).square()),
        one.coordinates.vector(simulator.model.state(1)),
        8,
        final_cost=lambda x: x[:, 2].square(),
    )

    def rollout(theta):
        t = simulator.rollout(simulator.model.state(len(theta)), theta.T[:, :, None].contiguous())
        x = t.body_q[:-1, :, 0, 0]
        return 10.0 * (x - 0.05).square().sum(0) + t.final.body_v[:, 0, 0].square()

    controls = torch.linspace(-0.07, -0.05, 8, dtype=torch.float64)[:, None]
    ours = PolicyGradient(0.01, 32, reward_to_go=False).estimate(task, OpenLoop(controls), seed=2)
    theirs = Smoothing(0.01, 32, antithetic=False).estimate(rollout, controls.flatten(), seed=2)
    torch.testing.assert_close(ours.gradient, theirs.gradient, rtol=1e-6, atol=1e-6)
    assert float(ours.gradient.abs().max()) > 0.1


def test_starts_are_cycled_through():
    task = ControlProblem(step, torch.stack([START, -START, 2 * START]), 1)
    assert torch.equal(task.starts(5), torch.stack([START, -START, 2 * START, START, -START]))
    cost = open_loop_objective(task, 2)(torch.zeros(5, 2, dtype=torch.float64))
    torch.testing.assert_close(cost, torch.tensor([0.05, 0.05, 0.2, 0.05, 0.05], dtype=torch.float64))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scale": 0.0}, "scale"),
        ({"trajectories": 2}, "trajectories is 2.*at least 3"),
        ({"trajectories": 3, "baseline": LinearCritic()}, "at least 4"),
        ({"baseline": LeaveOneOut}, "give an instance"),
        ({"baseline": "mean"}, "give an instance"),
        ({"gae": 0.9}, "needs|critic"),
        ({"gae": 1.1, "baseline": LinearCritic()}, "from 0 to 1"),
        ({"gae": 0.9, "baseline": LinearCritic(), "reward_to_go": False}, "reward_to_go=True"),
        ({"distribution": "gausian"}, "Did you mean"),
    ],
)
def test_options(options, words):
    with pytest.raises(GradientError, match=words):
        PolicyGradient(**options)


def test_baselines():
    for make, words in [
        (lambda: Constant(math.nan), "finite"),
        (lambda: LinearCritic(degree=3), "degree is 3"),
        (lambda: LinearCritic(folds=1), "folds is 1"),
        (lambda: LinearCritic(ridge=0.0), "ridge"),
        (lambda: NetworkCritic(hidden=(0,)), "width"),
        (lambda: NetworkCritic(learning_rate=-1.0), "learning_rate"),
    ]:
        with pytest.raises(GradientError, match=words):
            make()
    with pytest.raises(GradientError, match="too few for 5 folds"):
        PolicyGradient(trajectories=8, baseline=LinearCritic(folds=5)).estimate(PROBLEM, linear())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"step": 3}, "step is a int"),
        ({"start": [0.0]}, "start is list"),
        ({"start": START * math.nan}, "not finite"),
        ({"horizon": 0}, "horizon is 0"),
        ({"discount": 1.5}, r"discount is 1\.5"),
    ],
)
def test_problems(options, words):
    with pytest.raises(GradientError, match=words):
        ControlProblem(**{"step": step, "start": START, "horizon": 3, **options})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (lambda x, u: x, r"must return \(next states"),
        (lambda x, u: (x[:, :1], x[:, 0]), r"next states of shape \[8, 1\] at step 0"),
        (lambda x, u: (x, x), r"costs of shape \[8, 2\] at step 0: \[8\]"),
        (lambda x, u: (x / 0.0, x[:, 0]), "next states that are not finite at step 0 in 8 of 8"),
    ],
)
def test_steps(changed, words):
    with pytest.raises(GradientError, match=words):
        PolicyGradient(trajectories=8).estimate(ControlProblem(changed, START, 3), linear())


def test_policies():
    backend = PolicyGradient(trajectories=8)
    frozen = linear().requires_grad_(False)
    diverged = OpenLoop(torch.full((3, 2), math.inf, dtype=torch.float64))

    class Normalized(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(2).double()

        def forward(self, x):
            return self.norm(x)

    for policy, words in [
        (lambda x: x, "give a torch.nn.Module"),
        (frozen, "no parameters that require a gradient"),
        (torch.nn.Linear(2, 2), r"weight is torch\.float32.*starts from torch\.float64.*policy\.to"),
        (diverged, "not finite at step 0"),
        (torch.nn.Sequential(linear(), torch.nn.Flatten(0)), r"returned \[16\]"),
        (Normalized(), "batch normalization"),
    ]:
        with pytest.raises(GradientError, match=words):
            backend.estimate(PROBLEM, policy)
    with pytest.raises(GradientError, match="scale has 3 entries for 2 actions"):
        PolicyGradient(scale=(0.1, 0.1, 0.1), trajectories=8).estimate(PROBLEM, linear())
    with pytest.raises(GradientError, match="scale=None"):
        PolicyGradient(scale=None, trajectories=8).estimate(PROBLEM, linear())
