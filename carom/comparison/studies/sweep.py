"""Bias and variance of each backend while one condition changes: samples, noise, horizon or contact stiffness."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ...gradients.core.checked import checked_estimate
from ...gradients.core.errors import GradientError
from ...gradients.core.interface import Backend, Estimate, Objective
from ...gradients.noise.counter_random import derive_seed

__all__ = ["Law", "Point", "Sweep", "Truth", "measure", "sweep"]


@dataclass(frozen=True)
class Truth:
    """A gradient that others are held against, float64 on the CPU, and its standard error; [parameters] each."""

    gradient: torch.Tensor
    standard_error: torch.Tensor

    @classmethod
    def of(cls, estimate: Estimate) -> Truth:
        """Gradient and standard error of an estimate."""
        gradient = estimate.gradient.double().cpu()
        error = estimate.standard_error
        return cls(gradient, torch.zeros_like(gradient) if error is None else error.double().cpu())

    @property
    def norm(self) -> float:
        """Length of the gradient."""
        return float(self.gradient.norm())

    @property
    def error(self) -> float:
        """Length of its standard error."""
        return float(self.standard_error.norm())


@dataclass(frozen=True)
class Point:
    """Bias and variance of one backend under one condition."""

    bias: float
    """|mean over seeds - truth|."""
    noise: float
    """Bias by chance alone: the root of the variance of that mean and of the truth together."""
    variance: float
    """Variance of one estimate, summed over the parameters; 0 where it does not depend on the seed."""
    repeats: int
    """Seeds, 1 where the estimate does not depend on them."""
    evaluations: int
    """Rollouts of one estimate."""


@dataclass(frozen=True)
class Law:
    """Law: the variance is proportional to a power of the quantity that changes."""

    formula: str
    power: float
    each: bool
    """Whether every backend should follow it; else some methods do, and it is shown for comparison."""


@dataclass(frozen=True)
class Sweep:
    """Points of all backends while one thing changes."""

    label: str
    """Quantity that changes."""
    unit: str
    values: tuple[float, ...]
    norms: tuple[float, ...]
    """Length of the true gradient at each value."""
    truth_errors: tuple[float, ...]
    """Length of its standard error."""
    points: dict[str, tuple[Point | None, ...]]
    """Points by backend; None where the backend gave none."""
    law: Law | None = None
    """Expected law of the variance, where there is one."""
    notes: tuple[str, ...] = ()
    """Reasons why points are missing."""

    def as_dict(self) -> dict[str, Any]:
        """Plain lists and numbers."""
        law = None
        if self.law is not None:
            law = {"words": self.law.formula, "power": self.law.power, "each": self.law.each}
        return asdict(self) | {"law": law}

    def slope(self, name: str) -> float | None:
        """Exponent of the variance against the value, by least squares in logarithms; None below two points."""
        pairs = [(v, p.variance) for v, p in zip(self.values, self.points[name], strict=True) if p and p.variance > 0.0]
        if len(pairs) < 2:
            return None
        x, y = (torch.tensor(column, dtype=torch.float64, device="cpu").log() for column in zip(*pairs, strict=True))
        x = x - x.mean()
        return float((x * y).sum() / x.square().sum())


def measure(
    backend: Backend, objective: Objective, theta: torch.Tensor, truth: Truth, *, repeats: int, seed: int
) -> Point:
    """Bias and variance over ``repeats`` seeds, 2 or more.

    A backend without an error bar whose first two estimates agree is taken for deterministic.

    Raises:
        GradientError: The backend cannot do this.
    """
    estimates: list[Estimate] = []
    for k in range(repeats):
        estimates.append(checked_estimate(backend, objective, theta, seed=derive_seed(seed, "repeat", k)))
        first = estimates[0]
        if k == 1 and first.standard_error is None and torch.equal(first.gradient, estimates[1].gradient):
            estimates = estimates[:1]
            break
    gradients = torch.stack([estimate.gradient.double().cpu() for estimate in estimates])
    if not bool(torch.isfinite(gradients).all()):
        raise GradientError("a gradient is not finite")
    variance = float(gradients.var(0).sum()) if len(gradients) > 1 else 0.0
    return Point(
        bias=float((gradients.mean(0) - truth.gradient).norm()),
        noise=math.hypot(math.sqrt(variance / len(gradients)), truth.error),
        variance=variance,
        repeats=len(gradients),
        evaluations=estimates[0].evaluations,
    )


def sweep(
    theta: torch.Tensor,
    backends: Mapping[str, Backend],
    values: Sequence[float],
    *,
    label: str,
    unit: str,
    objective: Callable[[float], Objective],
    truth: Callable[[float], Truth],
    backend_at: Callable[[Backend, float], Backend | None],
    repeats: Callable[[Backend], int],
    seed: int,
    law: Law | None = None,
) -> Sweep:
    """Measure all backends at all values.

    Args:
        theta: [parameters].
        backends: Backends by name.
        values: Values of that quantity, ascending.
        label: Quantity that changes.
        unit: Its unit, or nothing.
        objective: The objective for a value.
        truth: True gradient for a value.
        backend_at: The backend for a value; None where it has nothing to change, and is then left out.
        repeats: Seeds for a backend.
        seed: Seed of all noise.
        law: Expected law of the variance.
    """
    points: dict[str, list[Point | None]] = {name: [] for name in backends}
    truths: list[Truth] = []
    notes: list[str] = []
    for value in values:
        now, right = objective(value), truth(value)
        truths.append(right)
        for name, backend in backends.items():
            try:
                changed = backend_at(backend, value)
                point = None
                if changed is not None:
                    count, stream = repeats(backend), derive_seed(seed, label, name)
                    point = measure(changed, now, theta, right, repeats=count, seed=stream)
            except GradientError as error:
                point = None
                notes.append(f"{name} at {value:.3g}: {error}")
            points[name].append(point)
    return Sweep(
        label=label,
        unit=unit,
        values=tuple(float(value) for value in values),
        norms=tuple(right.norm for right in truths),
        truth_errors=tuple(right.error for right in truths),
        points={name: tuple(row) for name, row in points.items() if any(point is not None for point in row)},
        law=law,
        notes=tuple(notes),
    )
