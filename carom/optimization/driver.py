"""Minimize an objective within a budget of rollouts, in this process or as a run that can be resumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ..gradients import Backend, GradientError, Objective
from ..gradients.core.arrays import as_theta
from ..gradients.core.checks import as_batch, check_count
from ..plain import plain_numbers
from ..runs import Advance, Progress, RunFolder, iterate, refuse_not_finite
from ..short_text import counted, first_numbers
from .interface import Optimizer
from .problem import BACKWARD_ROLLOUTS, Problem

__all__ = ["PATIENCE", "Result", "minimize"]

PATIENCE = 5
"""Iterations in a row with a gradient of exactly zero, none of which moves theta, after which the optimization
stops."""


@dataclass(frozen=True)
class Result:
    """Result of an optimization."""

    theta: torch.Tensor
    """The best theta found, [parameters]."""
    cost: float
    """Cost of ``theta``: of one rollout, without noise."""
    start_cost: float
    """Cost of the first theta."""
    rollouts: int
    """Rollouts used; a backward pass counts as ``BACKWARD_ROLLOUTS``."""
    forward: int
    """Rollouts alone."""
    backward: int
    """Backward passes."""
    history: dict[str, list[float | int | None]]
    """Figures of every iteration: rollouts (used after it), cost, best_cost, gradient_norm, error_norm, held."""
    stop: str
    """Reason of the end."""
    seconds: float
    """Time of the iterations [s]."""

    def __repr__(self) -> str:
        return (
            f"Result: cost {self.start_cost:.4g} -> {self.cost:.4g} at theta {first_numbers(self.theta.tolist())}; "
            f"{counted(self.rollouts, 'rollout')}, {counted(self.iterations, 'iteration')}, {self.seconds:.2g} s; "
            f"{self.stop}"
        )

    @property
    def iterations(self) -> int:
        """Done."""
        return len(self.history["cost"])

    @property
    def curve(self) -> list[tuple[int, float]]:
        """Rollouts used and the best cost so far, after each iteration."""
        return list(zip(self.history["rollouts"], self.history["best_cost"], strict=True))  # type: ignore[arg-type]


@plain_numbers
def minimize(
    objective: Objective,
    theta: torch.Tensor,
    optimizer: Optimizer,
    *,
    backend: Backend | None = None,
    rollouts: int = 10_000,
    iterations: int | None = None,
    seed: int = 0,
    bounds: Any = None,
    folder: RunFolder | None = None,
    report: Callable[[Progress], None] | None = None,
    how_to_resume: str = "",
    every: float = 5.0,
) -> Result:
    """Lower the cost from ``theta`` on; same arguments, same result.

        result = minimize(task, theta, Adam(0.01), backend=Smoothing(scale=0.02, samples=64), rollouts=5000)

    Args:
        objective: Costs [batch] of parameters [batch, parameters].
        theta: Initial parameters, [parameters].
        optimizer: ``Adam``, ``LBFGS``, ``CMAES``, ``MPPI`` or one of your own.
        backend: Backend of the gradients, for optimizers that follow one.
        rollouts: Budget: it ends before the iteration that would go beyond it (the first is always made).
        iterations: Most iterations; None for as many as the budget allows.
        seed: Seed of all randomness.
        bounds: Lowest and highest value of each parameter; by default the objective's ``parameter_bounds``.
        folder: Folder of checkpoints; None for none. See ``carom.runs.iterate``.
        report: Called with the progress after every iteration.
        how_to_resume: The command that continues the run, for messages.
        every: Seconds between checkpoints.

    Raises:
        GradientError: Bad options, an objective that the backend does not support. As RunError where it happens in an
            iteration, which is then named.
        RunError: A cost, gradient or parameter that is not finite; a checkpoint that cannot be read or written.
    """
    check_count("rollouts", rollouts, 1)
    if iterations is not None:
        check_count("iterations", iterations, 1)
    theta = as_theta(theta)
    rows, single = as_batch(theta)
    if not single:
        raise GradientError(f"theta has shape {list(theta.shape)}: an optimization begins at one theta [parameters]")
    if optimizer.needs_gradient and backend is None:
        raise GradientError(
            f"{type(optimizer).__name__} follows a gradient: give a backend, e.g. Smoothing(scale=0.02)"
        )
    problem = Problem(objective, backend if optimizer.needs_gradient else None, seed=seed, bounds=bounds)
    problem.check_bounds(rows[0])
    first = problem.project(rows[0])

    def begin() -> dict[str, Any]:
        return {
            "theta": first,
            "memory": optimizer.begin(problem, first),
            "best": first,
            "best_cost": float("inf"),
            "start_cost": problem.cost(first),
            "forward": 1,
            "backward": 0,
            "still": 0,
        }

    def advance(state: dict[str, Any], iteration: int) -> Advance:
        problem.tally.reset()
        before = state["forward"] + BACKWARD_ROLLOUTS * state["backward"]
        used = max(before / rollouts, 0.0 if iterations is None else iteration / iterations)
        old = state["theta"].to(first)
        step = optimizer.step(problem, old, state["memory"], iteration=iteration, used=used)
        refuse_not_finite("theta", step.theta, advice="Use a smaller step")
        refuse_not_finite("the cost", torch.tensor(step.cost, dtype=torch.float64, device="cpu"))
        theta, cost = step.best
        best, best_cost = (theta, cost) if cost < state["best_cost"] else (state["best"], state["best_cost"])
        still = state["still"] + 1 if step.gradient_norm == 0.0 and bool((step.theta == old).all()) else 0
        after = before + problem.rollouts
        stop = step.stop
        if still >= PATIENCE:
            stop = "the gradient is exactly zero, and theta stays where it is"
        elif stop is None and after + problem.rollouts > rollouts:
            stop = "the budget of rollouts is used"
        elif stop is None and iterations is not None and iteration + 1 >= iterations:
            stop = "all iterations are done"
        new = {
            "theta": step.theta,
            "memory": step.memory,
            "best": best,
            "best_cost": best_cost,
            "start_cost": state["start_cost"],
            "forward": state["forward"] + problem.tally.forward,
            "backward": state["backward"] + problem.tally.backward,
            "still": still,
        }
        row = {
            "rollouts": after,
            "cost": step.cost,
            "best_cost": best_cost,
            "gradient_norm": step.gradient_norm,
            "error_norm": step.error_norm,
            "held": step.held,
        }
        return Advance(new, row, stop)

    end = iterate(begin, advance, folder=folder, every=every, report=report, how_to_resume=how_to_resume)
    state = end.state
    return Result(
        theta=state["best"].to(first),
        cost=state["best_cost"],
        start_cost=state["start_cost"],
        rollouts=state["forward"] + BACKWARD_ROLLOUTS * state["backward"],
        forward=state["forward"],
        backward=state["backward"],
        history=end.history,
        stop=end.stop or "",
        seconds=end.seconds,
    )
