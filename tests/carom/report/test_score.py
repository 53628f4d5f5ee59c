"""The score of the advice counts a pick that another seed shows to be worse, unless it was said to be tied."""

from __future__ import annotations

import pytest

from carom.comparison.race.descent import Arm
from carom.comparison.race.outcome import Race, RaceEntry
from carom.comparison.race.scoring import relation
from carom.selftest.advice import ProblemScore, _score_races, score_advice


def raced(**work: list[float]) -> Race:
    """A race of these log works, the best first."""
    order = sorted(work, key=lambda name: sum(work[name]))
    entries = []
    for name in order:
        told = None if name == order[0] else relation(work[name], work[order[0]])
        entries.append(RaceEntry(name, Arm(name, 0, 1.0), (), tuple(work[name]), told))
    return Race(tuple(entries), 100.0, len(work[order[0]]))


@pytest.mark.parametrize(("other", "label", "contradictions"), [
    ({"quick": [4.0, 4.1, 4.0], "slow": [2.0, 2.0, 2.1]}, "worse", 1),
    ({"quick": [4.0, 1.0, 3.0], "slow": [2.0, 2.0, 2.1]}, "not told apart", 0),
])  # fmt: skip
def test_a_pick_that_is_worse_contradicts_unless_it_was_said_to_be_tied(other, label, contradictions) -> None:
    races = [raced(quick=[1.0, 1.0, 1.1], slow=[6.0, 6.1, 6.0])] * 3 + [raced(**other)]
    assert races[-1].entries[0].name == "slow"
    assert races[-1].entries[1].relation.label == label  # type: ignore[union-attr]
    score = ProblemScore("planted")
    _score_races(score, races)
    assert score.race_picks == ["quick", "quick", "quick", "slow"]
    assert max(score.race_regrets) > 1.5  # counts all the same
    assert score.contradictions == contradictions


def test_a_run_whose_samples_are_all_equal_is_pooled_with_the_others() -> None:
    # Of the first run's first-order samples none meets the kink: it keeps a single estimate, others all of theirs.
    (problem,) = score_advice(seeds=3, effort=0.1, names=["kinked bowl"], with_race=False).problems
    assert "smoothing-first" in problem.slope_picks
    assert max(problem.slope_regrets) < 1.1
