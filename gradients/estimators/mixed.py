"""Mixtures of first and zeroth order."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import torch

from ..core.checks import as_batch
from ..core.errors import GradientError
from ..core.interface import Backend, Estimate, Objective
from ..core.objective import assemble
from ..noise.counter_random import derive_seed
from .mixing import AlphaOrder, Rule
from .smoothing.estimator import Smoothing

__all__ = ["Mixed"]


@dataclass(frozen=True)
class Mixed:
    """alpha F1 + (1 - alpha) F0: first order where it is reliable, zeroth order for the rest.

    Suh, Simchowitz, Zhang, Tedrake 2022, "Do Differentiable Simulators Give Better Policy Gradients?". F1 and F0 come
    from independent samples; a ``rule`` chooses alpha, of a theta or of each of its coordinates:

    - ``AlphaOrder()`` (default): the alpha-order batched gradient (AoBG). Inverse-variance weights, but no more of F1
      than the confidence bound of F0 allows. Prefer it wherever the cost may jump: there F1 is biased, often with
      *less* variance than elsewhere.
    - ``InverseVariance()``: the least variance of all mixtures. Only for costs known to be continuous over the cloud: a
      first order that is zero in all samples has no variance, and gets all the weight. ``disagreement`` then shows it.

    ``evaluations`` are those of both orders. The error bar is the noise of the mixture; see the rules for how the
    choice of alpha enters it. It does not show a bias of F1: with ``AlphaOrder`` that is bounded by ``gamma``
    (diagnostics).

    Diagnostics: ``finite``; ``trace_variance``; ``value_standard_error`` (of the mean of both orders' values);
    ``alpha``, of a theta or [parameters]; ``difference``, |F1 - F0|; ``disagreement``, the same over both standard
    errors together: much above 1 means that F1 is biased; ``variance_first`` and ``variance_zeroth``, trace variances
    of the two; and what the rule adds.
    """

    first: Backend = field(default_factory=lambda: Smoothing(order="first"))
    """First order, e.g. ``Smoothing(order="first", scale=0.02)``."""
    zeroth: Backend = field(default_factory=Smoothing)
    """Zeroth order of the same scale and distribution; ``Smoothing`` or ``LAX``."""
    rule: Rule = AlphaOrder()  # noqa: RUF009 - frozen
    """Rule that chooses alpha."""

    def __post_init__(self) -> None:
        for name in ("first", "zeroth"):
            backend = getattr(self, name)
            if isinstance(backend, type) or not isinstance(backend, Backend):
                raise GradientError(
                    f"{name} is {backend!r}: give a backend, e.g. Smoothing(order={name!r}, scale=0.02)"
                )
            order = getattr(backend, "order", name)
            if order != name:
                raise GradientError(f"{name} is of order {order!r}: give e.g. Smoothing(order={name!r}, scale=0.02)")
        for what in ("scale", "distribution"):
            ours, theirs = (_plain(getattr(backend, what, None)) for backend in (self.first, self.zeroth))
            if ours is not None and theirs is not None and ours != theirs:
                raise GradientError(
                    f"first has {what} {ours!r} and zeroth {theirs!r}: they would estimate gradients of different "
                    f"smoothed costs. Give both the same {what}"
                )
        if isinstance(self.rule, type) or not isinstance(self.rule, Rule):
            raise GradientError(f"rule is {self.rule!r}: give an instance, AlphaOrder() or InverseVariance()")

    def estimate(self, objective: Objective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Smoothed value and gradient at ``theta`` ([parameters] or [batch, parameters])."""
        start = time.perf_counter()
        batch, single = as_batch(theta)
        parts = self.rule.parts
        firsts = [_estimate(self.first, objective, batch, derive_seed(seed, "mixed first", i)) for i in range(parts)]
        zeroths = [_estimate(self.zeroth, objective, batch, derive_seed(seed, "mixed zeroth", i)) for i in range(parts)]
        mixture = self.rule.mix(firsts, zeroths)
        difference = (_mean(firsts) - _mean(zeroths)).norm(dim=1)
        spread_first, spread_zeroth = _trace(firsts), _trace(zeroths)
        both = (spread_first + spread_zeroth).sqrt()
        value_errors = [
            torch.as_tensor(e.diagnostics.get("value_standard_error", torch.nan), device=e.value.device)
            for e in firsts + zeroths
        ]
        return assemble(
            batch,
            single,
            value=torch.stack([e.value.double() for e in firsts + zeroths]).mean(0),
            gradient=mixture.gradient,
            standard_error=mixture.variance.sqrt(),
            evaluations=sum(e.evaluations for e in firsts + zeroths),
            seconds=time.perf_counter() - start,
            diagnostics={
                "finite": torch.isfinite(mixture.gradient).all(1),
                "trace_variance": mixture.variance.sum(1),
                "value_standard_error": torch.stack([e.double().square() for e in value_errors]).sum(0).sqrt()
                / len(value_errors),
                "difference": difference,
                "disagreement": torch.where(difference > 0, difference / both, 0.0),
                "variance_first": spread_first,
                "variance_zeroth": spread_zeroth,
                **mixture.diagnostics,
            },
        )


def _plain(option: object) -> object:
    """An instance and its name mean the same."""
    return getattr(option, "name", option)


def _estimate(backend: Backend, objective: Objective, batch: torch.Tensor, seed: int) -> Estimate:
    estimate = backend.estimate(objective, batch, seed=seed)
    if estimate.standard_error is None:
        raise GradientError(
            f"{type(backend).__name__} gives no standard error here, and a mixture is weighted by it: use independent "
            "samples (Monte Carlo), or several replications"
        )
    return estimate


def _mean(estimates: list[Estimate]) -> torch.Tensor:
    return torch.stack([estimate.gradient.double() for estimate in estimates]).mean(0)


def _trace(estimates: list[Estimate]) -> torch.Tensor:
    """Trace variance of the mean of independent estimates, [batch]."""
    errors = [estimate.standard_error for estimate in estimates]
    squares = torch.stack([error.double().square().sum(1) for error in errors if error is not None])
    return squares.sum(0) / len(estimates) ** 2
