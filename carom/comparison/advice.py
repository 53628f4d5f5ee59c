"""Advice: three questions about the backends, each with an answer, its evidence, its runner-up and if it was close.

- *To descend from here*: the winner of the race at equal work (``carom.comparison.race``).
- *To know the slope of the averaged cost*: of the backends that agree with the reference, the one that takes the fewest
  rollouts to an error of a tenth (``carom.gradients.diagnosis.slope``).
- *How far it can be trusted*: the backend whose predicted decrease is right over the widest range of step lengths
  (``carom.gradients.diagnosis.trust``).

No answer depends on a clock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..gradients.diagnosis.slope import SlopeVerdict, count_text
from ..gradients.diagnosis.trust import TrustBand
from .race import Race
from .race.scoring import TIE
from .trust import Trust

__all__ = ["Advice", "Answer", "advise"]


_POSSIBLE = 0.2
"""Lower bound of the bias up to which it may still be below a tenth."""


@dataclass(frozen=True)
class Answer:
    """Answer to one question."""

    backend: str | None
    """Backend to use; None where there is none, or none is settled."""
    runner_up: str | None
    close: bool
    """Whether the runner-up is not told apart from the backend, or within a factor of 1.5 of it."""
    text: str
    """One or two sentences."""
    evidence: dict[str, Any] = field(default_factory=dict)
    """Numbers behind it, by backend."""

    def as_dict(self) -> dict[str, Any]:
        """Entry of ``results.json``."""
        return {
            "backend": self.backend,
            "runner_up": self.runner_up,
            "close": self.close,
            "text": self.text,
            "evidence": self.evidence,
        }


@dataclass(frozen=True)
class Advice:
    """The three answers."""

    descend: Answer
    estimate: Answer
    trust: Answer
    headline: str
    """One sentence: the first answer, or the reason why there is none."""
    reasons: tuple[str, ...]
    """Further sentences."""

    def as_dict(self) -> dict[str, Any]:
        """Entry of ``results.json``."""
        return {
            "descend": self.descend.as_dict(),
            "estimate": self.estimate.as_dict(),
            "trust": self.trust.as_dict(),
            "headline": self.headline,
            "reasons": list(self.reasons),
        }


def advise(
    slopes: Mapping[str, SlopeVerdict],
    race: Race | None,
    trust: Mapping[str, Trust],
    *,
    scale: float | None = None,
    unit: str = "",
    notes: Sequence[str] = (),
) -> Advice:
    """The three answers.

    Args:
        slopes: Verdict on each backend's slope.
        race: The race, if one was run.
        trust: Bands of trusted step lengths by backend.
        scale: Standard deviation of the noise, where it is the same for all parameters.
        unit: Unit of theta.
        notes: Sentences that come first among the reasons.
    """
    descend, estimate = _descend(race), _estimate(slopes)
    trusted = _trust(trust, scale, unit)
    seen = {found.label for found in slopes.values()} - {"failed"}
    if seen == {"nothing seen"} and (race is None or not race.descends):
        headline = estimate.text
        reasons = [] if race is None else [descend.text]
    else:
        headline = estimate.text if race is None else descend.text
        reasons = [] if race is None else [estimate.text]
    reasons += [trusted.text]
    if race is not None and race.averaged_winner is not None:
        reasons.append(
            f"Averaged over the noise, {race.averaged_winner} ends lower from every start: prefer it where the "
            "parameters will not be met exactly."
        )
    named = {estimate.backend}
    reasons += [
        f"{name}: {found.text}." for name, found in slopes.items() if name not in named and seen != {"nothing seen"}
    ]
    if race is not None:
        reasons += [f"{name} was not raced: {reason}." for name, reason in race.failed.items() if name in slopes]
    return Advice(descend, estimate, trusted, headline, (*notes, *reasons))


def _descend(race: Race | None) -> Answer:
    if race is None:
        return Answer(None, None, False, "No race was run, so nothing is said on which backend descends best.")
    evidence: dict[str, Any] = {
        entry.name: {
            "samples": entry.arm.samples or None,
            "rate": entry.arm.rate,
            "factor": None if entry.relation is None else _finite(entry.relation.factor),
            "factor_low": None if entry.relation is None else _finite(entry.relation.low),
            "factor_high": None if entry.relation is None else _finite(entry.relation.high),
            "relation": "best" if entry.relation is None else entry.relation.label,
        }
        for entry in race.entries
    }
    if not race.entries or not race.descends:
        extent = f"{race.starts} starts with {race.budget:.0f} rollouts each"
        text = f"Nothing to descend: no backend lowered the cost from {extent}. Try a larger scale or another theta."
        return Answer(None, None, False, text)
    best, *others = race.entries
    how = f"({race.optimizer}, {best.arm.text})"
    if not others:
        return Answer(best.name, None, False, f"Descend with {best.name} {how}: no other backend was raced.", evidence)
    second = others[0]
    relation = second.relation
    assert relation is not None
    factors = f"{_factor(relation.low)} to {_factor(relation.high)}"
    over = f"over {len(best.log_work)} starts"
    if relation.label == "equal":
        text = (
            f"Descend with {best.name} {how} or {second.name}: they take the same rollouts for the same cost (factor "
            f"{relation.low:.2f} to {relation.high:.2f}, {over})."
        )
    elif relation.label == "not told apart":
        more = f" About {relation.more_starts} more starts would decide." if relation.more_starts else ""
        text = (
            f"Descend with {best.name} {how}, though {second.name} is not told apart: {factors} times its rollouts "
            f"{over}.{more}"
        )
    else:
        text = (
            f"Descend with {best.name} {how}: {second.name} takes {_factor(relation.factor)} times its rollouts "
            f"({factors}) for the same cost, {over}."
        )
    rest = [f"{entry.name} {_factor(entry.relation.factor)}" for entry in others[1:] if entry.relation is not None]
    if rest:
        text += f" Times the rollouts of {best.name}: {', '.join(rest)}."
    close = relation.label in ("equal", "not told apart")
    return Answer(best.name, second.name, close, text, evidence)


def _estimate(slopes: Mapping[str, SlopeVerdict]) -> Answer:
    evidence = {name: found.as_dict() for name, found in slopes.items()}
    known = {name: found for name, found in slopes.items() if found.label not in ("failed", "not finite")}
    if not known:
        return Answer(None, None, False, "No backend gave a gradient.", evidence)
    if all(found.label == "nothing seen" for found in known.values()):
        text = next(iter(known.values())).text
        return Answer(None, None, False, f"{text[0].upper()}{text[1:]}.", evidence)
    agreeing = {name: found for name, found in known.items() if found.label == "agrees"}
    ranked = sorted(
        (name for name in agreeing if math.isfinite(_work(agreeing[name]))), key=lambda n: _work(agreeing[n])
    )
    if not ranked:
        return Answer(None, None, False, _none_known(known, agreeing), evidence)
    best = agreeing[ranked[0]]
    rivals = {name: found for name, found in known.items() if found is not best and _may_beat(found, best)}
    if rivals:
        return Answer(None, None, False, _rivalled(ranked[0], best, rivals), evidence)
    rollouts = count_text(_work(best))
    times = "1 rollout gives" if rollouts == "1" else f"about {rollouts} rollouts give"
    text = f"For the slope of the averaged cost take {ranked[0]}: {_bias(best)}"
    text += f", and {times} it to a tenth" if best.well_known else f"; {times} it to a tenth, if its bias is small"
    if len(ranked) == 1:
        return Answer(ranked[0], None, False, f"{text}. No other backend is known to.", evidence)
    factor = _work(agreeing[ranked[1]]) / _work(best)
    text += f". {ranked[1]} takes {_factor(factor)} times as many"
    return Answer(ranked[0], ranked[1], factor < TIE, f"{text}.", evidence)


def _may_beat(found: SlopeVerdict, best: SlopeVerdict) -> bool:
    """Whether a backend whose bias is not certainly above a tenth would, by its noise alone, beat the best.

    A bound of 99 % fails once in a hundred, and one of several backends more often: hence twice a tenth.
    """
    if found.zero or found.low is None or found.low > _POSSIBLE or found.variance is None:
        return False
    noise = float(found.rollouts) if found.exact else found.rollouts * found.variance / 0.1**2
    return TIE * max(1.0, noise) < _work(best)


def _rivalled(name: str, best: SlopeVerdict, rivals: Mapping[str, SlopeVerdict]) -> str:
    needs = [found.more for found in rivals.values() if found.more is not None]
    more = f": about {count_text(max(needs))} more rollouts would settle it (--settle, or settle=True)" if needs else ""
    others = " and ".join(rivals)
    return (
        f"{name} gives the slope of the averaged cost ({_bias(best)}), but {others}, whose bias is not known well "
        f"enough, may take fewer rollouts{more}."
    )


def _none_known(known: Mapping[str, SlopeVerdict], agreeing: Mapping[str, SlopeVerdict]) -> str:
    if not agreeing:
        return _none_agrees(known)
    name = min(agreeing, key=lambda one: agreeing[one].high or math.inf)
    return (
        f"{name} gives the slope of the averaged cost to 25 % ({_bias(agreeing[name])}); whether to a tenth is not "
        "settled for any backend."
    )


def _none_agrees(known: Mapping[str, SlopeVerdict]) -> str:
    open_ = {name: found for name, found in known.items() if found.label == "cannot tell"}
    if not open_:
        return "None of these backends gives the slope of the averaged cost: all are off by more than 25 %."
    least = {name: found.more for name, found in open_.items() if found.more is not None}
    if least:
        name = min(least, key=least.__getitem__)  # type: ignore[arg-type]
        return (
            f"No backend is settled yet as the slope of the averaged cost: about {count_text(least[name] or 1)} more "
            f"rollouts would settle {name} (--settle, or settle=True)."
        )
    return "No backend is settled as the slope of the averaged cost: use a larger scale of the noise, or more rollouts."


def _trust(trust: Mapping[str, Trust], scale: float | None, unit: str) -> Answer:
    evidence = {name: found.as_dict() for name, found in trust.items()}
    reach = {name: _reach(found.as_is) for name, found in trust.items() if found.as_is.label == "trusted"}
    if not reach:
        words = "; ".join(f"{name}: {found.as_is.text}" for name, found in trust.items())
        return Answer(None, None, False, f"No gradient here predicts the change of the cost: {words}.", evidence)
    ranked = sorted(reach, key=lambda name: -reach[name])
    best = trust[ranked[0]]
    text = (
        f"A step along {ranked[0]} changes the cost as predicted, to 25 %, for lengths of "
        f"{band_text(best.as_is, scale, unit)}; averaged over the noise: {band_text(best.averaged, scale, unit)}."
    )
    second = ranked[1] if len(ranked) > 1 else None
    close = second is not None and reach[ranked[0]] <= math.sqrt(2.0) * 1.001 * reach[second]
    return Answer(ranked[0], second, close, text, evidence)


def band_text(band: TrustBand, scale: float | None, unit: str) -> str:
    """A band in noise scales and, where all parameters have one scale, in the unit of theta."""
    if band.label != "trusted" or scale is None:
        return band.text
    assert band.low is not None
    top = "more than " + f"{32.0 * scale:.2g}" if band.high is None else f"{band.high * scale:.2g}"
    return f"{band.text} ({band.low * scale:.2g} to {top}{' ' + unit if unit else ''})"


def _reach(band: TrustBand) -> float:
    return 64.0 if band.high is None else band.high


def _work(found: SlopeVerdict) -> float:
    return math.inf if found.rollouts_to_tenth is None else found.rollouts_to_tenth


def _bias(found: SlopeVerdict) -> str:
    assert found.high is not None
    return f"its bias is at most {100.0 * found.high:.2g} %"


def _factor(number: float) -> str:
    return "over 1,000" if number > 1000.0 else f"{number:.2g}" if number < 99.5 else count_text(number)


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
