"""Random pushes of a pile to learn from, and greedy planning: the candidate push of the least predicted cost.

Greedy planning over random candidates is the use, and its cost the measure of a model, of Suh and Tedrake (WAFR 2020).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ...gradients.noise.counter_random import derive_seed
from ...sim import State
from ..carrots import Carrots
from ..carrots.lyapunov import image_lyapunov
from .pile import PileDynamics
from .switched_linear import LatticePushes, SwitchedLinear

__all__ = ["PushData", "Scorer", "collect_pushes", "greedy", "score_by_images", "score_by_model", "score_by_nothing"]

Scorer = Callable[[State, torch.Tensor, torch.Tensor], torch.Tensor]
"""Predicted costs [worlds, candidates] of pushes from a state; start [worlds, candidates, 2], direction as costs."""


@dataclass(frozen=True)
class PushData:
    """Pushes on a lattice: with the pile before and after."""

    centres: torch.Tensor
    """Centres of the pieces before and after [2, n, pieces, 2] [m]."""
    images: torch.Tensor
    """Occupancy before and after [2, n, p, p]."""
    start: torch.Tensor
    """[n, 2]"""
    direction: torch.Tensor
    """[n]"""


def collect_pushes(
    pushes: LatticePushes,
    count: int,
    *,
    episode: int = 4,
    seed: int = 0,
    on_done: Callable[[int, int], None] | None = None,
) -> PushData:
    """Random pushes toward pieces, in episodes that begin with the pile at rest.

    Args:
        pushes: The lattice.
        count: Pushes in all, a multiple of ``episode``.
        episode: Pushes of an episode.
        seed: Seed of the pushes.
        on_done: Called with the pushes done and ``count`` after each round.
    """
    task, worlds = pushes.task, count // episode
    generator = torch.Generator().manual_seed(derive_seed(seed, "collect pushes"))
    state = task.pile_state(worlds)
    centres, images, starts, directions = [], [], [], []
    for i in range(episode):
        before = state.body_q[:, : task.piece_count]
        start, direction = pushes.toward(before[..., :2].cpu(), generator)
        with torch.no_grad():
            state = task.push(state, pushes.actions(start, direction).to(task.dtype))
        after = state.body_q[:, : task.piece_count]
        centres.append(torch.stack([before[..., :2], after[..., :2]]).cpu())
        images.append(torch.stack([task.occupancy.image(before), task.occupancy.image(after)]).cpu())
        starts.append(start)
        directions.append(direction)
        if on_done is not None:
            on_done((i + 1) * worlds, worlds * episode)
    # by episode: held-out pushes share no episode with the others
    order = torch.arange(worlds * episode, device="cpu").view(episode, worlds).T.flatten()
    return PushData(
        torch.cat(centres, 1)[:, order],
        torch.cat(images, 1)[:, order],
        torch.cat(starts)[order],
        torch.cat(directions)[order],
    )


def greedy(
    pushes: LatticePushes, score: Scorer, *, steps: int, candidates: int = 256, worlds: int = 1, seed: int = 0
) -> torch.Tensor:
    """Costs [steps + 1, worlds] [m] of the pile when each push is the best of random candidates by ``score``.

    All scorers with one seed get the same random numbers. The pushes themselves are simulated.
    """
    task = pushes.task
    generator = torch.Generator().manual_seed(derive_seed(seed, "greedy"))
    state = task.pile_state(worlds)
    costs = [task.cost(state)]
    for _ in range(steps):
        centres = state.body_q[:, : task.piece_count, :2].cpu()
        start, direction = pushes.toward(centres.repeat_interleave(candidates, 0), generator)
        start, direction = start.view(worlds, candidates, 2), direction.view(worlds, candidates)
        with torch.no_grad():
            best = score(state, start, direction).argmin(1)
            each = torch.arange(worlds, device="cpu")
            action = pushes.actions(start[each, best], direction[each, best])
            state = task.push(state, action.to(task.dtype))
        costs.append(task.cost(state))
    return torch.stack(costs).cpu()


def score_by_nothing(state: State, start: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """Equal costs for all: greedy planning then takes the first candidate, a random push toward a random piece."""
    return torch.zeros(direction.shape, dtype=torch.float32, device="cpu")


def score_by_images(model: SwitchedLinear) -> Scorer:
    """Scorer by the predicted image's mean distance to the target; negative occupancy counts as none."""
    task = model.pushes.task

    def score(state: State, start: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        image = task.observe(state, "image").cpu().repeat_interleave(start.shape[1], 0)
        predicted = model.predict(image, start.flatten(0, 1), direction.flatten()).clamp(min=0.0)
        return image_lyapunov(predicted, task.view, task.target_square).view(direction.shape)

    return score


def score_by_model(pushes: LatticePushes, dynamics: PileDynamics, step: Callable[..., torch.Tensor]) -> Scorer:
    """Scorer by the mean distance of the predicted centres, ``step(centres, action)`` a model of one push."""
    task: Carrots = pushes.task

    def score(state: State, start: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        centres = dynamics.centres(state.body_q).float().cpu().repeat_interleave(start.shape[1], 0)
        action = pushes.actions(start.flatten(0, 1), direction.flatten()).float()
        after = step(centres, action)
        return task.loss(after.flatten(1)).view(direction.shape)

    return score
