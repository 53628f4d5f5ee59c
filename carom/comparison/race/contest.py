"""The race: every backend with every arm to half of the budget, its best arms to the end, paired over starts.

An arm is a number of samples a step and a rate of Adam. Samples a step decide more than the backend does, so they are
chosen the same way for each: 4, 16 and 64, those of which a few steps fit. Rates are .3, 2 and 12 noise scales; where
the edge of the grid wins, the grid grows. Starts are theta and points a quarter of a noise scale around it, the same
for all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import torch

from ...gradients.core.backend_options import has_option, with_option
from ...gradients.core.errors import GradientError
from ...gradients.core.interface import Backend, Objective
from ...gradients.noise.counter_random import derive_seed, draw_uniforms
from ...gradients.noise.distributions import Gaussian
from .descent import Arm, Descent, advance, costs_of
from .outcome import Race, RaceCurve, RaceEntry
from .scoring import log_work, relation

__all__ = ["RacePlan", "race"]

SAMPLES = (4, 16, 64)
RATES = (0.3, 2.0, 12.0)
_FACTOR = 6.0  # between rates
_GROWTHS = 2
_JITTER = 0.25
_KEPT = 2  # arms of each backend that run to the end
_LEAST_STEPS = 3
_DRAWS = 16
_SAME = 1e-9


@dataclass(frozen=True)
class RacePlan:
    """Extent of a race."""

    budget: float = 400.0
    """Rollouts of each descent."""
    starts: int = 5
    first_starts: int = 2
    """Starts on which arms are chosen, to half of the budget."""
    more_starts: int = 5
    """Further starts where the two best are not told apart."""


@dataclass
class _Field:
    """Descents made so far."""

    objective: Objective
    theta: torch.Tensor
    starts: torch.Tensor
    scale: torch.Tensor
    seed: int
    descents: dict[tuple[Arm, int], Descent]
    costs: dict[tuple[Arm, int], list[float]]

    def run(self, arms: Mapping[Arm, Backend], starts: range, budget: float) -> None:
        """Bring these arms to the budget from these starts."""
        for start in starts:
            groups: dict[tuple[str, int], list[Descent]] = {}
            for arm, backend in arms.items():
                if (arm, start) not in self.descents:
                    seed = derive_seed(self.seed, "race", arm.backend, start)
                    self.descents[arm, start] = Descent(arm, backend, self.starts[start], self.scale, seed)
                groups.setdefault((arm.backend, arm.samples), []).append(self.descents[arm, start])
            for group in groups.values():
                advance(self.objective, self.theta, group, budget)
            self._evaluate(list(arms), start)

    def _evaluate(self, arms: list[Arm], start: int) -> None:
        rows, places = [], []
        for arm in arms:
            path, known = self.descents[arm, start].path, self.costs.setdefault((arm, start), [])
            places.append((arm, len(path) - len(known)))
            rows.extend(path[len(known) :])
        if not rows:
            return
        costs = costs_of(self.objective, self.theta, torch.stack(rows)).tolist()
        for arm, count in places:
            self.costs[arm, start] += costs[:count]
            costs = costs[count:]

    def best(self, arm: Arm, start: int) -> tuple[list[float], list[float]]:
        """Work spent and the least cost until then."""
        costs = torch.tensor(self.costs[arm, start], dtype=torch.float64, device="cpu")
        return self.descents[arm, start].spent, torch.cummin(costs, 0).values.tolist()

    def scores(self, arms: list[Arm], starts: range, budget: float) -> dict[Arm, list[float]]:
        """L of each arm, one entry for each start from which some arm lowers the cost."""
        found: dict[Arm, list[float]] = {arm: [] for arm in arms}
        for start in starts:
            work = log_work({arm: self.best(arm, start) for arm in arms}, budget)
            for arm in arms if work is not None else ():
                found[arm].append(work[arm])  # type: ignore[index]
        return found


def race(
    objective: Objective,
    theta: torch.Tensor,
    backends: Mapping[str, Backend],
    scale: torch.Tensor,
    *,
    plan: RacePlan,
    seed: int,
    progress: Callable[[str], None] | None = None,
) -> Race:
    """Race all backends from starts around ``theta``.

    Args:
        objective: The cost.
        theta: [parameters].
        backends: By name.
        scale: Standard deviation of the noise [parameters].
        plan: Extent.
        seed: Seed of starts and of all noise.
        progress: Called with the name of each stage.

    Raises:
        GradientError: The cost is not finite at theta.
    """
    scale = scale.double().cpu().expand(len(theta))
    centre = theta.detach().double().cpu()
    uniforms = draw_uniforms(seed, "race starts", first=0, rows=plan.starts + plan.more_starts, columns=len(theta))
    jitter = _JITTER * Gaussian().sample(uniforms).cpu()
    jitter[0] = 0.0
    field = _Field(objective, theta, centre + scale * jitter, scale, seed, {}, {})
    if not bool(torch.isfinite(costs_of(objective, theta, field.starts[:1])).all()):
        raise GradientError("the cost is not finite at theta: there is nothing to descend from")
    first = range(min(plan.first_starts, plan.starts))
    half = plan.budget / 2.0
    arms: dict[str, dict[Arm, Backend]] = {}
    failed: dict[str, str] = {}
    say = progress or (lambda stage: None)
    for name, backend in backends.items():
        say(f"race: settings of {name}")
        arms[name] = _arms(name, backend, plan.budget)
        field.run(arms[name], first, half)
        _drop_the_failed(field, arms[name], first, name, failed)
        if not arms[name]:
            del arms[name]
    for _ in range(_GROWTHS):
        _grow(field, arms, first, half)
    kept: dict[Arm, Backend] = {}
    everything = [arm for group in arms.values() for arm in group]
    scores = field.scores(everything, first, half)
    for group in arms.values():
        order = sorted(group, key=lambda arm: (_mean(scores[arm]), arm.samples, arm.rate))
        kept.update({arm: group[arm] for arm in order[:_KEPT]})
    say("race: the best settings of each")
    field.run(kept, range(plan.starts), plan.budget)
    found = _outcome(field, list(kept), plan.budget, plan.starts, failed, list(backends))
    if plan.more_starts and found.undecided:
        say("race: more starts, as the two best are not told apart")
        count = plan.starts + plan.more_starts
        field.run(kept, range(plan.starts, count), plan.budget)
        found = _outcome(field, list(kept), plan.budget, count, failed, list(backends))
    return found


def _arms(name: str, backend: Backend, budget: float) -> dict[Arm, Backend]:
    """Arms of one backend that leave room for a few steps."""
    if not has_option(backend, "samples"):
        return {Arm(name, 0, rate): backend for rate in RATES}
    chosen: dict[int, Backend] = {}
    for steps in (_LEAST_STEPS, 1):  # a single step only for a backend that takes no fewer samples
        for samples in SAMPLES if not chosen else ():
            if steps * (samples + 1) > budget / 2.0:
                continue
            with suppress(GradientError):  # too few for it
                fewer = with_option(backend, "samples", samples)
                if fewer is not None:
                    chosen[samples] = fewer
    if not chosen:
        own = getattr(backend, "samples", None)
        chosen[own if isinstance(own, int) else 0] = backend
    return {Arm(name, samples, rate): found for samples, found in chosen.items() for rate in RATES}


def _drop_the_failed(field: _Field, arms: dict[Arm, Backend], starts: range, name: str, failed: dict[str, str]) -> None:
    """Leave out arms that made no step; a backend without any has its last reason in ``failed``."""
    reason = "one of its gradients takes more than half of the rollouts of a descent"
    for arm in list(arms):
        descents = [field.descents[arm, start] for start in starts]
        if all(descent.steps == 0 for descent in descents):
            reason = next((descent.stopped for descent in descents if descent.stopped), reason)
            del arms[arm]
    if not arms:
        failed[name] = reason.removeprefix("after 0 steps: ")


def _grow(field: _Field, arms: dict[str, dict[Arm, Backend]], starts: range, budget: float) -> None:
    """Add the next rate where a backend's best arm has the least or the greatest."""
    scores = field.scores([arm for group in arms.values() for arm in group], starts, budget)
    for group in arms.values():
        best = min(group, key=lambda arm: (_mean(scores[arm]), arm.samples, arm.rate))
        rates = [arm.rate for arm in group if arm.samples == best.samples]
        reached = [_mean(scores[arm]) for arm in group]
        if not math.isfinite(min(reached)) or max(reached) - min(reached) < _SAME:
            continue  # nothing to gain by another rate
        if best.rate == min(rates):
            rate = best.rate / _FACTOR
        elif best.rate == max(rates):
            rate = best.rate * _FACTOR
        else:
            continue
        more = {Arm(best.backend, best.samples, rate): group[best]}
        field.run(more, starts, budget)
        group.update(more)


def _outcome(
    field: _Field, arms: list[Arm], budget: float, count: int, failed: dict[str, str], order: list[str]
) -> Race:
    starts = range(count)
    scores = field.scores(arms, starts, budget)
    chosen: dict[str, Arm] = {}
    for arm in arms:
        if arm.backend not in chosen or _mean(scores[arm]) < _mean(scores[chosen[arm.backend]]):
            chosen[arm.backend] = arm
    descends = any(scores[arm] for arm in arms)
    ranked = sorted(chosen, key=lambda name: (_mean(scores[chosen[name]]), order.index(name)))
    averaged = {name: _averaged(field, chosen[name], starts) for name in ranked}
    best = ranked[0] if ranked else None
    entries = []
    for name in ranked:
        arm = chosen[name]
        curves = []
        for start in starts:
            descent, costs = field.descents[arm, start], field.costs[arm, start]
            end = min(range(len(costs)), key=costs.__getitem__)
            curves.append(
                RaceCurve(
                    tuple(descent.spent), tuple(costs), descent.path[end],
                    descent.gradients[end] if end < len(descent.gradients) else None, averaged[name][start],
                    descent.seconds[-1], descent.stopped,
                )
            )  # fmt: skip
        told = None
        if name != best and best is not None and descends:
            told = relation(scores[arm], scores[chosen[best]])
        entries.append(RaceEntry(name, arm, tuple(curves), tuple(scores[arm]), told))
    spent = sum(descent.spent[-1] for descent in field.descents.values())
    return Race(
        tuple(entries), budget, count, descends=descends,
        averaged_winner=_averaged_winner(averaged, best) if descends else None,
        rollouts=round(spent), failed=failed,
    )  # fmt: skip


def _averaged(field: _Field, arm: Arm, starts: range) -> list[float]:
    """Cost averaged over the noise where each descent met its least cost; the same noise for all arms."""
    ends = []
    for start in starts:
        costs = field.costs[arm, start]
        ends.append(field.descents[arm, start].path[min(range(len(costs)), key=costs.__getitem__)])
    uniforms = draw_uniforms(field.seed, "race ends", first=0, rows=_DRAWS, columns=len(field.scale))
    noise = Gaussian().sample(uniforms).cpu()
    moves = field.scale * torch.cat([noise, -noise])
    rows = (torch.stack(ends)[:, None] + moves).flatten(0, 1)
    return costs_of(field.objective, field.theta, rows).view(len(ends), -1).mean(1).tolist()


def _averaged_winner(averaged: Mapping[str, list[float]], best: str | None) -> str | None:
    """Backend whose ends are cheaper on average than the best one's from every start; None if there is none."""
    if best is None:
        return None
    sure = {
        name: sum(costs)
        for name, costs in averaged.items()
        if name != best
        and len(costs) > 2
        and all(math.isfinite(cost) for cost in costs)
        and all(cost < other for cost, other in zip(costs, averaged[best], strict=True))
    }
    return min(sure, key=sure.__getitem__) if sure else None


def _mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else math.inf
