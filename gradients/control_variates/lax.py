"""LAX: the score-function gradient with a network as control variate."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ...plain import plain_numbers
from ..core.checks import as_batch, check_count
from ..core.error_bars import judged
from ..core.errors import GradientError
from ..core.interface import Estimate, Objective
from ..core.objective import assemble, evaluate
from ..estimators.network import Ensemble
from ..noise.counter_random import derive_seed
from ..noise.distributions import Distribution, orders_of, resolve_distribution
from ..noise.perturbation import Perturbation
from ..noise.sampling import MonteCarlo
from ..noise.scale import check_scale_map, scale_map
from .rounds import Samples, estimate_in_rounds
from .state import ControlVariateState
from .terms import Terms, check_baseline
from .training import VarianceTraining

__all__ = ["LAX", "check_hidden", "check_state", "slope"]


@plain_numbers
@dataclass(frozen=True)
class LAX:
    """Unbiased gradient of F(theta) = E f(theta + L w) from values alone, with a trained control variate c.

    Grathwohl et al. 2018, "Backpropagation through the Void", eq. 7: with x = theta + L w, s = -d log density,

        g = (f(x) - c(x)) L^-T s(w) + dc/dx

    has the mean of the zeroth order for *any* differentiable c, because E dc/dx = E c(x) L^-T s(w). c = 0 is the
    zeroth order; c = f is the first order without ever differentiating f; the best c is better than both. Here c is a
    small network of w, one for each theta, trained on the variance of g between rounds (see ``VarianceTraining``).

    Prefer it to ``Smoothing(order="zeroth")`` where a rollout costs far more than a pass of a small network, theta has
    few coordinates, and the cost is smooth, or at least not dominated by jumps: a network cannot follow a jump. The
    training takes about ``rounds * steps`` passes whatever the objective costs. For the first 1 / 2^(rounds - 1) of the
    samples there is no control variate yet.

    Its standard error is valid for any c: the rounds are uncorrelated, each one's variance is the jackknife's. Thetas
    of a batch share their noise, and have networks of their own: a batch equals single calls up to rounding.

    Diagnostics: ``finite``; ``trace_variance``; ``value_standard_error``; ``variance_ratio``, variance of one sample of
    the last round with c over that without: below 1 the control variate helps.
    """

    scale: float | Sequence | torch.Tensor = 0.02
    """Noise scale L in the units of theta: one number, one per coordinate, or a matrix."""
    samples: int = 256
    """Rollouts per theta."""
    distribution: str | Distribution = "gaussian"
    """Name or instance of a noise distribution."""
    baseline: str = "leave_one_out"
    """Baseline subtracted from f - c: ``"leave_one_out"``, the mean of the round's other samples, or ``"none"``."""
    hidden: Sequence[int] = (16,)
    """Widths of the network's hidden layers. Small on purpose: a larger one fits the samples' noise, which raises
    the variance at the next rare large w."""
    training: VarianceTraining = VarianceTraining()  # noqa: RUF009 - frozen
    """Training of the network."""
    variate: Callable[[torch.Tensor], torch.Tensor] | None = None
    """A control variate of your own in place of the network: x [n, parameters] to [n], differentiable by torch,
    without jumps. It is used as it is, not trained."""
    state: ControlVariateState | None = None
    """State that carries the network from call to call; None to start anew in each."""
    chunk: int | None = None
    """Most rollouts in one call of the objective; None for a round at once."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", check_scale_map(self.scale))
        object.__setattr__(self, "hidden", check_hidden(self.hidden))
        distribution = resolve_distribution(self.distribution)
        if "zeroth" not in orders_of(distribution):
            raise GradientError(
                f"{distribution.name} noise has no score to estimate with: use another distribution, or "
                f'Smoothing(order="first", distribution={distribution.name!r})'
            )
        check_baseline(self.baseline)
        check_count("samples", self.samples, 3 if self.baseline == "leave_one_out" else 2, " (for its standard error)")
        check_state(self.training, self.variate, self.state)
        if self.chunk is not None:
            check_count("chunk", self.chunk, 1)

    def estimate(self, objective: Objective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Smoothed value and gradient at ``theta`` ([parameters] or [batch, parameters])."""
        start = time.perf_counter()
        batch, single = as_batch(theta)
        thetas, parameters = batch.shape
        scale = scale_map(self.scale, batch)  # type: ignore[arg-type]
        perturbation = Perturbation(
            resolve_distribution(self.distribution),
            scale,
            MonteCarlo(),
            seed=seed,
            points=self.samples,
            columns=parameters,
            stream="lax",
            device=batch.device,
        )
        network = Ensemble(
            inputs=parameters,
            hidden=self.hidden,
            members=1,
            copies=thetas,
            seed=derive_seed(seed, "lax network"),
            dtype=torch.float64,
            device=batch.device,
        )
        state = ControlVariateState() if self.state is None else self.state
        state.enter(
            seed,
            ("LAX", f"{thetas} thetas of {parameters} parameters", f"hidden {self.hidden}"),
            lambda: network.weights,
        )

        def draw(first: int, count: int) -> Samples:
            drawn = perturbation.draw(first, count)
            rows = (batch[:, None] + drawn.moves.to(batch)).reshape(-1, parameters)
            parts = rows.split(self.chunk or len(rows))
            costs = torch.cat([evaluate(objective, part) for part in parts]).double().view(thetas, count)
            x = rows.view(thetas, count, parameters)
            return {"costs": costs, "score": drawn.scores()[None], "noise": drawn.noise[None], "x": x}

        def terms_of(samples: Samples, weights: Sequence[torch.Tensor], graph: bool) -> Terms:
            if self.variate is not None:
                values, slopes = slope(self.variate, samples["x"].flatten(0, 1), "variate", graph=False)
                shape = samples["costs"].shape
                return Terms(
                    samples["costs"] - values.double().view(shape), samples["score"], slopes.double().view(*shape, -1)
                )
            unit = 1.0 if state.spread is None else state.spread[:, None]
            leaf = samples["noise"].expand(thetas, -1, -1)
            values, slopes = slope(lambda x: unit * network(x, weights), leaf, "network", graph=graph)
            return Terms(samples["costs"] - values, samples["score"], scale.pull(slopes))

        moments = estimate_in_rounds(
            draw,
            terms_of,
            samples=self.samples,
            baseline=self.baseline,
            training=self.training,
            state=state,
            carried=self.state is not None,
            trainable=self.variate is None,
        )
        return assemble(
            batch,
            single,
            value=moments.costs.mean(1),
            gradient=moments.gradient,
            standard_error=moments.variance.sqrt(),
            evaluations=thetas * self.samples,
            seconds=time.perf_counter() - start,
            diagnostics={
                "finite": torch.isfinite(moments.gradient).all(1),
                "trace_variance": moments.variance.sum(1),
                "value_standard_error": moments.costs.std(1) / self.samples**0.5,
                "variance_ratio": moments.variance_ratio,
            },
            bar=judged(
                moments.gradient,
                moments.variance,
                moments.degrees,
                self.samples,
                epsilon=torch.finfo(batch.dtype).eps,
            ),
        )


def check_hidden(hidden: Sequence[int]) -> tuple[int, ...]:
    """The widths as a tuple."""
    widths = tuple(hidden)
    if not widths:
        raise GradientError("hidden is empty: give at least one width, e.g. (16,)")
    for index, width in enumerate(widths):
        check_count(f"hidden[{index}]", width, 1)
    return widths


def check_state(training: object, variate: object, state: object) -> None:
    """Refuse a training, control variate or state of the wrong type."""
    if not isinstance(training, VarianceTraining):
        raise GradientError(f"training is {training!r}: give an instance, e.g. VarianceTraining(steps=30)")
    if variate is not None and not callable(variate):
        raise GradientError(f"variate is {variate!r}: give a callable that torch can differentiate, or None")
    if state is not None and not isinstance(state, ControlVariateState):
        raise GradientError(f"state is {state!r}: give an instance, ControlVariateState(), or None")


def slope(
    function: Callable[[torch.Tensor], torch.Tensor], points: torch.Tensor, name: str, *, graph: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Values [...] and derivatives [..., parameters] of a map of rows [..., parameters]; checked.

    With ``graph`` both can be differentiated again, else they are detached.
    """
    leaf = points.detach().clone().requires_grad_()
    with torch.enable_grad():
        values = function(leaf)
        if not isinstance(values, torch.Tensor) or values.shape != points.shape[:-1]:
            shape = list(values.shape) if isinstance(values, torch.Tensor) else type(values).__name__
            raise GradientError(
                f"the {name} returned {shape} for points of shape {list(points.shape)}: return one number per row, "
                f"shape {list(points.shape[:-1])}"
            )
        if not values.requires_grad:
            raise GradientError(f"torch.autograd does not reach the points through the {name}: write it in torch")
        (slopes,) = torch.autograd.grad(values.sum(), leaf, create_graph=graph)
    if not graph:
        values, slopes = values.detach(), slopes.detach()
        if not (bool(torch.isfinite(values).all()) and bool(torch.isfinite(slopes).all())):
            raise GradientError(
                f"the {name} or its derivative is not finite at some points: a control variate must be finite wherever "
                "the noise can reach"
            )
    return values, slopes
