"""Base of the testbeds: checks of theta and scale, an exact gradient by torch, and the published settings."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from ...first_order import numbers_only, refuse_vmap
from ..errors import TaskError
from ..task import GRADIENT_LIMITS, LIMITS

__all__ = ["Experiment", "Scale", "Testbed", "check_choice", "check_count", "check_positive"]

Scale = float | Sequence[float] | torch.Tensor
"""A standard deviation for all parameters, or one for each."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Settings with which a paper ran a problem; a script can read them and run it again."""

    source: str
    """Paper, and where in it."""
    noise: float
    """Standard deviation of the Gaussian noise on each parameter, in the units of theta."""
    samples: int
    """Samples for one gradient."""
    learning_rate: float | None = None
    """Step size of gradient descent; None where the paper only measures the gradient."""
    iterations: int | None = None
    """Steps of gradient descent."""
    tolerance: float | None = None
    """Tolerance gamma on the bias of the alpha-order gradient, where the authors' code gives one."""
    sample_bound: float | None = None
    """Bound L on one sample that the alpha-order gradient's confidence interval takes."""


class Testbed(ABC):
    """An objective of a few lines: parameters [batch, parameters] in, costs [batch] out, in the type of theta.

    The exact gradient is torch's: that of the program as run, at a kink one of the slopes beside it, across a jump
    nothing. A testbed whose average over Gaussian noise is known has ``smoothed_value(theta, scale)`` and
    ``smoothed_gradient(theta, scale)`` as well.
    """

    name: ClassVar[str]
    description: ClassVar[str]

    @property
    @abstractmethod
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""

    @abstractmethod
    def _start(self) -> Sequence[float]:
        """Initial parameters."""

    @abstractmethod
    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs [batch] of theta [batch, parameters]."""

    @property
    def experiment(self) -> Experiment | None:
        """The published settings; None where no paper ran it."""
        return None

    @property
    def smoothing_scale(self) -> float:
        """Noise that suits the problem: the published one, else 0.02 [units of theta]."""
        return 0.02 if self.experiment is None else self.experiment.noise

    def initial_parameters(
        self, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float64
    ) -> torch.Tensor:
        """A point from which to differentiate or optimize, shape [parameters]; the published one where there is one."""
        return torch.tensor(list(self._start()), dtype=dtype, device=device)

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs [batch] and exact gradients [batch, parameters] of theta [batch, parameters], as numbers."""
        refuse_vmap(LIMITS, theta)
        leaf = theta.detach().clone().requires_grad_()
        with torch.enable_grad():
            value = self(leaf)
            (gradient,) = torch.autograd.grad(value.sum(), leaf)
        value, gradient = numbers_only(GRADIENT_LIMITS, (value.detach(), gradient), (theta,))
        return value, gradient

    def _check(self, theta: torch.Tensor) -> torch.Tensor:
        count = len(self.parameter_names)
        if theta.ndim not in (1, 2) or theta.shape[-1] != count:
            shown = ", ".join(self.parameter_names[:8]) + (", ..." if count > 8 else "")
            raise TaskError(
                f"{self.name}: theta has shape {list(theta.shape)}; it has {count} parameters ({shown}): "
                f"give [{count}] or [batch, {count}]"
            )
        return theta

    def _scales(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        scales = torch.as_tensor(scale, dtype=theta.dtype, device=theta.device)
        if scales.shape not in ((), theta.shape[-1:]) or not bool((scales > 0).all()):
            raise TaskError(f"{self.name}: scale is {scale}: give a positive number, or one per parameter")
        return scales.expand(theta.shape[-1])


def check_positive(name: str, **numbers: float) -> None:
    """Refuse anything but a positive finite number."""
    for key, number in numbers.items():
        if not (math.isfinite(number) and number > 0.0):
            raise TaskError(f"{name}: {key} is {number}: give a positive number")


def check_count(name: str, **counts: int) -> None:
    """Refuse anything but an integer of at least 1."""
    for key, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise TaskError(f"{name}: {key} is {count!r}: give an integer of at least 1")


def check_choice(name: str, key: str, given: str, known: Sequence[str]) -> None:
    """Refuse a word that is not one of the known ones."""
    if given not in known:
        raise TaskError(f"{name}: {key} is {given!r}: use one of {', '.join(known)}")
