"""The rules that choose a backend, on comparisons made by hand."""

from __future__ import annotations

import math

import pytest

from carom.comparison.advice import Advice, advise
from carom.comparison.verdicts import Verdict
from carom.gradients import Comparison, ComparisonRow
from carom.gradients.diagnosis import DiagnosisVerdict

TRUTH = (3.0, 4.0)
AGREES, DIFFERS, NOISY, BLIND = (Verdict(label, f"is {label}") for label in ("agrees", "differs", "noisy", "blind"))


def row(
    name: str,
    *,
    gradient: tuple[float, float] = TRUTH,
    variance: float | None = None,
    rollouts: int = 256,
    spread: bool = False,
) -> ComparisonRow:
    norm = math.hypot(*gradient)
    dot = sum(g * t for g, t in zip(gradient, TRUTH, strict=True))
    return ComparisonRow(
        name=name,
        gradient=gradient,
        norm=norm,
        cosine=dot / (5.0 * norm) if norm else None,
        relative_error=math.dist(gradient, TRUTH) / 5.0,
        standard_error=None if variance is None else (math.sqrt(variance), 0.0),
        trace_variance=variance,
        evaluations=rollouts,
        diagnostics={"gradient_spread": (0.1, 0.1)} if spread else {},
    )


def advice(*judged: tuple[ComparisonRow, Verdict], **options: object) -> Advice:
    reference = ComparisonRow(name="reference", gradient=TRUTH, norm=5.0, standard_error=(0.1, 0.1))
    rows = tuple(one for one, _ in judged)
    return advise(Comparison(reference, rows), {one.name: verdict for one, verdict in judged}, **options)  # type: ignore[arg-type]


def test_exact_and_agreeing_beats_all_that_sample() -> None:
    found = advice((row("zeroth", variance=0.01), AGREES), (row("exact", rollouts=1), AGREES))
    assert (found.backend, found.basis) == ("exact", "agreement")
    assert "exact: no noise" in " ".join(found.reasons)


def test_the_least_variance_times_rollouts_wins_not_the_least_variance() -> None:
    few = row("few", variance=1.0, rollouts=100)  # 100 units of work
    many = row("many", variance=0.5, rollouts=1000)  # 500
    found = advice((many, AGREES), (few, AGREES))
    assert found.backend == "few"
    text = " ".join(found.reasons)
    assert "many takes 5 times as many" in text
    assert "About 400 rollouts" in text  # 100 / (0.1 * 5)^2


def test_what_was_measured_over_seeds_overrules_the_own_error_bar() -> None:
    proud, honest = row("proud", variance=1e-6), row("honest", variance=0.1)
    assert advice((proud, AGREES), (honest, AGREES)).backend == "proud"
    found = advice((proud, AGREES), (honest, AGREES), squared_errors={"proud": 4.0, "honest": 0.1})
    assert found.backend == "honest"
    assert "measured over seeds" in " ".join(found.reasons)


def test_a_spread_is_no_error_bar() -> None:
    fitted = row("fitted", gradient=(3.0, 4.5), variance=1e-9, spread=True)  # 0.25 off
    assert advice((fitted, AGREES), (row("zeroth", variance=0.2), AGREES)).backend == "zeroth"
    assert advice((fitted, AGREES), (row("zeroth", variance=0.3), AGREES)).backend == "fitted"


@pytest.mark.parametrize("word", ["blind", "blind to contact", "overwhelmed by growth", "not finite"])
def test_an_exact_gradient_that_the_diagnosis_rejects_is_no_candidate(word: str) -> None:
    judged = (row("exact", rollouts=1), AGREES), (row("zeroth", variance=0.5), AGREES)
    found = advice(*judged, diagnosis={"exact": DiagnosisVerdict(word, ": in words that nothing reads")})
    assert found.backend == "zeroth"
    assert any(reason.startswith("Not exact, though it agrees") for reason in found.reasons)
    assert advice(*judged, diagnosis={"exact": DiagnosisVerdict("to be believed")}).backend == "exact"


def test_a_cheap_direction_is_named_beside_the_number() -> None:
    turned = row("turned", gradient=(5.0, 4.0), rollouts=1)  # 14.5 degrees
    far = row("far", gradient=(5.0, 2.0), rollouts=1)  # 31 degrees
    found = advice((row("zeroth", variance=0.5), AGREES), (turned, DIFFERS), (far, DIFFERS))
    assert found.backend == "zeroth"
    text = " ".join(found.reasons)
    assert "turned does as well: it points 14 degrees away" in text
    assert "far does as well" not in text
    assert "Not far: is differs." in found.reasons


def test_without_agreement_a_direction_then_more_samples_then_nothing() -> None:
    turned, noisy = row("turned", gradient=(5.0, 4.0), rollouts=1), row("zeroth", variance=30.0)
    assert advice((noisy, NOISY), (turned, DIFFERS)).basis == "direction"
    samples = advice((noisy, NOISY), (row("exact", gradient=(0.0, 0.0), rollouts=1), BLIND))
    assert (samples.backend, samples.basis) == ("zeroth", "samples")
    assert "about 31,000 rollouts" in samples.headline  # 30 * 256 / 0.25 = 30,720
    nothing = advice((row("exact", gradient=(0.0, 0.0), rollouts=1), BLIND))
    assert (nothing.backend, nothing.basis) == (None, "none")
    assert "Not exact: is blind." in nothing.reasons


def test_a_direction_that_the_diagnosis_rejects_is_not_followed() -> None:
    turned = row("turned", gradient=(5.0, 4.0), rollouts=1)
    words = {"turned": DiagnosisVerdict("overwhelmed by growth")}
    assert advice((turned, DIFFERS)).backend == "turned"
    assert advice((turned, DIFFERS), diagnosis=words).backend is None
    beside = advice((row("zeroth", variance=0.5), AGREES), (turned, DIFFERS), diagnosis=words)
    assert "turned does as well" not in " ".join(beside.reasons)


@pytest.mark.parametrize(("error", "chosen"), [(2.4, "exact"), (2.6, None)])
def test_a_reference_that_is_not_known_chooses_nothing(error: float, chosen: str | None) -> None:
    reference = ComparisonRow(name="reference", gradient=TRUTH, norm=5.0, standard_error_norm=error)
    found = advise(Comparison(reference, (row("exact", rollouts=1),)), {"exact": AGREES})
    assert found.backend == chosen


def test_a_failed_backend_is_named_and_never_chosen() -> None:
    failed = ComparisonRow(name="failed", error="no gradient")
    found = advice((failed, Verdict("failed", "no gradient")), (row("zeroth", variance=0.1), AGREES))
    assert found.backend == "zeroth"
    assert "Not failed: no gradient." in found.reasons


def test_a_flat_cost_chooses_nothing() -> None:
    flat = ComparisonRow(name="reference", gradient=(0.0, 0.0), norm=0.0, standard_error=(0.0, 0.0))
    found = advise(Comparison(flat, (row("exact", gradient=(0.0, 0.0), rollouts=1),)), {"exact": AGREES})
    assert found.backend is None
    assert "flat" in found.headline
