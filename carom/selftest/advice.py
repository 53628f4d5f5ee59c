"""The score of the advice: problems by seeds, statements held against the truth.

- *False agrees*, *false differs*: verdicts on the slope whose true bias is certainly on the other side of the margin.
  The truth is the closed form, else the mean of all references; a backend's own mean is that over all seeds.
- *Coverage*: intervals of the bias that hold the true one (98 %, two bounds of 99 %), where it is known to a tenth of
  the interval's length.
- *Regret*: work of the backend that was picked over that of the best, by the means over all seeds. Of the slope, the
  rollouts to a tenth; of the race, the mean log work.
- *Contradictions*: a backend that agrees for one seed and differs for another, or a pick that takes more than 1.5 times
  the best one's work while another seed's does not; in a share of problems.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import torch

from ..comparison.race import Race, RacePlan, race
from ..comparison.race.scoring import TIE
from ..gradients.diagnosis.slope import MARGIN
from ..gradients.diagnosis.slopes import SlopePlan, Slopes, measure_slopes
from ..gradients.noise.counter_random import derive_seed
from ..gradients.registry import make_backends
from ..gradients.statistics.bias_interval import length_of_difference
from ..gradients.statistics.units import UnitSummary, summarize
from .problems import PROBLEMS, Problem

__all__ = ["AdviceScore", "ProblemScore", "as_dict", "score_advice"]

_SURE = 0.999


@dataclass
class ProblemScore:
    """Counts of one problem."""

    name: str
    verdicts: int = 0
    answered: int = 0
    false_agrees: int = 0
    false_differs: int = 0
    intervals: int = 0
    covered: int = 0
    slope_regrets: list[float] = field(default_factory=list)
    slope_picks: list[str | None] = field(default_factory=list)
    race_regrets: list[float] = field(default_factory=list)
    race_picks: list[str | None] = field(default_factory=list)
    contradictions: int = 0
    """Of slope verdicts, slope picks and race picks; at most one of each kind and backend. A pick that is said not to
    be told apart from the better one contradicts nothing; its regret counts all the same."""
    seconds: float = 0.0


@dataclass(frozen=True)
class AdviceScore:
    """All problems."""

    problems: tuple[ProblemScore, ...]
    effort: float
    seeds: int

    def total(self, name: str) -> int:
        """A count over all problems."""
        return sum(getattr(problem, name) for problem in self.problems)

    def rate(self, part: str, whole: str) -> float:
        """A share over all problems."""
        return self.total(part) / max(1, self.total(whole))

    def regret(self, name: str, share: float) -> float:
        """A quantile of all regrets; nan where there are none."""
        found = sorted(x for problem in self.problems for x in getattr(problem, name))
        return found[min(len(found) - 1, int(share * len(found)))] if found else math.nan

    @property
    def contradicted(self) -> float:
        """Share of problems with a contradiction over seeds."""
        return sum(problem.contradictions > 0 for problem in self.problems) / max(1, len(self.problems))

    def lines(self) -> list[str]:
        """The score in words of at most 80 columns, with what is to be reached."""
        rows = [
            ("contradictions over seeds", f"{self.contradicted:.1%} of problems", "5 %"),
            ("false agrees", f"{self.rate('false_agrees', 'verdicts'):.2%}", "1 %"),
            ("false differs", f"{self.rate('false_differs', 'verdicts'):.2%}", "1 %"),
            ("slopes answered", f"{self.rate('answered', 'verdicts'):.0%}", "40 % at a tenth"),
            ("bias intervals that cover", f"{self.rate('covered', 'intervals'):.1%}", "98 % nominal"),
        ]
        for name, title in (("slope_regrets", "slope"), ("race_regrets", "descent")):
            median, high = self.regret(name, 0.5), self.regret(name, 0.95)
            rows.append((f"regret, {title}: median, 95 %", f"{median:.2f}, {high:.2f}", "1.1, 1.5"))
        head = f"{len(self.problems)} problems, {self.seeds} seeds, {self.effort:.0%} of the effort"
        return [head, *(f"  {title:32s} {value:22s} {target}" for title, value, target in rows)]


def score_advice(
    *,
    seeds: int = 20,
    effort: float = 1.0,
    names: Collection[str] | None = None,
    with_race: bool = True,
    progress: Callable[[str], None] | None = None,
) -> AdviceScore:
    """Score the advice.

    Args:
        seeds: Runs of every problem.
        effort: Share of the rollouts, samples and race of a full comparison.
        names: Names of ``PROBLEMS``; None for all.
        with_race: Whether to race the backends.
        progress: Called with a line for each problem.
    """
    say = progress or (lambda line: None)
    found = []
    for name, make in PROBLEMS.items():
        if names is not None and name not in names:
            continue
        clock = time.perf_counter()
        problem = make()
        score = _score(name, problem, seeds, effort, with_race)
        score.seconds = time.perf_counter() - clock
        found.append(score)
        say(_line(score))
    return AdviceScore(tuple(found), effort, seeds)


def _line(score: ProblemScore) -> str:
    picks = {pick: score.race_picks.count(pick) for pick in dict.fromkeys(score.race_picks)}
    slope = {pick: score.slope_picks.count(pick) for pick in dict.fromkeys(score.slope_picks)}
    return (
        f"{score.name}: answered {score.answered}/{score.verdicts}, false {score.false_agrees}+{score.false_differs}, "
        f"covered {score.covered}/{score.intervals}, contradictions {score.contradictions}, slope {slope}, "
        f"race {picks}, {score.seconds:.0f} s"
    )


def _score(name: str, problem: Problem, seeds: int, effort: float, with_race: bool) -> ProblemScore:
    samples = max(16, round(effort * problem.samples))
    backends = make_backends(problem.backends, scale=problem.scale, samples=samples)
    scale = torch.full(problem.theta.shape, problem.scale, dtype=torch.float64, device="cpu")
    plan = SlopePlan(max(160, round(effort * problem.rollouts)))
    slopes: list[Slopes] = []
    races: list[Race] = []
    for seed in range(seeds):
        own = derive_seed(seed, "selftest", name)
        slopes.append(measure_slopes(problem.objective, problem.theta, backends, problem.scale, plan=plan, seed=own))
        if with_race:
            budget = max(40.0, effort * problem.race)
            races.append(
                race(problem.objective, problem.theta, backends, scale, plan=RacePlan(budget=budget), seed=own)
            )
    score = ProblemScore(name)
    _score_slopes(score, problem, slopes)
    if races:
        _score_races(score, races)
    return score


def _score_slopes(score: ProblemScore, problem: Problem, runs: list[Slopes]) -> None:
    truth = _truth(problem, runs)
    norm = float(truth.mean.norm())
    work: dict[str, float] = {}
    for name in problem.backends:
        estimates = [run.estimates[name] * problem.scale for run in runs if name in run.estimates]
        if not estimates:
            continue
        pool = summarize(torch.cat(estimates))  # of a run whose samples were all equal a single one is kept
        low, high = length_of_difference(pool, truth, _SURE)
        labels = set()
        for run in runs:
            found = run.verdicts[name]
            labels.add(found.label)
            score.verdicts += 1
            score.answered += found.label in ("agrees", "differs")
            score.false_agrees += found.label == "agrees" and low > MARGIN * norm
            score.false_differs += found.label == "differs" and high < MARGIN * norm
            if found.low is not None and norm > 0.0:
                upper = math.inf if found.high is None else found.high
                if (high - low) / norm < 0.1 * (upper - found.low) or upper == math.inf:
                    score.intervals += 1
                    score.covered += found.low <= high / norm and upper >= low / norm
        score.contradictions += {"agrees", "differs"} <= labels
        work[name] = _work(pool, truth, norm, low, runs[0].verdicts[name].rollouts)
    least = min(work.values(), default=math.inf)
    for run in runs:
        pick = _slope_pick(run)
        score.slope_picks.append(pick)
        if pick is not None and math.isfinite(least):
            score.slope_regrets.append(work[pick] / least)
    recent = score.slope_regrets[-len(runs) :]
    score.contradictions += bool(recent) and max(recent) > TIE and min(recent) <= TIE


def _truth(problem: Problem, runs: list[Slopes]) -> UnitSummary:
    """True slope per noise scale, or the mean of all references with what is not known of it."""
    known = problem.truth
    if known is not None:
        return summarize(known[None] * problem.scale)
    complete = [run.reference for run in runs if run.reference.complete]
    if complete:
        return summarize(torch.cat([reference.units for reference in complete]))
    return UnitSummary.zero(len(problem.theta))


def _work(pool: UnitSummary, truth: UnitSummary, norm: float, low: float, rollouts: int) -> float:
    """True rollouts to a tenth."""
    if norm == 0.0:
        return math.inf
    bias = 0.0
    if low > 0.0:
        bias = max(0.0, float((pool.mean - truth.mean).square().sum()) - pool.trace - truth.trace)
    room = (0.1 * norm) ** 2 - bias
    if room <= 0.0:
        return math.inf
    return float(rollouts) if pool.exact else max(1.0, rollouts * pool.trace * pool.count / room)


def _slope_pick(run: Slopes) -> str | None:
    from ..comparison.advice import advise

    return advise(run.verdicts, None, {}).estimate.backend


def _score_races(score: ProblemScore, races: list[Race]) -> None:
    """Regret of the picks, by each backend's mean log work over all seeds."""
    picks = [found.entries[0].name if found.descends and found.entries else None for found in races]
    score.race_picks = list(picks)
    logs: dict[str, list[float]] = {}
    for found in races:
        for entry in found.entries if found.descends else ():
            logs.setdefault(entry.name, []).extend(entry.log_work)
    means = {name: sum(values) / len(values) for name, values in logs.items() if values}
    if not means:
        return
    least = min(means.values())
    regrets = [math.exp(means[pick] - least) for pick in picks if pick is not None]
    score.race_regrets = regrets
    best = min(means, key=means.__getitem__)
    against = [
        regret > TIE and not _tied(found, best)
        for found, regret in zip((one for one in races if one.descends and one.entries), regrets, strict=True)
    ]
    score.contradictions += any(against) and min(regrets) <= TIE


def _tied(found: Race, name: str) -> bool:
    """Whether a race says itself that its pick may be no better than this backend."""
    entry = found.by_name.get(name)
    return entry is not None and entry.relation is not None and entry.relation.label in ("equal", "not told apart")


def as_dict(score: AdviceScore) -> dict[str, Any]:
    """Plain numbers, for a file."""
    return {
        "effort": score.effort,
        "seeds": score.seeds,
        "problems": {
            problem.name: {key: value for key, value in vars(problem).items() if key not in ("name", "seconds")}
            for problem in score.problems
        },
    }
