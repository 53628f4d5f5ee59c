"""Mixtures of first and zeroth order."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import torch

from ..core.checks import as_batch
from ..core.error_bars import ErrorBar, judged
from ..core.errors import GradientError
from ..core.interface import Backend, Estimate, Objective
from ..core.objective import assemble
from ..noise.counter_random import derive_seed
from ..noise.distributions import resolve_distribution
from ..noise.subset import chosen_columns
from .mixing import Mixture, Remainder, Rule
from .smoothing.estimator import Smoothing

__all__ = ["Mixed"]


@dataclass(frozen=True)
class Mixed:
    """alpha F1 + (1 - alpha) F0: first order where it is reliable, zeroth order for the rest.

    F1 and F0 come from independent samples; a ``rule`` chooses how they are joined:

    - ``Remainder()`` (default): F1 as a plane, and F0 of what the cost has beside it. Unbiased for every cost, with a
      valid error bar; on smooth costs it has little of the noise of F0 (docs/measurements/control_variates.md).
    - ``AlphaOrder()``: the alpha-order batched gradient (AoBG) of Suh, Simchowitz, Zhang, Tedrake 2022, "Do
      Differentiable Simulators Give Better Policy Gradients?". Inverse-variance weights, but no more of F1 than the
      confidence bound of F0 allows. At jumps, where F1 is biased, part of that bias gets in.
    - ``InverseVariance()``: the least variance of all mixtures. Only for costs known to be continuous over the cloud: a
      first order that is zero in all samples has no variance, and gets all the weight. ``disagreement`` then shows it.

    ``evaluations`` are those of both orders. The standard error is the noise of the mixture; see the rules for how the
    choice of alpha enters it. It does not show a bias of F1, which ``AlphaOrder`` bounds by ``gamma`` (diagnostics):
    with that rule there is no error bar.

    Diagnostics: ``finite``; ``trace_variance``; ``value_standard_error`` (of the mean of both orders' values);
    ``alpha``, of a theta or [parameters]; ``difference``, |F1 - F0|; ``disagreement``, the same over both standard
    errors together: much above 1 means that F1 is biased; ``variance_first`` and ``variance_zeroth``, trace variances
    of the two; and what the rule adds.
    """

    first: Backend = field(default_factory=lambda: Smoothing(order="first"))
    """First order, e.g. ``Smoothing(order="first", scale=0.02)``."""
    zeroth: Backend = field(default_factory=Smoothing)
    """Zeroth order of the same scale and distribution; ``Smoothing`` or ``LAX``."""
    rule: Rule | Remainder = Remainder()  # noqa: RUF009 - frozen
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
        if isinstance(self.rule, type) or not isinstance(self.rule, (Rule, Remainder)):
            raise GradientError(
                f"rule is {self.rule!r}: give an instance, Remainder(), AlphaOrder() or InverseVariance()"
            )
        if isinstance(self.rule, Remainder):
            self._check_remainder()

    def _check_remainder(self) -> None:
        zeroth = self.zeroth
        if not isinstance(zeroth, Smoothing):
            raise GradientError(
                "the rule Remainder() takes a plane out of the cost of each sample, which zeroth = "
                f"{type(zeroth).__name__} cannot: give Smoothing(...), or rule=AlphaOrder()"
            )
        if not resolve_distribution(zeroth.distribution).symmetric:
            raise GradientError(
                f"the rule Remainder() needs symmetric noise, and {resolve_distribution(zeroth.distribution).name} "
                "noise is not: give another distribution, or rule=AlphaOrder()"
            )

    def estimate(self, objective: Objective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Smoothed value and gradient at ``theta`` ([parameters] or [batch, parameters])."""
        start = time.perf_counter()
        batch, single = as_batch(theta)
        if isinstance(self.rule, Remainder):
            return self._remainder(objective, batch, single, seed, start)
        parts = self.rule.parts
        firsts = [_estimate(self.first, objective, batch, derive_seed(seed, "mixed first", i)) for i in range(parts)]
        zeroths = [_estimate(self.zeroth, objective, batch, derive_seed(seed, "mixed zeroth", i)) for i in range(parts)]
        mixture = self.rule.mix(firsts, zeroths)
        return self._assembled(batch, single, firsts, zeroths, mixture, start)

    def _assembled(
        self,
        batch: torch.Tensor,
        single: bool,
        firsts: list[Estimate],
        zeroths: list[Estimate],
        mixture: Mixture,
        start: float,
    ) -> Estimate:
        """The estimate of a mixture of batched parts."""
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
            bar=ErrorBar(mixture.degrees, mixture.reason),
        )

    def _remainder(self, objective: Objective, batch: torch.Tensor, single: bool, seed: int, start: float) -> Estimate:
        """Equation (1) of ``Remainder``."""
        assert isinstance(self.rule, Remainder)
        assert isinstance(self.zeroth, Smoothing)
        first = _estimate(self.first, objective, batch, derive_seed(seed, "mixed first", 0))
        alpha = self.rule.share(first)
        columns = chosen_columns(self.zeroth.parameters, objective, batch)
        slope = torch.zeros_like(first.gradient, dtype=torch.float64)
        slope[:, columns] = alpha[:, None] * first.gradient.double()[:, columns]
        run = self.zeroth.start_run(objective, batch, seed=derive_seed(seed, "mixed zeroth", 0), tilt=slope)
        rest = _with_error(self.zeroth, run.finish(run.measure(0, run.units))[0])
        assert rest.standard_error is not None
        assert rest.degrees_of_freedom is not None
        variance = rest.standard_error.double().square()
        gradient = slope + rest.gradient.double()
        units = run.units if self.zeroth.replications == 1 else self.zeroth.replications
        # Again, as a remainder of nothing but roundings of the plane is large beside its own mean alone.
        bar = judged(gradient, variance, rest.degrees_of_freedom, units, epsilon=torch.finfo(batch.dtype).eps)
        reason = "; ".join(filter(None, [rest.no_error_bar, bar.reason])) or None
        mixture = Mixture(gradient, variance, {"alpha": alpha}, bar.degrees, reason)
        whole = replace(rest, gradient=gradient)
        return self._assembled(batch, single, [first], [whole], mixture, start)


def _plain(option: object) -> object:
    """An instance and its name mean the same."""
    return getattr(option, "name", option)


def _estimate(backend: Backend, objective: Objective, batch: torch.Tensor, seed: int) -> Estimate:
    return _with_error(backend, backend.estimate(objective, batch, seed=seed))


def _with_error(backend: Backend, estimate: Estimate) -> Estimate:
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
