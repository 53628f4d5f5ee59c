"""Sentences on the figures of an optimization."""

from __future__ import annotations

import torch

from ..capabilities import can_soften
from ..gradients.registry import backend_names
from .driver import Result
from .problem import Problem

__all__ = ["verdicts"]


def verdicts(result: Result, problem: Problem, gradient: str | None) -> list[str]:
    """Sentences on how it went, the most important first; ``gradient`` is the backend's name."""
    said = [*_gradient(result, problem, gradient), *_outcome(result), *_noise(result), *_bounds(result, problem)]
    return [sentence[0].upper() + sentence[1:] + "." for sentence in said]


def _gradient(result: Result, problem: Problem, gradient: str | None) -> list[str]:
    norms = result.history["gradient_norm"]
    if gradient is None or norms[-1] != 0.0:
        return []
    count = len(result.theta)
    if any(norms):
        return ["it ended where the gradient is exactly zero: at a minimum, or where nothing that matters is touched"]
    others = [name for name in ("smoothing", "softened") if name != gradient and name in backend_names()]
    if not can_soften(problem.objective):
        others = [name for name in others if name != "softened"]
    way = f"; --gradient {' or '.join(others)} looks beyond" if others else ""
    return [
        f"the gradient by {gradient} is exactly zero in all {count} parameters, so theta did not move: from here the "
        f"rollout touches nothing that matters, or the cost is flat{way}"
    ]


def _outcome(result: Result) -> list[str]:
    costs, best = result.history["cost"], result.cost
    if not best < result.start_cost:
        return ["nothing better than the start was found"]
    last = costs[-1]
    gained = result.start_cost - best
    if last is not None and last - best > 0.2 * gained:
        where = costs.index(best) if best in costs else None
        found = f", found in iteration {where}" if where is not None else ""
        ending = f"the last theta costs {last:.4g}, the best {best:.4g}{found}"
        return [f"{ending}: what was followed does not lead down reliably"]
    return []


def _noise(result: Result) -> list[str]:
    pairs = list(zip(result.history["gradient_norm"], result.history["error_norm"], strict=True))
    tail = [(norm, error) for norm, error in pairs[-(len(pairs) // 4 or 1) :] if norm is not None and error is not None]
    if not tail:
        return []
    drowned = sum(error > norm for norm, error in tail) / len(tail)
    if drowned <= 0.5:
        return []
    return [
        f"in {drowned:.0%} of the last iterations the gradient was smaller than its standard error: more --samples, or "
        "a smaller --learning-rate, would go further than more iterations"
    ]


def _bounds(result: Result, problem: Problem) -> list[str]:
    bounds = problem.bounds(result.theta)
    if bounds is None:
        return []
    at = int(((result.theta <= bounds[0]) | (result.theta >= bounds[1])).sum())
    held = sum(1 for count in result.history["held"] if count)
    low, high = (_span(bound) for bound in bounds)
    return [
        f"theta was kept within the task's bounds, {low} to {high}: projected in {held} of {result.iterations} "
        f"iterations, and {at} of {len(result.theta)} parameters of the best theta are at a bound"
    ]


def _span(bound: torch.Tensor) -> str:
    numbers = bound.unique().tolist()
    return f"{numbers[0]:.4g}" if len(numbers) == 1 else f"[{numbers[0]:.4g} ... {numbers[-1]:.4g}]"
