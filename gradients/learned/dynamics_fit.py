"""Fit of one-step models to transitions of the simulator, and their errors against baselines without a model."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..core.errors import GradientError
from ..estimators.adam import Adam
from ..estimators.network import one_thread
from ..noise.counter_random import derive_seed, draw_uniforms
from .progress import Progress, ProgressCallback
from .step_model import DynamicsTask, StepModel

__all__ = ["DynamicsErrors", "Transitions", "check_transitions", "measure", "train"]

_LOOK = 20  # training steps between evaluations on the validation data


@dataclass(frozen=True)
class Transitions:
    """Episodes of the simulator."""

    states: torch.Tensor
    """[T + 1, episodes, ...state]"""
    actions: torch.Tensor
    """[T, episodes, actions]"""

    def rows(self, episodes: torch.Tensor) -> Transitions:
        """A part of the episodes."""
        return Transitions(self.states[:, episodes], self.actions[:, episodes])


@dataclass(frozen=True)
class DynamicsErrors:
    """Errors on episodes that no model was trained on, in the task's distance [m], root mean square."""

    one_step: float
    """Error after one step from a true state."""
    one_step_nothing_moves: float
    """One-step error of the baseline whose state never changes."""
    one_step_mean_change: float
    """One-step error of the baseline that makes the mean change of the training data, in the model's frame."""
    multi_step: float
    """Error at the end of an episode, from its start."""
    multi_step_nothing_moves: float
    multi_step_mean_change: float

    @property
    def relative(self) -> tuple[float, float]:
        """One-step and multi-step error over the better baseline's: 0 is perfect, 1 useless."""
        return (
            self.one_step / min(self.one_step_nothing_moves, self.one_step_mean_change),
            self.multi_step / min(self.multi_step_nothing_moves, self.multi_step_mean_change),
        )


def train(
    model: StepModel,
    data: Transitions,
    validation: Transitions,
    *,
    steps: int,
    batch: int,
    unroll: int,
    learning_rate: float,
    patience: int,
    seed: int,
    on_progress: ProgressCallback,
) -> int:
    """Fit a model by Adam on windows of ``unroll`` steps; its best weights on ``validation`` are kept.

    Windows begin at true states; errors are those of each step's standardized change, from where the model then is.
    Returns the step of the best weights.
    """
    horizon, episodes = data.actions.shape[:2]
    starts = horizon - unroll + 1
    optimizer = Adam(model.parameters(), lr=learning_rate)
    best, best_step, kept = math.inf, 0, {name: tensor.clone() for name, tensor in model.state_dict().items()}
    running = math.nan
    with one_thread():
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * 0.5 * (1.0 + math.cos(math.pi * step / steps))
            drawn = draw_uniforms(derive_seed(seed, "batch", step), "windows", first=0, rows=batch, columns=2)
            loss = _window_loss(model, data, (drawn[:, 0] * starts).long(), (drawn[:, 1] * episodes).long(), unroll)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            running = float(loss.detach()) if math.isnan(running) else 0.9 * running + 0.1 * float(loss.detach())
            if step % _LOOK < _LOOK - 1:
                continue
            error = _validation_loss(model, validation, unroll)
            on_progress(Progress("fit", step + 1, steps, math.sqrt(running), math.sqrt(error)))
            if error < best:
                best, best_step = error, step
                kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            elif step - best_step >= patience:
                break
    model.load_state_dict(kept)
    return best_step


def _window_loss(
    model: StepModel, data: Transitions, first: torch.Tensor, episode: torch.Tensor, unroll: int
) -> torch.Tensor:
    state = data.states[first, episode]
    losses = []
    for k in range(unroll):
        action, after = data.actions[first + k, episode], data.states[first + k + 1, episode]
        predicted = model.predict(state, action)
        wanted = (model.change(state, action, after) - model.mean) / model.deviation
        losses.append((predicted - wanted).square().mean())
        state = model.apply_change(state, action, model.mean + model.deviation * predicted)
    return torch.stack(losses).mean()


@torch.no_grad()
def _validation_loss(model: StepModel, data: Transitions, unroll: int) -> float:
    horizon, episodes = data.actions.shape[:2]
    first = torch.arange(0, horizon - unroll + 1, unroll, device="cpu")
    grid = torch.cartesian_prod(first, torch.arange(episodes, device="cpu"))
    return float(_window_loss(model, data, grid[:, 0], grid[:, 1], unroll))


@torch.no_grad()
def measure(task: DynamicsTask, models: list[StepModel], data: Transitions) -> DynamicsErrors:
    """Errors of the models' rollouts, averaged (root mean square) over the models, and of the baselines."""

    def still(state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        return state

    def one(step: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> torch.Tensor:
        after = step(data.states[:-1].flatten(0, 1), data.actions.flatten(0, 1))
        return task.distance(after, data.states[1:].flatten(0, 1)).square().mean()

    def many(step: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> torch.Tensor:
        state = data.states[0]
        for action in data.actions:
            state = step(state, action)
        return task.distance(state, data.states[-1]).square().mean()

    def root(values: list[torch.Tensor]) -> float:
        return float(torch.stack(values).mean().sqrt())

    return DynamicsErrors(
        root([one(model) for model in models]),
        root([one(still)]),
        root([one(models[0].mean_step)]),
        root([many(model) for model in models]),
        root([many(still)]),
        root([many(models[0].mean_step)]),
    )


def check_transitions(task: DynamicsTask, data: Transitions) -> None:
    """Refuse data in which nothing ever happens."""
    moved = task.distance(data.states[:-1].flatten(0, 1), data.states[1:].flatten(0, 1))
    if not bool((moved > 0).any()):
        raise GradientError(
            f"in all {data.actions.shape[1]} episodes of {task.name!r} the state never changes: there is nothing to "
            "learn. Give a region of parameters in which the robot reaches the objects"
        )
