"""Chaos in one line: the tent map, whose exact gradient doubles with every step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from ...gradients.core.unrolled import UnrolledObjective
from ...gradients.diagnosis import TorchSteps
from ...plain import plain_numbers
from ..errors import TaskError
from .normal import cdf, ramp
from .testbed import Experiment, Scale, Testbed, check_count

__all__ = ["TentMap"]

_SERIES_FROM = 0.2  # periods of the wave in a standard deviation above which its Fourier series is the shorter sum


@plain_numbers
@dataclass(frozen=True, kw_only=True)
class TentMap(Testbed):
    """x+ = 1 - |1 - 2 x|, T times from x_0 in [0, 1]; cost x_T (Metz et al. 2021).

    The slope is +-2^T: one sample of the first order has a variance of 4^T, as soon as the noise spans a few of the
    2^T pieces; one of the zeroth 1/(12 scale^2), whatever T. The Lyapunov exponent is log 2. An x_0 outside [0, 1] is
    taken modulo 1, which keeps the cost continuous. The exact gradient at a kink is one of the slopes beside it.

    Doubling shifts bits out of x_0 and new ones never come in, so that T is limited by the type of theta: 40 in
    float64, 16 in float32.
    """

    name: ClassVar[str] = "tent_map"
    description: ClassVar[str] = "the tent map, T times: the exact gradient is +-2^T, the smoothed one nearly nothing"

    steps: int = 10
    """Applications of the map T."""

    def __post_init__(self) -> None:
        check_count(self.name, steps=self.steps)

    @property
    def experiment(self) -> Experiment:
        """Noise and samples of our own: the paper shows the map, not an experiment on it."""
        return Experiment(source="Metz, Freeman, Schoenholz, Kachman 2021, section 3", noise=0.1, samples=1000)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return ("x0",)

    def _start(self) -> Sequence[float]:
        return [math.sqrt(0.1)]

    @property
    def lyapunov_exponent(self) -> float:
        """Mean logarithm of the growth of a small difference, per step."""
        return math.log(2.0)

    def at_horizon(self, steps: int) -> TentMap:
        """The map with another T."""
        return replace(self, steps=steps)

    def unroll(self, theta: torch.Tensor) -> TorchSteps:
        """The map step by step, from one theta [1, 1]."""
        return TorchSteps(lambda x, _: 1.0 - (1.0 - 2.0 * x).abs(), theta[0] - theta[0].floor(), self.steps, _last)

    def stepwise(self) -> UnrolledObjective:
        """The map as an unrolled objective: state x, a cost at the last step alone."""

        def start(theta: torch.Tensor) -> torch.Tensor:
            return self._start_of(theta)[:, None]

        def step(x: torch.Tensor, theta: torch.Tensor, t: int) -> torch.Tensor:
            return 1.0 - (1.0 - 2.0 * x).abs()

        def cost(x: torch.Tensor, after: torch.Tensor, theta: torch.Tensor, t: int) -> torch.Tensor:
            return after[:, 0] if t == self.steps - 1 else torch.zeros_like(after[:, 0])

        return UnrolledObjective(start, step, cost, self.steps, self.name)

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs of theta [batch, parameters], shape [batch]."""
        x = self._start_of(theta)
        for _ in range(self.steps):
            x = 1.0 - (1.0 - 2.0 * x).abs()
        return x

    def _start_of(self, theta: torch.Tensor) -> torch.Tensor:
        """x_0 in [0, 1)."""
        x = self._check(theta)[..., 0]
        limit = 40 if theta.dtype == torch.float64 else 16
        if self.steps > limit:
            raise TaskError(
                f"{self.name}: {self.steps} doublings leave no bit of a {theta.dtype} theta: use at most {limit} steps"
                + ("" if theta.dtype == torch.float64 else ", or a float64 theta (40)")
            )
        return x - x.detach().floor()

    def smoothed_value(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """E f(theta + scale * w) to 1e-14, shape [batch]."""
        return self._smoothed(theta, scale)[0].to(theta.dtype)

    def smoothed_gradient(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """Gradient of ``smoothed_value`` to 1e-13 of 2^T, shape [batch, parameters]."""
        return self._smoothed(theta, scale)[1].unsqueeze(-1).to(theta.dtype)

    def _smoothed(self, theta: torch.Tensor, scale: Scale) -> tuple[torch.Tensor, torch.Tensor]:
        """Value and derivative of the triangle wave in y = 2^(T-1) x, of period 1, averaged over noise on y."""
        stretch = 2.0 ** (self.steps - 1)
        sigma = stretch * float(self._scales(self._check(theta), scale)[0])
        y = torch.remainder(stretch * theta[..., :1].double(), 1.0)
        if sigma > _SERIES_FROM:
            odd = torch.arange(1, 2 * math.ceil(1.5 / sigma) + 2, 2, dtype=torch.float64, device=theta.device)
            decay = torch.exp(-2.0 * (math.pi * odd * sigma).square())
            angle = 2.0 * math.pi * odd * y
            value = 0.5 - 4.0 / math.pi**2 * (decay * torch.cos(angle) / odd.square()).sum(-1)
            slope = 8.0 / math.pi * (decay * torch.sin(angle) / odd).sum(-1)
            return value, stretch * slope
        # few kinks within reach: a line from the left, bent by -+4 at every half period
        first = torch.floor(2.0 * (y - 9.0 * sigma))
        number = first + torch.arange(1, math.ceil(36.0 * sigma) + 3, device=theta.device)
        up = 1.0 - 2.0 * torch.remainder(first, 2.0)  # +1 on a rising piece
        bend = 4.0 - 8.0 * torch.remainder(number, 2.0)  # upwards at the bottom, downwards at the top
        distance = y - 0.5 * number
        start = torch.remainder(first, 2.0)  # height of the wave at the left end of its piece: 0 rising, 1 falling
        line = start + 2.0 * up * (y - 0.5 * first)
        value = line[..., 0] + (bend * ramp(distance, sigma)).sum(-1)
        slope = 2.0 * up[..., 0] + (bend * cdf(distance / sigma)).sum(-1)
        return value, stretch * slope


def _last(states: torch.Tensor) -> torch.Tensor:
    return states[-1]
