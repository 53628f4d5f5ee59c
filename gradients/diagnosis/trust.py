"""Step lengths for which a gradient predicts the decrease of the cost: how far a linear model can be trusted.

Along steepest descent in units of the noise, a step of L noise scales should lower the cost by L |g|. It is *right*
where the actual decrease is within 25 % of that, in the median over the backend's estimates. The cost as it is needs
one rollout a step; the averaged cost is averaged over antithetic draws, the same for all lengths, and "right" and
"wrong" then have to hold with two standard errors to spare. Where rounding of the cost is larger than the decrease, a
length is neither.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..core.interface import Objective
from ..core.objective import evaluate_in_calls
from ..noise.counter_random import draw_uniforms
from ..noise.distributions import Gaussian

__all__ = ["TRUST_LENGTHS", "TrustBand", "trust_band"]

TRUST_LENGTHS = tuple(2.0 ** (k / 2.0) for k in range(-14, 11))
"""Lengths that are tried, in noise scales: 1/128 to 32."""

TOLERANCE = 0.25
"""Relative error of the predicted decrease that counts as right."""

_ERRORS = 2.0
_LEAST_RUN = 3
_ROUNDING = 16.0  # units of rounding of the cost by which a decrease may be off


@dataclass(frozen=True)
class TrustBand:
    """Step lengths, in noise scales, between which the predicted decrease is right."""

    label: str
    """trusted, nowhere, cannot tell, no direction, or not finite."""
    low: float | None = None
    """Least length; 0 where all shorter ones that were tried are right or not told wrong."""
    high: float | None = None
    """Greatest length; None where the greatest that was tried, 32, is right."""

    @property
    def text(self) -> str:
        """The band in words, without a full stop."""
        if self.label == "no direction":
            return "no direction: the gradient is exactly zero"
        if self.label == "not finite":
            return "no direction: the gradient is not finite"
        if self.label == "nowhere":
            return "right at no length"
        if self.label == "cannot tell":
            return "cannot tell"
        assert self.low is not None
        top = "32 and more" if self.high is None else f"{self.high:.2g}"
        return f"{self.low:.2g} to {top} noise scales"

    def as_dict(self) -> dict[str, Any]:
        """Entry of ``results.json``."""
        return {"label": self.label, "low": self.low, "high": self.high, "text": self.text}


def trust_band(
    objective: Objective,
    theta: torch.Tensor,
    scale: torch.Tensor,
    gradients: torch.Tensor,
    *,
    draws: int = 0,
    seed: int = 0,
) -> TrustBand:
    """The band of step lengths in which ``gradients`` can be trusted.

    Args:
        objective: The cost.
        theta: [parameters].
        scale: Standard deviation of the noise [parameters].
        gradients: Estimates over seeds [n, parameters].
        draws: Antithetic pairs of noise over which the cost is averaged; 0 for the cost as it is.
        seed: Seed of these.
    """
    scale = scale.double().cpu().expand(len(theta))
    slopes = gradients.double().cpu() * scale
    if not bool(torch.isfinite(slopes).all()):
        return TrustBand("not finite")
    slopes = slopes[slopes.norm(dim=1) > 0.0]
    if len(slopes) == 0:
        return TrustBand("no direction")
    lengths = torch.tensor(TRUST_LENGTHS, dtype=torch.float64, device="cpu")
    norms = slopes.norm(dim=1)
    moves = -lengths[None, :, None] * (slopes / norms[:, None])[:, None]  # [estimates, lengths, parameters]
    points = torch.cat([torch.zeros(1, len(theta), dtype=torch.float64, device="cpu"), moves.flatten(0, 1)])
    offsets = torch.zeros(1, 1, len(theta), dtype=torch.float64, device="cpu")
    if draws:
        uniforms = draw_uniforms(seed, "trust", first=0, rows=draws, columns=len(theta))
        noise = Gaussian().sample(uniforms).cpu()
        offsets = torch.stack([noise, -noise], dim=1)  # [draws, pair, parameters]
    rows = theta.double().cpu() + scale * (points[:, None, None] + offsets)
    costs = evaluate_in_calls(objective, rows.reshape(-1, len(theta)).to(theta), finite=False).double().cpu()
    costs = costs.view(len(points), *offsets.shape[:2]).mean(2)  # [points, draws]
    gains = (costs[0] - costs[1:]).view(len(slopes), len(lengths), -1) / (lengths * norms[:, None])[..., None]
    off = (gains.mean(2) - 1.0).abs()
    error = gains.std(2) / math.sqrt(draws) if draws > 1 else torch.zeros_like(off)
    error = error + _ROUNDING * torch.finfo(theta.dtype).eps * float(costs[0].abs().mean()) / (lengths * norms[:, None])
    off, error = (torch.nan_to_num(each, nan=math.inf).median(0).values for each in (off, error))
    right, wrong = off + _ERRORS * error <= TOLERANCE, ~(off - _ERRORS * error <= TOLERANCE)
    return _longest((right.int() - wrong.int()).tolist())


def _longest(states: list[int]) -> TrustBand:
    """The longest run without a wrong length, by its right ones: at least three, or one from the shortest on."""
    runs: list[list[int]] = [[]]
    for index, state in enumerate(states):
        if state >= 0:
            runs[-1].append(index)
        elif runs[-1]:
            runs.append([])
    best: tuple[int, TrustBand] | None = None
    for run in runs:
        right = [index for index in run if states[index] == 1]
        if len(right) >= _LEAST_RUN or (right and run[0] == 0):
            low = 0.0 if run[0] == 0 else TRUST_LENGTHS[right[0]]
            high = None if right[-1] == len(states) - 1 else TRUST_LENGTHS[right[-1]]
            if best is None or len(right) >= best[0]:
                best = (len(right), TrustBand("trusted", low, high))
    if best is not None:
        return best[1]
    return TrustBand("cannot tell" if 0 in states else "nowhere")
