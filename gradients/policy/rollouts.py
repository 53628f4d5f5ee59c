"""Trajectories of a stochastic policy: states, actions, costs, and the noise on the actions."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..core.errors import GradientError
from ..core.optional import optional
from ..noise.counter_random import draw_uniforms
from ..noise.distributions import Distribution
from .problem import ControlProblem

__all__ = ["Rollouts", "policy_outputs", "roll_out"]

STREAM = "smoothing"  # the stream of Smoothing: an open-loop problem gets the same noise


@dataclass(frozen=True)
class Rollouts:
    """N trajectories of T steps."""

    states: torch.Tensor
    """[T + 1, N, n]."""
    noise: torch.Tensor
    """Noise at unit scale, float64, [T, N, m]: action = mean + scale * noise."""
    scale: torch.Tensor
    """[T, N, m], float64."""
    actions: torch.Tensor
    """[T, N, m]."""
    costs: torch.Tensor
    """Float64, [T, N]; the last includes the final cost."""


def policy_outputs(
    answer: object, states: torch.Tensor, scale: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and logarithm of the scale of actions, both [batch, m], from what a policy returned."""
    log_scale: object = None
    mean = answer
    if isinstance(answer, tuple) and len(answer) == 2:
        mean, log_scale = answer
    if not isinstance(mean, torch.Tensor) or mean.ndim != 2 or len(mean) != len(states):
        shape = list(mean.shape) if isinstance(mean, torch.Tensor) else type(mean).__name__
        raise GradientError(
            f"the policy returned {shape} for {len(states)} states: return mean actions [batch, m], or a pair of them "
            "and the logarithm of the noise's scale"
        )
    if log_scale is None:
        if scale is None:
            raise GradientError("scale=None, and the policy returns no log-scale of its own: give one of them")
        if scale.numel() not in (1, mean.shape[1]):
            raise GradientError(f"scale has {scale.numel()} entries for {mean.shape[1]} actions: give one, or one each")
        log_scale = scale.to(mean).log()
    if not isinstance(log_scale, torch.Tensor):
        raise GradientError(f"the policy's log-scale is a {type(log_scale).__name__}: return a tensor")
    return mean, log_scale.expand_as(mean)


def roll_out(
    problem: ControlProblem,
    policy: torch.nn.Module,
    *,
    trajectories: int,
    distribution: Distribution,
    scale: torch.Tensor | None,
    seed: int,
) -> Rollouts:
    """Simulate. The noise of trajectory i depends on the seed and i only."""
    states = [problem.starts(trajectories)]
    timed = bool(optional(policy, "takes_time", False))
    kept: tuple[list[torch.Tensor], ...] = ([], [], [], [])  # noise, scale, actions, costs
    table: torch.Tensor | None = None
    for time in range(problem.horizon):
        now = states[-1]
        with torch.no_grad():
            when = (torch.full((trajectories,), time, dtype=torch.int64, device=now.device),) if timed else ()
            mean, log_scale = policy_outputs(policy(now, *when), now, scale)
        if not bool(torch.isfinite(mean).all() & torch.isfinite(log_scale).all()):
            raise GradientError(f"the policy's actions are not finite at step {time}: its parameters may have diverged")
        if table is None:
            columns = problem.horizon * mean.shape[1]
            uniforms = draw_uniforms(seed, STREAM, first=0, rows=trajectories, columns=columns)
            table = distribution.sample(uniforms).to(now.device).view(trajectories, problem.horizon, -1)
        spread = log_scale.double().exp()
        action = (mean.double() + spread * table[:, time]).to(now)
        after, cost = problem.advance(now, action, time)
        states.append(after)
        for rows, new in zip(kept, (table[:, time], spread, action, cost), strict=True):
            rows.append(new)
    return Rollouts(torch.stack(states), *(torch.stack(rows) for rows in kept))
