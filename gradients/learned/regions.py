"""Regions of parameters that a surrogate is fitted over: the points of its data, and a test of what lies inside."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import torch
from scipy.special import gammaincinv

from ...plain import plain_numbers
from ..core.checks import Scale, as_batch, check_scale, expand_scale
from ..core.errors import GradientError
from ..noise.counter_random import draw_uniforms
from ..noise.distributions import Gaussian

__all__ = ["Box", "Cloud", "Region", "region_from_dict"]

_SHARE = 0.9
"""Share of a cloud's points in the ball that counts as inside."""


class Region(Protocol):
    """Region of parameters. ``centre`` and ``spread`` (standard deviation) whiten the drawn ones for a network."""

    @property
    def centre(self) -> torch.Tensor:
        """[parameters], float64."""
        ...

    @property
    def spread(self) -> torch.Tensor:
        """Standard deviation of the points along each coordinate [parameters], float64."""
        ...

    @property
    def smoothing(self) -> tuple[float, ...] | None:
        """Scale of the noise over which a fit in this region is averaged unless the user says otherwise."""
        ...

    def draw(self, seed: int, stream: str, rows: int) -> torch.Tensor:
        """Points [rows, parameters], float64; depends on (seed, stream) and nothing else."""
        ...

    def contains(self, theta: torch.Tensor) -> torch.Tensor:
        """Whether each row of [batch, parameters] lies where the points do, bool [batch]."""
        ...

    def moved(self, centre: torch.Tensor) -> Region:
        """The same region about another centre [parameters]."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """Plain lists and a ``kind``, for files."""
        ...


def _vector(name: str, numbers: object) -> tuple[float, ...]:
    try:
        tensor = torch.as_tensor(numbers, dtype=torch.float64, device="cpu").detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        raise GradientError(f"{name} is {numbers!r}: give one number per parameter") from None
    if tensor.ndim != 1 or tensor.numel() == 0:
        raise GradientError(f"{name} has shape {list(tensor.shape)}: give one number per parameter, [parameters]")
    if not bool(torch.isfinite(tensor).all()):
        raise GradientError(f"{name} is not finite: {tensor.tolist()}")
    return tuple(tensor.tolist())


@plain_numbers
@dataclass(frozen=True)
class Cloud:
    """Gaussian points about theta: for a surrogate that follows an optimizer.

    Inside is the ball (in standard deviations) that holds 90 % of the points.

    Args:
        theta: Centre [parameters].
        scale: Standard deviation, one number or one per coordinate, in the units of theta.
    """

    theta: torch.Tensor | tuple[float, ...]
    scale: Scale = 0.05

    def __post_init__(self) -> None:
        object.__setattr__(self, "theta", _vector("theta of a Cloud", self.theta))
        scale = check_scale(self.scale)
        batch, _ = as_batch(torch.tensor(self.theta, dtype=torch.float64, device="cpu"))
        object.__setattr__(self, "scale", tuple(expand_scale(scale, batch).tolist()))

    @cached_property
    def centre(self) -> torch.Tensor:
        """[parameters], float64."""
        return torch.tensor(self.theta, dtype=torch.float64, device="cpu")

    @cached_property
    def spread(self) -> torch.Tensor:
        """[parameters], float64."""
        return torch.tensor(self.scale, dtype=torch.float64, device="cpu")

    @cached_property
    def _limit(self) -> float:
        """Quantile of the squared distance, in standard deviations: chi-square with a degree for each parameter."""
        return 2.0 * float(gammaincinv(0.5 * len(self.centre), _SHARE))

    @property
    def smoothing(self) -> tuple[float, ...]:
        """Scale of the cloud: the fit is then that of the smoothed cost, as ``Surrogate(at="cloud")``."""
        return tuple(self.spread.tolist())

    def draw(self, seed: int, stream: str, rows: int) -> torch.Tensor:
        """Points [rows, parameters], float64."""
        uniforms = draw_uniforms(seed, stream, first=0, rows=rows, columns=len(self.centre))
        return self.centre + self.spread * Gaussian().sample(uniforms)

    def contains(self, theta: torch.Tensor) -> torch.Tensor:
        """Whether each row of [batch, parameters] lies in the ball that holds 90 % of the points, bool [batch]."""
        squares = ((theta.double().cpu() - self.centre) / self.spread).square().sum(1)
        return squares <= self._limit

    def moved(self, centre: torch.Tensor) -> Cloud:
        """The same cloud about another centre [parameters]."""
        return Cloud(centre, self.scale)

    def as_dict(self) -> dict[str, Any]:
        """Plain lists, for files."""
        return {"kind": "cloud", "theta": list(self.centre.tolist()), "scale": list(self.spread.tolist())}


@plain_numbers
@dataclass(frozen=True)
class Box:
    """Points drawn evenly between ``low`` and ``high`` [parameters]: for a surrogate of a whole range, made once."""

    low: torch.Tensor | tuple[float, ...]
    high: torch.Tensor | tuple[float, ...]

    def __post_init__(self) -> None:
        low, high = _vector("low of a Box", self.low), _vector("high of a Box", self.high)
        if len(low) != len(high):
            raise GradientError(f"a Box has {len(low)} entries in low and {len(high)} in high: give as many of each")
        for i, (a, b) in enumerate(zip(low, high, strict=True)):
            if not a < b:
                raise GradientError(f"low[{i}] = {a:.6g} of a Box is not below high[{i}] = {b:.6g}: give low < high")
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    @cached_property
    def _ends(self) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tensor(self.low, dtype=torch.float64, device="cpu"), torch.tensor(
            self.high, dtype=torch.float64, device="cpu"
        )

    @cached_property
    def centre(self) -> torch.Tensor:
        """[parameters], float64."""
        low, high = self._ends
        return 0.5 * (low + high)

    @cached_property
    def spread(self) -> torch.Tensor:
        """Standard deviation of an even distribution, width / sqrt(12), [parameters], float64."""
        low, high = self._ends
        return (high - low) / math.sqrt(12.0)

    @property
    def smoothing(self) -> None:
        """None: a fit in a box is not averaged, which gives the slope at theta itself."""
        return None

    def draw(self, seed: int, stream: str, rows: int) -> torch.Tensor:
        """Points [rows, parameters], float64."""
        low, high = self._ends
        return low + (high - low) * draw_uniforms(seed, stream, first=0, rows=rows, columns=len(low))

    def contains(self, theta: torch.Tensor) -> torch.Tensor:
        """Whether each row of [batch, parameters] lies in the box, bool [batch]."""
        low, high = self._ends
        theta = theta.double().cpu()
        return ((theta >= low) & (theta <= high)).all(1)

    def moved(self, centre: torch.Tensor) -> Box:
        """A box as wide about another centre [parameters]."""
        low, high = self._ends
        half = 0.5 * (high - low)
        middle = centre.double().cpu()
        return Box(middle - half, middle + half)

    def as_dict(self) -> dict[str, Any]:
        """Plain lists, for files."""
        low, high = self._ends
        return {"kind": "box", "low": low.tolist(), "high": high.tolist()}


def region_from_dict(stored: dict[str, Any]) -> Cloud | Box:
    """The region of ``as_dict``.

    Raises:
        GradientError: The dict describes no region.
    """
    kind = stored.get("kind") if isinstance(stored, dict) else None
    if kind == "cloud" and {"theta", "scale"} <= stored.keys():
        return Cloud(tuple(stored["theta"]), tuple(stored["scale"]))
    if kind == "box" and {"low", "high"} <= stored.keys():
        return Box(tuple(stored["low"]), tuple(stored["high"]))
    raise GradientError(f"not a region: {str(stored)[:200]}")
