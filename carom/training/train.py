"""Training: iterations of a method up to a number of steps, with evaluations on unseen goals on the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..envs.control import ControlTask
from ..plain import plain_numbers
from ..runs import Advance, Progress, RunFolder, iterate
from .errors import TrainingError
from .evaluation import Evaluation, evaluate, unseen
from .method import Method
from .policy import Policy

__all__ = ["Training", "check_fit", "iterations_of", "train"]

VALIDATION, TEST = 128, 512
"""Episodes of an evaluation on the way, and of the last one."""


@dataclass(frozen=True)
class Training:
    """A finished training."""

    policy: Policy
    evaluation: Evaluation
    """Evaluation on the test goals."""
    history: dict[str, list[Any]]
    """One list for each figure, of a number for each iteration: "steps", "core_seconds" of the iteration, "cost" (mean
    total of an episode with noise, had it gone on as in the window), "validation_cost" and "validation_success" (None
    where there was no evaluation), and those of the method."""
    seconds: float
    """Wall time of the iterations [s]."""

    @property
    def steps(self) -> int:
        """Control intervals simulated for training, over all worlds."""
        return int(self.history["steps"][-1])

    @property
    def core_seconds(self) -> float:
        """Processor time of the iterations, evaluations on the way not counted [s]."""
        return float(sum(self.history["core_seconds"]))


def iterations_of(task: ControlTask, method: Method, steps: int) -> int:
    """Iterations that simulate at least so many control intervals."""
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise TrainingError(f"steps is {steps!r}: give the number of control intervals to simulate, e.g. 1_000_000")
    return -(-steps // method.steps(task))


def check_fit(task: ControlTask, method: Method, steps: int) -> None:
    """Refuse what cannot be trained, before anything is computed.

    Raises:
        TrainingError: An option that does not fit the task.
    """
    iterations_of(task, method, steps)
    method.check(task)


@plain_numbers
def train(
    task: ControlTask,
    method: Method,
    *,
    steps: int,
    seed: int = 0,
    evaluations: int = 20,
    folder: RunFolder | None = None,
    report: Callable[[Progress, int], None] | None = None,
    how_to_resume: str = "",
) -> Training:
    """Train a policy from scratch, or go on with the run in ``folder``.

    Every random number follows from the seed and the iteration: a run that was killed and resumed ends with the same
    numbers as one that was not, to the bit, with the same number of torch's threads.

    Args:
        task: Task of the training, with the contact function that the method wants (``method.softening``).
        method: Training method.
        steps: Control intervals to simulate, over all worlds.
        seed: Seed of all that is random.
        evaluations: Number of times that the policy is evaluated on 128 validation goals on the way.
        folder: Folder of checkpoints; None for none.
        report: Called after every iteration with the progress and the number of iterations.
        how_to_resume: The command that continues the run, for messages.

    Raises:
        TrainingError: An option that does not fit the task.
        RunError: Something became NaN, or a checkpoint cannot be read or written; the last good one is kept.
    """
    check_fit(task, method, steps)
    count = iterations_of(task, method, steps)
    every = max(1, count // max(1, evaluations))
    starts = unseen(task, VALIDATION, "validation")

    def advance(state: Any, iteration: int) -> Advance:
        clock = time.process_time()
        trained = method.advance(task, state, seed=seed, iteration=iteration, progress=iteration / count)
        core = time.process_time() - clock
        done = iteration + 1
        row: dict[str, Any] = {"steps": done * method.steps(task), "core_seconds": core, **trained.figures}
        row["cost"] = trained.figures["cost"] * task.horizon  # type: ignore[operator]
        row |= {"validation_cost": None, "validation_success": None}
        if done % every == 0 or done == count:
            checked = evaluate(task, method.policy(task, trained.state), starts)
            row |= {"validation_cost": checked.cost, "validation_success": checked.success}
        return Advance(trained.state, row, "all steps are done" if done == count else None)

    def tell(progress: Progress) -> None:
        if report is not None:
            report(progress, count)

    last = iterate(lambda: method.begin(task, seed), advance, folder=folder, report=tell, how_to_resume=how_to_resume)
    policy = method.policy(task, last.state)
    return Training(policy, evaluate(task, policy, unseen(task, TEST)), last.history, last.seconds)
