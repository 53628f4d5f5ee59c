"""Baselines that estimate the value of a state, each trajectory's from a fit to other trajectories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from ...plain import plain_numbers
from ..core.checks import check_count
from ..core.errors import GradientError
from ..estimators.network import Ensemble
from ..noise.counter_random import derive_seed, draw_uniforms
from .rollouts import Rollouts

__all__ = ["LinearCritic", "NetworkCritic"]


@plain_numbers
@dataclass(frozen=True)
class LinearCritic:
    """Least squares of the return to go on features of the state, at each step on its own.

    Trajectories are split into ``folds``; each fold's values come from a fit to the others, so that the gradient stays
    unbiased, which a critic fitted to the very returns that it is subtracted from is not. Exact for linear-quadratic
    problems with ``degree=2``. (Duan et al. 2016 use squares and a polynomial in time.)
    """

    degree: int = 2
    """1: the state. 2: and all products of two of its coordinates."""
    ridge: float = 1e-6
    """Added to the normal equations' diagonal of standardized features, relative to the number of trajectories."""
    folds: int = 2
    """Parts of the trajectories, at least 2."""
    least: ClassVar[int] = 4
    values_states: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.degree not in (1, 2):
            raise GradientError(f"degree is {self.degree!r}: give 1 or 2")
        if not (isinstance(self.ridge, (int, float)) and self.ridge > 0.0):
            raise GradientError(f"ridge is {self.ridge!r}: give a small positive number, e.g. 1e-6")
        check_count("folds", self.folds, 2)

    def predict(self, rollouts: Rollouts, targets: torch.Tensor, *, seed: int) -> torch.Tensor:
        """Values [T, N] of the states in which the actions were taken."""
        states = rollouts.states[:-1].double()
        out = torch.empty_like(targets)
        for own, others in _folds(targets.shape[1], self.folds, targets.device):
            features = self._features(_standardized(states, states[:, others]))
            x, y = features[:, others], targets[:, others, None]
            mean_x, mean_y = x.mean(1, keepdim=True), y.mean(1, keepdim=True)
            centred = x - mean_x
            normal = centred.mT @ centred
            normal.diagonal(dim1=-2, dim2=-1).add_(self.ridge * len(others))
            weights = torch.linalg.solve(normal, centred.mT @ (y - mean_y))
            out[:, own] = (mean_y + (features[:, own] - mean_x) @ weights)[..., 0]
        return out

    def _features(self, x: torch.Tensor) -> torch.Tensor:
        if self.degree == 1:
            return x
        row, column = torch.triu_indices(x.shape[-1], x.shape[-1], device=x.device)
        return torch.cat([x, x[..., row] * x[..., column]], dim=-1)


@plain_numbers
@dataclass(frozen=True)
class NetworkCritic:
    """A small network of state and time, fitted to the returns to go; by folds as :class:`LinearCritic`.

    Prefer it where the value is far from quadratic in the state and there are hundreds of trajectories. A fit takes
    seconds for tens of thousands of states.
    """

    hidden: Sequence[int] = (32, 32)
    """Widths of its layers."""
    steps: int = 300
    """Full-batch Adam steps at most; a tenth of the points stops it early."""
    learning_rate: float = 1e-2
    folds: int = 2
    """Parts of the trajectories, at least 2."""
    least: ClassVar[int] = 4
    values_states: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        for width in self.hidden:
            check_count("a hidden width", width, 1)
        check_count("steps", self.steps, 1)
        check_count("folds", self.folds, 2)
        if not (isinstance(self.learning_rate, (int, float)) and self.learning_rate > 0.0):
            raise GradientError(f"learning_rate is {self.learning_rate!r}: give a positive number")

    def predict(self, rollouts: Rollouts, targets: torch.Tensor, *, seed: int) -> torch.Tensor:
        """Values [T, N] of the states in which the actions were taken."""
        steps, count = targets.shape
        time = torch.linspace(-1.0, 1.0, steps, dtype=torch.float64, device=targets.device)
        states = rollouts.states[:-1].double()
        out = torch.empty_like(targets)
        for fold, (own, others) in enumerate(_folds(count, self.folds, targets.device)):
            seen = _standardized(states.flatten(0, 1), states[:, others].flatten(0, 1)).view(steps, count, -1)
            inputs = torch.cat([seen, time[:, None, None].expand(steps, count, 1)], dim=2)
            x, y = inputs[:, others].flatten(0, 1), targets[:, others].flatten()
            centre, spread = y.mean(), y.std().clamp_min(1e-300)
            fold_seed = derive_seed(seed, "critic", fold)
            # Whole trajectories are held out: states of one trajectory are correlated.
            draws = draw_uniforms(fold_seed, "held out", first=0, rows=len(others), columns=1)[:, 0]
            train = torch.ones(len(others), dtype=torch.bool, device="cpu")
            train[draws.argsort()[: max(1, len(others) // 10)]] = False
            network = Ensemble(
                inputs=x.shape[1],
                hidden=self.hidden,
                members=1,
                copies=1,
                seed=fold_seed,
                dtype=torch.float64,
                device=x.device,
            )
            network.fit(
                x,
                ((y - centre) / spread)[None],
                train.to(x.device).repeat(steps)[None],
                steps=self.steps,
                learning_rate=self.learning_rate,
                patience=self.steps,
            )
            with torch.no_grad():
                out[:, own] = centre + spread * network(inputs[:, own].flatten(0, 1))[0].view(steps, -1)
        return out


def _folds(count: int, folds: int, device: torch.device) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Indices of each fold and of the rest. Blocks, so that starts that are cycled through fall on all of them."""
    if count < 2 * folds:
        raise GradientError(f"{count} trajectories are too few for {folds} folds of a critic: give {2 * folds} or more")
    index = torch.arange(count, device=device)
    fold = index * folds // count
    return [(index[fold == k], index[fold != k]) for k in range(folds)]


def _standardized(x: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """``x`` moved and scaled as ``others`` must be to have mean zero and unit spread over the second last dimension.

    By the others alone: their own future depends on the noise that a baseline must be independent of. Coordinates that
    do not vary become zero.
    """
    spread = others.std(-2, keepdim=True)
    still = spread <= 1e-12 * (1.0 + others.abs().amax(-2, keepdim=True))
    return (x - others.mean(-2, keepdim=True)) / torch.where(still, torch.inf, spread)
