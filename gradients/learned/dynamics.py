"""A surrogate of the dynamics: one-step models, rolled out and differentiated through time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch

from ...first_order import numbers_only
from ...plain import plain_numbers
from ..core.checks import as_batch, check_count
from ..core.error_bars import SHARED_BY_FITS, ErrorBar
from ..core.errors import GradientError
from ..core.estimated import NUMBERS
from ..core.interface import Estimate, Objective
from ..core.objective import assemble
from ..noise.counter_random import derive_seed, draw_uniforms
from .data import Identity
from .dynamics_fit import DynamicsErrors, Transitions, check_transitions, measure, train
from .files import read_model, require, write_model
from .progress import Progress, ProgressCallback, reporter
from .regions import Region, region_from_dict
from .step_model import DynamicsTask, StepModel

__all__ = ["DynamicsSurrogate", "fit_dynamics", "load_dynamics"]

_KIND = "dynamics surrogate"
_LEAST_EPISODES = 20


@plain_numbers
def fit_dynamics(
    task: DynamicsTask,
    region: Region,
    *,
    episodes: int = 512,
    ensemble: int = 2,
    steps: int = 3000,
    batch: int = 256,
    unroll: int = 1,
    learning_rate: float = 3e-3,
    patience: int = 600,
    validation: float = 0.15,
    held_out: float = 0.15,
    chunk: int = 512,
    seed: int = 0,
    progress: bool | ProgressCallback | None = None,
) -> DynamicsSurrogate:
    """Fit one-step models to the transitions of random episodes.

    Args:
        task: A task as states and actions, e.g. ``carom.envs.learned.PushDynamics(push)``.
        region: ``Cloud(theta, scale)`` or ``Box(low, high)`` of the episodes' parameters.
        episodes: Rollouts of the simulator, at least 20.
        ensemble: Models, at least 2, which differ in their start and their validation data.
        steps: Most training steps of each.
        batch: Windows in a training step.
        unroll: Steps of a window: 1 fits single steps, more fit rollouts of that length.
        learning_rate: First learning rate of Adam; it falls to 0 along a cosine.
        patience: Training steps without a better validation error after which a model is done.
        validation: Share of the episodes that stops the training.
        held_out: Share of the episodes that no model is fitted to, on which the errors are measured.
        chunk: Most rollouts in one call of the simulator.
        seed: Seed of episodes, starts and splits.
        progress: True for a bar on the terminal, or a function that takes each ``Progress``.

    Raises:
        GradientError: A bad option, too few episodes, episodes in which nothing moves or that are not finite.
    """
    check_count("ensemble", ensemble, 2, " (one model has no spread)")
    for name, number in (("steps", steps), ("batch", batch), ("unroll", unroll), ("patience", patience)):
        check_count(name, number, 1)
    check_count("episodes", episodes, _LEAST_EPISODES, " (models cannot be fitted and checked on fewer)")
    for name, share in (("validation", validation), ("held_out", held_out)):
        if not 0.05 <= share <= 0.4:
            raise GradientError(f"{name} is {share!r}: give a share of the episodes from 0.05 to 0.4")
    points = region.draw(seed, "dynamics region", episodes)
    identity = Identity.of(task, points.shape[1])
    if len(task.parameter_names) != points.shape[1]:
        raise GradientError(
            f"the region has {points.shape[1]} parameters, the task {task.name!r} {len(task.parameter_names)}: give as "
            "many"
        )
    with reporter(progress) as report:
        data = _collect(task, points, chunk, report)
        if unroll > len(data.actions):
            raise GradientError(f"unroll is {unroll}, an episode of {task.name!r} has {len(data.actions)} steps")
        order = draw_uniforms(seed, "dynamics split", first=0, rows=1, columns=episodes)[0].argsort()
        tested, checked = max(2, round(held_out * episodes)), max(2, round(validation * episodes))
        held, seen = data.rows(order[:tested]), order[tested:]
        models = []
        for member in range(ensemble):
            model_seed = derive_seed(seed, "dynamics model", member)
            split = draw_uniforms(model_seed, "validation", first=0, rows=1, columns=len(seen))[0].argsort()
            training = data.rows(seen[split[checked:]])
            model = task.model(model_seed)
            model.standardize(
                training.states[:-1].flatten(0, 1), training.actions.flatten(0, 1), training.states[1:].flatten(0, 1)
            )
            train(
                model,
                training,
                data.rows(seen[split[:checked]]),
                steps=steps,
                batch=batch,
                unroll=unroll,
                learning_rate=learning_rate,
                patience=patience,
                seed=model_seed,
                on_progress=report,
            )
            models.append(model.requires_grad_(False))
    return DynamicsSurrogate(task, identity, region, models, measure(task, models, held), episodes)


def _collect(task: DynamicsTask, points: torch.Tensor, chunk: int, report: ProgressCallback) -> Transitions:
    states, actions = [], []
    report(Progress("rollouts", 0, len(points)))
    done = 0
    for part in points.split(chunk):
        with torch.no_grad():
            states.append(task.simulate(part).float().cpu())
            actions.append(task.actions(part).float().cpu())
        done += len(part)
        report(Progress("rollouts", done, len(points)))
    data = Transitions(torch.cat(states, 1), torch.cat(actions, 1))
    if not bool(torch.isfinite(data.states).all()):
        raise GradientError(f"episodes of {task.name!r} are not finite: give a region that the simulator can follow")
    check_transitions(task, data)
    return data


@dataclass(frozen=True)
class DynamicsSurrogate:
    """A gradient through learned dynamics: the task's cost at the end of a rollout of the models.

    Made by :func:`fit_dynamics` or :func:`load_dynamics`. A backend, ``estimate(objective, theta)``: value and
    gradient of the ensemble's mean cost at theta, by torch through all steps; and an objective
    (``value_and_gradient``). It does not call the simulator.

    Prefer it over a surrogate of the objective where the parameters are many: one-step models do not depend on how many
    parameters an episode has, and every episode gives a transition for each step. Its limit is the
    accuracy of the steps: errors grow along the rollout, and the gradient is a product of the models' Jacobians,
    which were not fitted. Read ``errors``. There is no error bar; ``gradient_spread``, the spread of the gradient
    over the ensemble, is none. For a gradient without bias use it in a :class:`ControlVariate`.

    Diagnostics: ``one_step_error`` and ``multi_step_error``, relative to the better baseline; ``gradient_spread``;
    ``inside_data``; ``finite``.
    """

    task: DynamicsTask
    identity: Identity
    region: Region
    models: list[StepModel]
    errors: DynamicsErrors
    episodes: int
    """Rollouts that it was fitted to."""

    @property
    def name(self) -> str:
        """Name in messages."""
        return f"learned dynamics of {self.identity.name}"

    def inside(self, theta: torch.Tensor) -> torch.Tensor:
        """Whether each row of theta [batch, parameters] lies in the region of the episodes, bool [batch]."""
        return self.region.contains(theta)

    def rollout(self, theta: torch.Tensor, member: int = 0) -> torch.Tensor:
        """States [T + 1, batch, ...state] of one model's rollout; differentiable in theta [batch, parameters]."""
        actions = self.task.actions(theta).float()
        states = [self.task.start(len(theta)).float()]
        for action in actions:
            states.append(self.models[member](states[-1], action))
        return torch.stack(states)

    def estimate(self, objective: Objective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Value and gradient of the rolled-out models at ``theta`` ([parameters] or [batch, parameters])."""
        start = time.perf_counter()
        batch, single = as_batch(theta)
        self.identity.check(objective, batch.shape[1], where=f"the {self.name}")
        values, gradients = self._by_member(batch)
        spread, gradient = gradients.std(0), gradients.mean(0)
        one_step, multi_step = self.errors.relative
        return assemble(
            batch,
            single,
            value=values.mean(0),
            gradient=gradient,
            standard_error=None,
            evaluations=0,
            seconds=time.perf_counter() - start,
            diagnostics={
                "one_step_error": one_step,
                "multi_step_error": multi_step,
                "gradient_spread": spread,
                "inside_data": self.inside(batch),
                "finite": torch.isfinite(gradient).all(1),
            },
            bar=ErrorBar(None, SHARED_BY_FITS),
        )

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The ensemble's mean costs [batch] and gradients [batch, parameters] at theta [batch, parameters]."""
        batch, single = as_batch(theta)
        if single or batch.shape[1] != self.identity.parameters:
            raise GradientError(
                f"theta has shape {list(theta.shape)}: the {self.name} takes [batch, {self.identity.parameters}]"
            )
        values, gradients = self._by_member(batch)
        value, gradient = numbers_only(NUMBERS, (values.mean(0), gradients.mean(0)), (theta,))
        return value, gradient

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """The ensemble's mean costs [batch]; differentiable by torch."""
        costs = [self.task.cost(self.rollout(theta, member)[-1], theta) for member in range(len(self.models))]
        return torch.stack(costs).mean(0).to(theta.dtype)

    def _by_member(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        values, gradients = [], []
        for member in range(len(self.models)):
            leaf = batch.detach().clone().requires_grad_()
            with torch.enable_grad():
                costs = self.task.cost(self.rollout(leaf, member)[-1], leaf)
                gradients.append(torch.autograd.grad(costs.sum(), leaf)[0])
            values.append(costs.detach().to(batch))
        return torch.stack(values), torch.stack(gradients)

    def save(self, path: str | Path) -> None:
        """Write the weights to ``path`` (.npz), whole or not at all; :func:`load_dynamics` reads it."""
        arrays = {
            f"{member}.{name}": tensor.cpu().numpy()
            for member, model in enumerate(self.models)
            for name, tensor in model.state_dict().items()
        }
        names = self.identity.parameter_names
        header = {
            "objective": self.identity.name,
            "parameters": self.identity.parameters,
            "parameter_names": names,
            "region": self.region.as_dict(),
            "members": len(self.models),
            "errors": vars(self.errors),
            "episodes": self.episodes,
        }
        write_model(path, _KIND, header, arrays)


def load_dynamics(path: str | Path, task: DynamicsTask) -> DynamicsSurrogate:
    """Read a learned dynamics of ``task``, checked: format, architecture, region, name and parameters of the task.

    Raises:
        FileNotFoundError: There is no such file.
        GradientError: A damaged file, another version or kind, another architecture, another task.
    """
    header, arrays = read_model(path, _KIND)
    try:
        names = header["parameter_names"]
        identity = Identity(
            str(header["objective"]), int(header["parameters"]), None if names is None else tuple(map(str, names))
        )
        region, members = region_from_dict(header["region"]), int(header["members"])
        errors, episodes = DynamicsErrors(**header["errors"]), int(header["episodes"])
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, GradientError):
            raise
        raise GradientError(f"{path} cannot be used: its header is incomplete ({error}); fit it again") from None
    identity.check(task, len(task.parameter_names), where=f"the learned dynamics in {path}")
    require(len(region.centre) == identity.parameters, path, "its region has another number of parameters")
    require(2 <= members <= 1000, path, f"it has {members} models")
    models = []
    for member in range(members):
        model = task.model(0)
        state = model.state_dict()
        for name, tensor in state.items():
            array = arrays.get(f"{member}.{name}")
            shape = None if array is None else list(array.shape)
            require(
                array is not None and shape == list(tensor.shape),
                path,
                f"its array {member}.{name!r} has shape {shape}, the task's model asks for {list(tensor.shape)}",
            )
            state[name] = torch.from_numpy(array.copy()).to(tensor)  # type: ignore[union-attr]
        model.load_state_dict(state)
        models.append(model.requires_grad_(False))
    return DynamicsSurrogate(task, identity, region, models, errors, episodes)
