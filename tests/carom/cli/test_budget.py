"""Budgets follow from the task: the same call gives the same numbers whatever the clock says."""

from __future__ import annotations

import json
import time

import pytest
import torch

import carom
from carom.comparison.budget import MOST, budget_of
from carom.envs import make, tasks
from carom.gradients import GradientError
from carom.gradients.diagnosis.slopes import enough_reference


class Counted:
    """A smooth cost that counts its rollouts, takes long for each if asked to, and says what it computes."""

    parameter_names = ("a", "b")
    smoothing_scale = 0.1

    def __init__(self, sleep: float, work: float):
        self.sleep, self.rollout_work, self.rollouts = sleep, work, 0

    def initial_parameters(self) -> torch.Tensor:
        return torch.tensor([0.3, -0.2], dtype=torch.float64)

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        self.rollouts += len(theta)
        time.sleep(self.sleep)
        return theta.sin().sum(-1) + (theta[:, 0] > 0.35).double()


def numbers(result: carom.CompareResult) -> str:
    found = result.as_dict()
    found.pop("timings")
    return json.dumps(found, sort_keys=True, default=str)


@pytest.mark.parametrize("work", [0.0, 50_000.0])
def test_a_slow_clock_and_a_slow_machine_change_no_number(work, monkeypatch):
    """All studies, to the bit; the number of rollouts is the same, and less where a rollout computes more."""
    counts, found = [], []
    for sleep, faster in ((0.0, 1.0), (0.001, 1.0), (0.0, 1000.0)):
        with monkeypatch.context() as patch:
            clock = time.perf_counter
            patch.setattr(time, "perf_counter", lambda clock=clock, faster=faster: faster * clock())
            objective = Counted(sleep, work)
            result = carom.compare(
                objective, backends=("autodiff", "smoothing"), samples=32, seed=3,
                rollouts=None if work else 200, studies=True,
            )  # fmt: skip
        counts.append(objective.rollouts)
        found.append(numbers(result))
    assert found[0] == found[1] == found[2]
    assert len(set(counts)) == 1


def test_budgets_of_the_tasks():
    """Steps of 2-body pushes are cheap; a pile gets fewer the larger it is; what says nothing gets all."""
    for name in tasks():
        if name not in ("carrots", "disc_packing"):  # which compute more
            assert budget_of(make(name)).rollouts == MOST, name
    piles = [budget_of(make("carrots", pieces=n, pushes=p)).rollouts for n, p in ((2, 1), (10, 1), (10, 2), (10, 5))]
    assert piles[1] == MOST // 4
    assert piles == sorted(piles, reverse=True)
    assert piles[-1] < piles[1] < MOST + 1
    assert budget_of(make("push", duration=20.0)).rollouts < MOST
    assert budget_of(lambda theta: theta.sum(-1)).rollouts == MOST
    steps, pieces = make("carrots", pieces=2).push_steps, 2
    assert make("carrots", pieces=2).rollout_work == steps * (pieces * 4 + 1)  # hulls count as four, the blade as one
    for work in (-1.0, float("nan"), "much", True):
        with pytest.raises(GradientError, match="rollout_work is"):
            budget_of(Counted(0.0, work))


def test_the_pace_is_shown_and_not_used(monkeypatch):
    """A long reference is announced with its time; its units are those that the budget and the pilot's error give."""
    said: list[str] = []
    objective = Counted(0.0, 0.0)
    theta, rollouts = objective.initial_parameters(), 4000  # so few that the pilot is not enough
    quick = enough_reference(objective, theta, 0.1, rollouts, 0, said.append)
    assert said == []
    clock = time.perf_counter
    monkeypatch.setattr(time, "perf_counter", lambda: 1e6 * clock())
    slow = enough_reference(objective, theta, 0.1, rollouts, 0, said.append)
    assert torch.equal(quick.units, slow.units)
    assert said[0].startswith("the reference takes about")
    said.clear()
    carom.compare(objective, backends=("autodiff",), samples=8, rollouts=200, progress=said.append, race=False)
    assert any(line.startswith("the reference takes about") for line in said)
