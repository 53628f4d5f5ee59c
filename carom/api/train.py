"""Training of a policy by names: of the task, and of the gradient."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ..envs.control import ControlTask, make_control
from ..envs.control.registry import CONTROL_TASKS
from ..gradients.core.optional import optional
from ..gradients.estimators.network import one_thread
from ..plain import plain_numbers
from ..runs import Progress
from ..training import Method, Training, TrainingError
from ..training import train as train_method
from ..training.registry import make_method
from ..training.train import check_fit

__all__ = ["GRADIENT", "default_steps", "make_training", "train"]

GRADIENT = "autodiff"


@plain_numbers
def train(
    task: str,
    gradient: str = GRADIENT,
    *,
    steps: int | None = None,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    report: Callable[[Progress, int], None] | None = None,
    **options: Any,
) -> Training:
    """Train a policy for a closed-loop task from scratch, as ``carom train``.

        training = carom.train("push", "autodiff", steps=100_000)
        print(training.evaluation.success)

    Torch computes on one thread meanwhile, as in the command: the networks are small, and more threads wait for each
    other and for those of the simulator. ``carom.training.train`` leaves the threads as they are; it is the same for a
    task and a method of your own, and with checkpoints in a folder.

    Args:
        task: Name of a closed-loop task: ``"push"``, ``"push_t"``, ...
        gradient: ``"autodiff"``, ``"softened"``, ``"smoothing"``, ``"mixed"``, ``"lax"`` or ``"ppo"``, or a registered
            backend.
        steps: Control intervals to simulate, over all worlds; by default those of the command (2,000,000 for a push).
        seed: Seed of all randomness.
        settings: Fields of the training, such as ``{"worlds": 64, "learning_rate": 1e-3}``.
        report: Called after every iteration with the progress and the number of iterations.
        **options: Options of the task, such as ``start="apart"``, ``device="cuda"``.

    Raises:
        TaskError: An unknown task, or an option that it does not take.
        TrainingError: An unknown gradient, a setting that it does not take or that does not fit the task.
        RunError: Something became NaN.
    """
    count = default_steps(task) if steps is None else steps
    made, method = make_training(task, options, gradient, {} if settings is None else settings, count)
    with one_thread():
        return train_method(made, method, steps=count, seed=seed, report=report)


def default_steps(task: str) -> int:
    """Control intervals of a training on the task of this name; an unknown name is refused by what makes the task."""
    return CONTROL_TASKS.get(task, ControlTask).training_steps


def make_training(
    name: str, options: Mapping[str, Any], gradient: str, settings: Mapping[str, Any], steps: int
) -> tuple[ControlTask, Method]:
    """The task, with the contact function that the gradient wants, and the method of training.

    Raises:
        TaskError, TrainingError: What cannot be trained, before anything is computed.
    """
    method = make_method(gradient, **settings)
    if "softening" in options:
        raise TrainingError(
            "contacts are softened by the gradient softened (--gradient softened): leave softening out of the options"
        )
    task = make_control(name, **options)
    if method.softening is not None:
        if optional(task.objective, "simulator") is None:
            raise TrainingError(
                f"{gradient} softens contacts, and {task.objective.name!r} has no simulator with any: use another "
                "gradient (--gradient)"
            )
        own = {key: value for key, value in task.training_softening.items() if key not in settings}
        softening = dataclasses.replace(method.softening, **own)  # type: ignore[type-var]
        task = make_control(name, **options, softening=softening)
    check_fit(task, method, steps)
    return task, method
