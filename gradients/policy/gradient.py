"""The score-function gradient of a stochastic policy's expected cost."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import torch

from ...plain import plain_numbers
from ..core.checks import Scale, check_count, check_scale
from ..core.error_bars import judged
from ..core.errors import GradientError
from ..core.interface import Estimate
from ..core.optional import optional
from ..noise.distributions import Distribution, orders_of, resolve_distribution
from ..statistics.moments import MeanMoments
from .advantages import generalized_advantages, returns
from .baselines import Baseline, LeaveOneOut
from .problem import ControlProblem
from .rollouts import Rollouts, policy_outputs, roll_out

__all__ = ["PolicyGradient"]

_BLOCK = 2**24  # entries of gradients of single trajectories held at once


@plain_numbers
@dataclass(frozen=True)
class PolicyGradient:
    """Unbiased gradient of the expected cost by a policy's parameters, from simulated costs alone (REINFORCE).

    Actions are a_t = mean(x_t) + scale * w_t, w from ``distribution``, fresh noise at every step. With s = -d log
    density, the score of an action by the mean is s(w)/scale, and by log scale w s(w) - 1, and

        gradient = mean over trajectories of sum_t discount^t (return_t - baseline_t) d log p(a_t | x_t) / d parameters

    (Williams 1992; Sutton et al. 2000; with ``reward_to_go`` an action is credited only with the costs from its step
    on.) It takes account of jumps and of contact not yet made, and its variance does not grow with the stiffness of the
    step, but with the number of actions along the way. Where the whole chain is differentiable and not chaotic,
    ``Smoothing(order="first")`` over an open loop, or torch's own gradient, has far less.

    The discount weights the later steps as the objective does; dropping discount^t, as is common, is the gradient of
    no objective. ``gae`` bootstraps from a critic: lower variance, biased as far as the critic is wrong, except at 1.

    Diagnostics: ``finite``; ``trace_variance``; ``value_standard_error``; ``explained_variance``, the share of the
    variance of returns over trajectories that the baseline takes away, averaged over steps.
    """

    scale: Scale | None = 0.1
    """Noise scale of the actions, one number or one each, in their units. None where the policy returns its own."""
    trajectories: int = 256
    """Trajectories simulated at once."""
    baseline: Baseline = field(default_factory=LeaveOneOut)
    """``LeaveOneOut()``, ``LinearCritic()``, ``NetworkCritic()``, ``Constant(value)`` or ``NoBaseline()``."""
    reward_to_go: bool = True
    """False: every action is credited with the whole cost, as in :class:`Smoothing`."""
    gae: float | None = None
    """Decay (lambda) of generalized advantage estimation in [0, 1]; needs a critic. None for plain returns."""
    distribution: str | Distribution = "gaussian"
    """Name or instance of a noise distribution."""

    def __post_init__(self) -> None:
        if self.scale is not None:
            object.__setattr__(self, "scale", check_scale(self.scale))
        distribution = resolve_distribution(self.distribution)
        if "zeroth" not in orders_of(distribution):
            raise GradientError(f"{distribution.name} noise has no score to use: take another, e.g. 'gaussian'")
        if isinstance(self.baseline, type) or not isinstance(self.baseline, Baseline):
            raise GradientError(
                f"baseline is {self.baseline!r}: give an instance, e.g. LeaveOneOut() or LinearCritic()"
            )
        check_count("trajectories", self.trajectories, self.baseline.least, " (for the baseline and an error bar)")
        if self.gae is not None:
            if isinstance(self.gae, bool) or not isinstance(self.gae, (int, float)) or not 0.0 <= self.gae <= 1.0:
                raise GradientError(f"gae is {self.gae!r}: give a number from 0 to 1, or None")
            if not self.baseline.values_states or not self.reward_to_go:
                raise GradientError(
                    "gae bootstraps from the value of states: use it with reward_to_go=True and a critic, e.g. "
                    "baseline=LinearCritic()"
                )

    @torch.no_grad()  # what is differentiated is so by torch.func
    def estimate(self, problem: ControlProblem, policy: torch.nn.Module, *, seed: int = 0) -> Estimate:
        """Expected cost and its gradient by the policy's parameters; same seed, same result.

        Args:
            problem: Problem to control.
            policy: A module from states [batch, n] to mean actions [batch, m], or to a pair of those and the logarithm
                of the noise's scale (learned with the rest). One with ``takes_time = True`` gets the step, int
                [batch], as a second argument. Parameters that do not require a gradient are constants.
            seed: Seed of the noise; an open-loop policy gets the noise that ``Smoothing`` has for this seed.

        Returns:
            The gradient flat in the order of ``policy.parameters()``; :meth:`backward` puts it into ``.grad``.

        Raises:
            GradientError: A policy or problem that returns wrong shapes or is not finite, nothing to differentiate.
        """
        start = time.perf_counter()
        parameters = _trainable(policy)
        _check_kind(parameters, problem)
        scale = None if self.scale is None else torch.as_tensor(self.scale, dtype=torch.float64, device="cpu")
        distribution = resolve_distribution(self.distribution)
        rollouts = roll_out(
            problem,
            policy,
            trajectories=self.trajectories,
            distribution=distribution,
            scale=None if scale is None else scale.to(problem.start.device),
            seed=seed,
        )
        weights, explained = self._weights(problem, rollouts, seed)
        score = distribution.score(rollouts.noise)
        pulls = weights[..., None] * score / rollouts.scale
        stretches = weights[..., None] * (rollouts.noise * score - 1.0)
        moments = self._moments(policy, parameters, rollouts, pulls, stretches, scale)
        gradient, variance = moments.estimate(independent=True)
        assert variance is not None
        bar = judged(
            gradient,
            variance,
            moments.degrees(),
            self.trajectories,
            epsilon=torch.finfo(gradient.dtype).eps,
            events=moments.events(),
            what="trajectories",
        )
        assert bar.degrees is not None
        powers = problem.discount ** torch.arange(problem.horizon, dtype=torch.float64, device=weights.device)
        totals = (powers[:, None] * rollouts.costs).sum(0)
        like = next(iter(parameters.values()))
        return Estimate(
            value=totals.mean().to(like),
            gradient=gradient[0].to(like),
            standard_error=variance[0].sqrt().to(like),
            evaluations=self.trajectories,
            seconds=time.perf_counter() - start,
            diagnostics={
                "finite": bool(torch.isfinite(gradient).all()),
                "trace_variance": float(variance.sum()),
                "value_standard_error": float(totals.std()) / self.trajectories**0.5,
                "explained_variance": explained,
            }
            | ({} if bar.reason is None else {"no_error_bar": bar.reason}),
            degrees_of_freedom=bar.degrees[0].to(like),
        )

    def backward(self, problem: ControlProblem, policy: torch.nn.Module, *, seed: int = 0) -> Estimate:
        """The estimate, with its gradient added to ``.grad`` of the parameters, as ``loss.backward()`` does."""
        estimate = self.estimate(problem, policy, seed=seed)
        parameters = list(_trainable(policy).values())
        for parameter, part in zip(parameters, estimate.gradient.split([p.numel() for p in parameters]), strict=True):
            slope = part.view_as(parameter).to(parameter)
            parameter.grad = slope.clone() if parameter.grad is None else parameter.grad + slope
        return estimate

    def _weights(self, problem: ControlProblem, rollouts: Rollouts, seed: int) -> tuple[torch.Tensor, float]:
        """Factor of the score of each action [T, N], and the share of variance that the baseline explains."""
        targets = returns(rollouts.costs, problem.discount, to_go=self.reward_to_go)
        baseline = self.baseline.predict(rollouts, targets, seed=seed)
        if self.gae is None:
            advantages = targets - baseline
        else:
            values = torch.cat([baseline, torch.zeros_like(baseline[:1])])
            advantages = generalized_advantages(rollouts.costs, values, problem.discount, self.gae)
        spread = targets.var(1)
        left = (targets - baseline).var(1)
        explained = torch.where(spread > 0, 1.0 - left / torch.where(spread > 0, spread, 1.0), 0.0).mean()
        powers = problem.discount ** torch.arange(problem.horizon, dtype=torch.float64, device=advantages.device)
        return powers[:, None] * advantages, float(explained)

    def _moments(
        self,
        policy: torch.nn.Module,
        parameters: dict[str, torch.Tensor],
        rollouts: Rollouts,
        pulls: torch.Tensor,
        stretches: torch.Tensor,
        scale: torch.Tensor | None,
    ) -> MeanMoments:
        """Moments of the gradients of single trajectories, by torch.func in blocks."""
        timed = bool(optional(policy, "takes_time", False))
        buffers = dict(policy.named_buffers())
        frozen = {name: p.detach() for name, p in policy.named_parameters() if name not in parameters}
        steps = torch.arange(len(pulls), device=pulls.device)

        def surrogate(
            values: dict[str, torch.Tensor], states: torch.Tensor, pull: torch.Tensor, stretch: torch.Tensor
        ) -> torch.Tensor:
            arguments = (states, steps) if timed else (states,)
            answer = torch.func.functional_call(policy, {**values, **frozen, **buffers}, arguments)
            mean, log_scale = policy_outputs(answer, states, scale)
            return (mean * pull).sum() + (log_scale * stretch).sum()

        like = next(iter(parameters.values()))
        single = torch.func.vmap(torch.func.grad(surrogate), in_dims=(None, 1, 1, 1))
        values = {name: parameter.detach() for name, parameter in parameters.items()}
        size = sum(parameter.numel() for parameter in values.values())
        moments = MeanMoments.zeros(1, 1, size, like.device)
        step = max(1, _BLOCK // size)
        for low in range(0, pulls.shape[1], step):
            some = slice(low, low + step)
            try:
                slopes = single(
                    values, rollouts.states[:-1, some], pulls[:, some].to(like), stretches[:, some].to(like)
                )
            except RuntimeError as error:
                raise GradientError(
                    f"torch cannot differentiate the policy trajectory by trajectory: {error}. Write it in torch "
                    "operations that work on a batch, without in-place changes, batch normalization or dropout"
                ) from error
            rows = torch.cat([slopes[name].flatten(1) for name in values], dim=1)
            moments.add(0, rows[:, None])
        return moments


def _check_kind(parameters: dict[str, torch.Tensor], problem: ControlProblem) -> None:
    start = problem.start
    for name, parameter in parameters.items():
        if (parameter.dtype, parameter.device) != (start.dtype, start.device):
            raise GradientError(
                f"the policy's {name} is {parameter.dtype} on {parameter.device} and the problem starts from "
                f"{start.dtype} on {start.device}: use one type and device, e.g. policy.to(start.device, start.dtype)"
            )


def _trainable(policy: torch.nn.Module) -> dict[str, torch.Tensor]:
    if not isinstance(policy, torch.nn.Module):
        raise GradientError(
            f"the policy is a {type(policy).__name__}: give a torch.nn.Module, e.g. torch.nn.Linear(n, m)"
        )
    parameters: dict[str, torch.Tensor] = {
        name: parameter for name, parameter in policy.named_parameters() if parameter.requires_grad
    }
    if not parameters:
        raise GradientError("the policy has no parameters that require a gradient")
    return parameters
