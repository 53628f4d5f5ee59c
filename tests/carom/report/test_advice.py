"""The three answers, from verdicts, races and bands made by hand; and whole comparisons whose answers are known."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import carom
from carom.comparison.advice import Advice, advise
from carom.comparison.race import Race, RaceEntry
from carom.comparison.race.descent import Arm
from carom.comparison.race.scoring import relation
from carom.comparison.trust import Trust
from carom.gradients import Estimate
from carom.gradients.diagnosis.slope import SlopeVerdict, failed_slope
from carom.gradients.diagnosis.trust import TrustBand


def agrees(work: float | None, *, high: float = 0.05) -> SlopeVerdict:
    return SlopeVerdict(
        "agrees", "agrees", low=0.0, high=high, rollouts=256, rollouts_to_tenth=work, well_known=high < 0.1
    )


def raced(**logs: list[float]) -> Race:
    order = sorted(logs, key=lambda name: sum(logs[name]))
    entries = tuple(
        RaceEntry(name, Arm(name, 4, 2.0), (), tuple(logs[name]), relation(logs[name], logs[order[0]]) if i else None)
        for i, name in enumerate(order)
    )
    return Race(entries, 400.0, len(logs[order[0]]))


def band(low: float | None, high: float | None, label: str = "trusted") -> Trust:
    return Trust(TrustBand(label, low, high), TrustBand("nowhere"))


def advice(slopes: dict[str, SlopeVerdict], race: Race | None = None, **trust: Trust) -> Advice:
    return advise(slopes, race, trust, scale=0.01, unit="m")


DIFFERS = SlopeVerdict("differs", "differs: off by 40 % to 60 % of the slope", low=0.4, high=0.6)
ZERO = SlopeVerdict("differs", "exactly 0, while the averaged cost has a slope", low=1.0, high=1.0, zero=True)
NOTHING = SlopeVerdict("nothing seen", "nothing seen: all 3,000 rollouts cost the same")


def test_the_headline_is_the_winner_of_the_race_whatever_its_slope() -> None:
    found = advice({"exact": DIFFERS, "smooth": agrees(500.0)}, raced(exact=[1.0, 1.1, 1.2], smooth=[2.9, 3.1, 3.0]))
    assert (found.descend.backend, found.descend.runner_up, found.descend.close) == ("exact", "smooth", False)
    assert found.headline.startswith("Descend with exact (Adam, 4 samples a step, rate 2 noise scales): smooth takes")
    assert found.estimate.backend == "smooth"
    assert any("exact: differs" in reason for reason in found.reasons)


def test_a_race_that_is_not_told_apart_is_close_and_says_how_many_starts_would_decide() -> None:
    found = advice({"a": agrees(10.0), "b": agrees(10.0)}, raced(a=[1.0, 2.0, 1.5, 1.2], b=[1.9, 1.2, 2.4, 0.8]))
    assert found.descend.close
    assert "not told apart" in found.descend.text
    assert "more starts would decide" in found.descend.text


def test_a_backend_against_itself_is_equal() -> None:
    found = advice({"a": agrees(10.0), "b": agrees(10.0)}, raced(a=[1.0, 2.0, 1.5], b=[1.0, 2.0, 1.5]))
    assert found.descend.close
    assert "the same rollouts" in found.descend.text


def test_the_slope_is_answered_by_the_least_work_among_those_that_agree() -> None:
    found = advice({"a": agrees(500.0), "b": agrees(100.0), "c": ZERO})
    assert (found.estimate.backend, found.estimate.runner_up, found.estimate.close) == ("b", "a", False)
    assert "about 100 rollouts give it to a tenth" in found.estimate.text
    assert "a takes 5 times as many" in found.estimate.text
    assert advice({"a": agrees(120.0), "b": agrees(100.0)}).estimate.close


def test_no_agreement_by_ignorance() -> None:
    undecided = SlopeVerdict("cannot tell", "cannot tell", low=0.0, high=0.4, more=2100)
    found = advice({"exact": ZERO, "smooth": undecided})
    assert found.estimate.backend is None
    assert "about 2,100 more rollouts would settle smooth" in found.estimate.text
    assert advice({"exact": DIFFERS}).estimate.text.startswith("None of these backends gives the slope")
    assert advice({"bad": failed_slope("no")}).estimate.text == "No backend gave a gradient."


def test_no_answer_where_a_backend_that_is_not_settled_may_take_fewer_rollouts() -> None:
    rival = SlopeVerdict("cannot tell", "cannot tell", low=0.15, high=0.4, variance=0.001, rollouts=100, more=300)
    found = advice({"known": agrees(500.0), "open": rival})
    assert found.estimate.backend is None
    assert "open, whose bias is not known well enough, may take fewer rollouts: about 300 more" in found.estimate.text
    biased = SlopeVerdict("differs", "differs", low=0.3, high=0.4, variance=0.001, rollouts=100)
    assert advice({"known": agrees(500.0), "biased": biased}).estimate.backend == "known"
    noisy = SlopeVerdict("cannot tell", "cannot tell", low=0.0, high=0.4, variance=1.0, rollouts=100)
    assert advice({"known": agrees(500.0), "noisy": noisy}).estimate.backend == "known"


def test_nothing_seen_is_the_headline() -> None:
    found = advice({"exact": NOTHING, "smooth": NOTHING})
    assert found.estimate.backend is None
    assert found.headline.startswith("Nothing seen")


def test_trust_is_in_noise_scales_and_in_units() -> None:
    found = advice({}, exact=band(0.0, 0.18), smooth=band(1.0, 16.0))
    assert (found.trust.backend, found.trust.runner_up, found.trust.close) == ("smooth", "exact", False)
    assert "1 to 16 noise scales (0.01 to 0.16 m)" in found.trust.text
    none = advice({}, exact=Trust(TrustBand("no direction"), TrustBand("no direction")))
    assert none.trust.backend is None
    assert "exactly zero" in none.trust.text


# ------------------------------------------------------------------------------------------------ whole comparisons


def kinked(theta: torch.Tensor) -> torch.Tensor:
    return theta.square().sum(1) + (theta[:, 0] > 0.4).to(theta)


def test_the_same_seed_gives_the_same_words_and_the_page_says_what_the_result_does(tmp_path: Path) -> None:
    def once() -> carom.CompareResult:
        return carom.compare(
            kinked, np.array([0.38, -0.2]), backends=["autodiff", "smoothing"], scale=0.05, rollouts=2000, seed=3
        )

    first, again = once(), once()
    assert first.text() == again.text()
    assert first.advice == again.advice
    assert max(len(line) for line in first.text().splitlines()) <= 80
    first.save(tmp_path / "out")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "table.csv").read_text())))
    assert [row["backend"] for row in rows] == ["reference", "autodiff", "smoothing"]
    assert rows[1]["verdict"] == first.verdicts["autodiff"].label == "differs"  # it does not see the step
    entry = json.loads((tmp_path / "out" / "results.json").read_text())["advice"]
    assert entry["descend"]["backend"] == first.advice.descend.backend
    assert {"backend", "runner_up", "close", "text", "evidence"} == set(entry["trust"])


def test_results_are_those_of_the_published_schema(tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    from carom.comparison.result import FORMAT, schema

    result = carom.compare(kinked, [0.38, -0.2], backends=["autodiff", "smoothing"], scale=0.05, rollouts=400)
    result.save(tmp_path / "out")
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    jsonschema.validate(found, schema())
    assert found["format"] == FORMAT == schema()["properties"]["format"]["const"]
    del found["advice"]["descend"]["backend"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(found, schema())


def test_the_cost_along_the_line_passes_through_the_references_value() -> None:
    result = carom.compare(kinked, [0.38, -0.2], backends=["autodiff"], scale=0.05, rollouts=400, race=False)
    middle = len(result.slice.smooth) // 2
    assert abs(float(result.slice.smooth_at[middle])) < 1e-12
    assert result.comparison.reference.value == pytest.approx(float(result.slice.smooth[middle]), rel=1e-12)


class Raises:
    """A backend with a fault."""

    def estimate(self, objective: object, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        raise ZeroDivisionError("in my backend")


def test_a_backend_that_raises_ends_nothing() -> None:
    backends = {"mine": Raises(), "exact": carom.gradients.Autodiff()}
    result = carom.compare(kinked, [0.38, -0.2], backends=backends, scale=0.05, rollouts=400)
    assert result.verdicts["mine"].label == "failed"
    assert "in my backend" in result.verdicts["mine"].text
    assert result.race is not None
    assert "in my backend" in result.race.failed["mine"]
    assert result.advice.descend.backend == "exact"
    assert result.figure("curves").axes
    assert result.figure("trust").axes


def test_settle_spends_rollouts_until_it_is_settled() -> None:
    """An exact gradient without a fault on a step hidden in noise: a small reference cannot tell, a larger one can."""

    def rough(theta: torch.Tensor) -> torch.Tensor:
        return theta.sum(1) + 0.02 * torch.sin(400.0 * theta).sum(1)

    theta, backends = torch.zeros(2, dtype=torch.float64), {"smoothing": carom.gradients.Smoothing(0.05, 16)}
    options = {"backends": backends, "scale": 0.05, "rollouts": 200, "race": False}
    before = carom.compare(rough, theta, **options)
    assert before.verdicts["smoothing"].label == "cannot tell"
    assert before.verdicts["smoothing"].more is not None
    after = carom.compare(rough, theta, **options, settle=100_000)
    assert after.verdicts["smoothing"].label == "agrees"
    assert 0 < after.slopes.settled_with < 110_000


def test_five_hundred_parameters() -> None:
    """A reference along random directions: the exact gradient agrees, one that is off by its own length does not."""

    class Wrong:
        def estimate(self, objective: object, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
            gradient = 2.0 * theta * torch.linspace(0.0, 3.0, len(theta), dtype=theta.dtype)
            return Estimate(theta.square().sum(), gradient, None, 1, 0.0)

    def bowl(theta: torch.Tensor) -> torch.Tensor:
        return theta.square().sum(1)

    theta = torch.linspace(-1.0, 1.0, 500, dtype=torch.float64)
    backends = {"autodiff": carom.gradients.Autodiff(), "wrong": Wrong()}
    result = carom.compare(bowl, theta, backends=backends, scale=0.02, race=False)
    assert not result.slopes.reference.complete
    assert result.verdicts["autodiff"].label == "agrees"
    assert result.verdicts["wrong"].label == "differs"
    assert result.figure("parameters").axes


def test_a_cost_that_changes_from_call_to_call_is_said() -> None:
    generator = torch.Generator().manual_seed(0)

    def noisy(theta: torch.Tensor) -> torch.Tensor:
        return theta.sum(1) + torch.randn(len(theta), generator=generator, dtype=theta.dtype)

    with pytest.warns(UserWarning, match="two calls with the same theta"):
        result = carom.compare(noisy, [0.0, 0.0], backends=["smoothing"], scale=0.1, rollouts=200, race=False)
    assert any("two calls with the same theta" in reason for reason in result.advice.reasons)
