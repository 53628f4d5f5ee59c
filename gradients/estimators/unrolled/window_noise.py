"""Gaussian noise on theta that is fresh in every window of steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...noise.distributions import Gaussian
from ...noise.perturbation import Perturbation
from ...noise.sampling import MonteCarlo
from ...noise.scale import PlainScale, scale_map

__all__ = ["WindowNoise"]


@dataclass(frozen=True)
class WindowNoise:
    """Draws of noise, one for each window; that of the first window is ``Smoothing``'s for the same seed."""

    draws: list[Perturbation]
    rows: int

    @classmethod
    def of(cls, scale: PlainScale, batch: torch.Tensor, *, windows: int, rows: int, seed: int) -> WindowNoise:
        """Noise of ``rows`` samples for thetas [batch, parameters], which share it."""
        draws = [
            Perturbation(
                Gaussian(),
                scale_map(scale, batch),
                MonteCarlo(),
                seed=seed,
                points=rows,
                columns=batch.shape[1],
                stream="smoothing" if window == 0 else f"window {window}",
                device=batch.device,
            )
            for window in range(windows)
        ]
        return cls(draws, rows)

    def window(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Moves of theta and their scores in a window, both [rows, parameters], float64."""
        draw = self.draws[number].draw(0, self.rows)
        return draw.moves, draw.scores()
