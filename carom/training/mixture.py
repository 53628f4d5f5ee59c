"""Mixture of both orders: through the simulator and from costs, weighted by their variances."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch

from ..envs.control import ControlTask
from ..gradients.core.interface import Estimate
from ..gradients.estimators.mixing import InverseVariance, Rule
from ..gradients.noise.counter_random import derive_seed
from ..plain import plain_numbers
from .analytic import expected_cost, refuse_slopes
from .errors import TrainingError
from .policy import Policy
from .score_function import score_function_estimate, split_like
from .window import Played, Setting, Window

__all__ = ["Mixture", "first_order_estimate", "trajectory_gradient"]


def trajectory_gradient(
    policy: Policy, observations: torch.Tensor, pulls: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean over worlds of sum_t pull_t . d raw action_t / d parameters, and its variance; flat, float64, [parameters].

    Args:
        policy: Policy that returns raw actions.
        observations: [T, W, k].
        pulls: Factor of the derivative of each raw action, [T, W, m].
    """
    parameters = {name: parameter.detach() for name, parameter in policy.named_parameters()}
    buffers = dict(policy.named_buffers())

    def pulled(values: dict[str, torch.Tensor], seen: torch.Tensor, pull: torch.Tensor) -> torch.Tensor:
        raw: torch.Tensor = torch.func.functional_call(policy, {**values, **buffers}, (seen,))
        return (raw * pull).sum()

    single = torch.func.vmap(torch.func.grad(pulled), in_dims=(None, 1, 1))
    slopes = single(parameters, observations, pulls)
    rows = torch.cat([slopes[name].flatten(1) for name in parameters], dim=1).double()
    return rows.mean(0), rows.var(0) / len(rows)


def first_order_estimate(setting: Setting, policy: Policy, window: Window) -> tuple[Estimate, Played]:
    """The analytic gradient of a window with its standard error over worlds, and what was played."""
    loss, played, raws = expected_cost(setting, policy, window)
    # Of the mean over worlds: times their number it is each world's own, since worlds never share anything.
    slopes = torch.stack(torch.autograd.grad(loss * window.start.worlds, raws))
    refuse_slopes(window, slopes)
    gradient, variance = trajectory_gradient(policy, played.observations[:-1], slopes)
    return Estimate(loss.detach(), gradient, variance.sqrt(), window.start.worlds, 0.0, {}), played


@plain_numbers
@dataclass(frozen=True)
class Mixture:
    """alpha F1 + (1 - alpha) F0, as in ``carom.gradients.Mixed``, of the window's gradient (Suh et al. 2022).

    The worlds are shared out between the orders, so that a window costs as many steps as of any other method.
    """

    rule: Rule = field(default_factory=lambda: InverseVariance(per="gradient"))
    """Rule for the weight of the first order: see ``carom.gradients``. ``AlphaOrder()`` needs memory for squares of the
    number of parameters."""
    decay: float = 0.95
    """Lambda of generalized advantage estimation in the zeroth order."""
    softening: ClassVar[None] = None

    @property
    def least_worlds(self) -> int:
        """Worlds for two of each order in each part."""
        return 4 * self.rule.parts

    def begin(self, task: ControlTask, seed: int) -> dict:
        """Empty state: nothing is carried from window to window."""
        return {}

    def estimate(
        self, setting: Setting, policy: Policy, window: Window, carried: dict
    ) -> tuple[list[torch.Tensor], Played, dict]:
        """The mixture, from equal parts of the worlds."""
        parts, worlds = self.rule.parts, window.start.worlds
        if worlds < self.least_worlds:
            raise TrainingError(f"a mixture in {parts} parts needs at least {self.least_worlds} worlds, got {worlds}")
        estimates: list[list[Estimate]] = [[], []]
        played: list[Played] = []
        cuts = [worlds * i // (2 * parts) for i in range(2 * parts + 1)]
        for i, (low, high) in enumerate(itertools.pairwise(cuts)):
            index = torch.arange(low, high, device=window.start.time.device)
            seed = derive_seed(window.seed, "part", i)
            some = replace(window, start=window.start.select(index), seed=seed, first=window.first + low)
            order = i % 2
            if order == 0:
                estimate, one = first_order_estimate(setting, policy, some)
            else:
                estimate, one = score_function_estimate(setting, policy, some, self.decay)
            estimates[order].append(_row(estimate))
            played.append(one)
        gradient = self.rule.mix(*estimates).gradient[0]
        return split_like(gradient, policy), _joined(played), carried


def _row(estimate: Estimate) -> Estimate:
    assert estimate.standard_error is not None
    return replace(estimate, gradient=estimate.gradient[None], standard_error=estimate.standard_error[None])


def _joined(parts: list[Played]) -> Played:
    """The worlds of all parts, in order."""
    tensors = [iter(column) for column in zip(*(part.end.tensors() for part in parts), strict=True)]
    order = iter(tensors)
    end = parts[0].end.map(lambda _: torch.cat(list(next(order))))
    return Played(
        end,
        torch.cat([part.observations for part in parts], dim=1),
        torch.cat([part.costs for part in parts], dim=1),
        torch.cat([part.charges for part in parts], dim=1),
    )
