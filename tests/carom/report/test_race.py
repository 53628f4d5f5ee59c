"""The race: rollouts counted, settings chosen, failures told, and a score with a closed form."""

from __future__ import annotations

import math

import pytest
import torch

from carom.comparison.race import RacePlan, race
from carom.comparison.race.descent import Arm, Descent, advance
from carom.comparison.race.scoring import log_work, relation
from carom.gradients import Autodiff, GradientError, Smoothing

THETA = torch.tensor([1.0, -0.5], dtype=torch.float64)
SCALE = torch.tensor([0.1, 0.01], dtype=torch.float64)


def bowl(theta: torch.Tensor) -> torch.Tensor:
    return theta.square().sum(1)


def test_a_descent_counts_its_rollouts_and_moves_as_adam_does() -> None:
    zeroth = Descent(Arm("zeroth", 32, 0.25), Smoothing(scale=0.05, samples=32), THETA, SCALE, 0)
    advance(bowl, THETA, [zeroth], 100.0)
    assert zeroth.spent == [0.0, 33.0, 66.0, 99.0]  # and the cost along the path
    exact = Descent(Arm("exact", 0, 0.25), Autodiff(), THETA, SCALE, 0)
    advance(bowl, THETA, [exact], 12.0)
    assert exact.spent == [0.0, 4.0, 8.0, 12.0]  # a backward pass counts as two
    first = THETA + torch.tensor([-0.25 * 0.1, 0.25 * 0.01], dtype=torch.float64)  # Adam's first step is the sign
    torch.testing.assert_close(exact.path[1], first, atol=1e-8, rtol=0)  # its epsilon


def test_descents_together_are_those_alone_and_can_be_continued() -> None:
    def make(rate: float) -> Descent:
        return Descent(Arm("zeroth", 8, rate), Smoothing(scale=0.05, samples=8), THETA, SCALE, 5)

    together, alone = [make(0.3), make(2.0)], [make(0.3), make(2.0)]
    advance(bowl, THETA, together, 40.0)
    advance(bowl, THETA, together, 90.0)
    for descent in alone:
        advance(bowl, THETA, [descent], 90.0)
    for one, other in zip(together, alone, strict=True):
        assert one.spent == other.spent
        torch.testing.assert_close(torch.stack(one.path), torch.stack(other.path), rtol=1e-12, atol=1e-12)


def test_a_descent_that_fails_says_when_and_why() -> None:
    def cliff(theta: torch.Tensor) -> torch.Tensor:
        return torch.where(theta[:, 0] < 0.45, torch.full_like(theta[:, 0], math.nan), theta[:, 0])

    found = Descent(Arm("exact", 0, 0.25), Autodiff(), torch.ones(1).double(), torch.ones(1).double(), 0)
    advance(cliff, torch.ones(1, dtype=torch.float64), [found], 100.0)
    assert found.stopped is not None
    assert found.stopped.startswith("after 3 steps")  # 1, 0.75, 0.5, 0.25
    assert "not finite" in found.stopped


def test_the_score_is_the_mean_log_work_by_its_closed_form() -> None:
    """One arm reaches all levels at work 10, the other half of them at 10 and the rest at 100."""
    quick = ([0.0, 10.0], [1.0, 0.0])
    slow = ([0.0, 10.0, 100.0], [1.0, 0.5, 0.0])
    found = log_work({"quick": quick, "slow": slow}, 1000.0)
    assert found is not None
    assert found["quick"] == pytest.approx(math.log(10.0))
    assert found["slow"] == pytest.approx(0.5 * math.log(10.0) + 0.5 * math.log(100.0))
    assert log_work({"a": ([0.0, 5.0], [1.0, 1.0])}, 1000.0) is None


def test_relations() -> None:
    assert relation([2.0, 2.1, 1.9], [1.0, 1.05, 0.95]).label == "worse"
    assert relation([1.1, 1.12, 1.08], [1.0, 1.0, 1.0]).label == "equal"
    assert relation([1.35, 1.45, 1.3, 1.42], [1.0, 1.0, 1.0, 1.0]).label == "slower"
    open_ = relation([1.0, 2.0, 0.5, 1.6], [1.1, 0.9, 1.2, 1.0])
    assert open_.label == "not told apart"
    assert open_.low < open_.factor < open_.high
    assert open_.more_starts is not None


def test_a_backend_against_itself_is_never_worse() -> None:
    """Eight races with other noise: a false "slower", at 2.5 % each, would be seen three times in 1 of 1,400."""
    labels = []
    for seed in range(8):
        twins = {"one": Smoothing(0.05, 16), "two": Smoothing(0.05, 16)}
        found = race(bowl, THETA, twins, SCALE, plan=RacePlan(budget=60.0, starts=4), seed=seed)
        labels.append(found.entries[1].relation.label)  # type: ignore[union-attr]
    assert labels.count("worse") == 0, labels
    assert labels.count("slower") <= 2, labels


def test_a_race_that_is_not_decided_takes_more_starts_and_keeps_those_it_had() -> None:
    twins = {"one": Smoothing(scale=0.05, samples=8), "other": Smoothing(scale=0.05, samples=10)}
    rivals = {"exact": Autodiff(), "noisy": twins["one"]}
    counts = set()
    for backends, seeds in ((twins, range(4)), (rivals, range(2))):
        for seed in seeds:
            short, found = (
                race(bowl, THETA, backends, SCALE, plan=RacePlan(budget=60.0, starts=4, more_starts=more), seed=seed)
                for more in (0, 3)
            )
            assert found.starts == (7 if short.undecided else 4)
            counts.add(found.starts)
            for name, entry in short.by_name.items():
                if entry.arm == found.by_name[name].arm:  # another may do best over more starts
                    for old, new in zip(entry.curves, found.by_name[name].curves, strict=False):
                        assert old.cost == new.cost
    assert counts == {4, 7}


def test_exact_gradients_win_on_a_bowl_and_lose_on_steps() -> None:
    def steps(theta: torch.Tensor) -> torch.Tensor:
        return (theta * 5.0).round().abs().sum(1) + 0.0 * theta.sum(1)

    backends = {"zeroth": Smoothing(0.1, 64), "exact": Autodiff()}
    scale = torch.full((2,), 0.1, dtype=torch.float64)
    plan = RacePlan(budget=200.0)
    found = race(bowl, THETA, backends, scale, plan=plan, seed=0)
    assert found.entries[0].name == "exact"
    assert found.rollouts > 0
    found = race(steps, THETA, backends, scale, plan=plan, seed=0)
    assert found.entries[0].name == "zeroth"
    assert found.by_name["exact"].relation.label == "worse"  # type: ignore[union-attr]


def test_nothing_to_descend_and_failures() -> None:
    def flat(theta: torch.Tensor) -> torch.Tensor:
        return 0.0 * theta.sum(1)

    found = race(flat, THETA, {"exact": Autodiff()}, SCALE, plan=RacePlan(budget=60.0), seed=0)
    assert not found.descends

    def values_only(theta: torch.Tensor) -> torch.Tensor:
        return theta.detach().square().sum(1)

    backends = {"exact": Autodiff(), "zeroth": Smoothing(0.1, 16)}
    found = race(values_only, THETA, backends, SCALE, plan=RacePlan(budget=60.0), seed=0)
    assert list(found.failed) == ["exact"]
    assert "no exact gradient" in found.failed["exact"]

    def nowhere(theta: torch.Tensor) -> torch.Tensor:
        return theta.sum(1) * math.nan

    with pytest.raises(GradientError, match="nothing to descend from"):
        race(nowhere, THETA, backends, SCALE, plan=RacePlan(budget=60.0), seed=0)
