"""Options of a fitted surrogate besides its networks."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.checks import check_count, check_scale, suggest
from ..core.errors import GradientError
from ..noise.counter_random import derive_seed

__all__ = ["SurrogateOptions"]

OUTSIDE = ("refit", "extend", "refuse", "report")


@dataclass(frozen=True)
class SurrogateOptions:
    """Options of :func:`fit_surrogate` besides the networks; explained there."""

    smoothing: float | tuple[float, ...] = 0.0
    outside: str = "refit"
    regions_kept: int = 4
    chunk: int = 1024
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "smoothing", check_scale(self.smoothing, allow_zero=True))
        check_count("regions_kept", self.regions_kept, 1)
        check_count("chunk", self.chunk, 1)
        derive_seed(self.seed)  # refuses what is not an integer
        if self.outside not in OUTSIDE:
            raise GradientError(suggest("outside", self.outside, OUTSIDE))
