"""Optimization of a task by names: of the gradient, and of the optimizer that follows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..capabilities import smoothing_scale
from ..gradients import Backend, GradientError, Objective, make_backend
from ..optimization import Optimizer, Result, make_optimizer, minimize
from ..optimization.registry import taken
from ..plain import plain_numbers
from ..runs import Progress
from .named import named_objective, start_at

__all__ = ["GRADIENT", "ITERATIONS", "OPTIMIZER", "ROLLOUTS", "chosen_gradient", "make_strategies", "optimize"]

ROLLOUTS, ITERATIONS, SAMPLES, SCALE = 10_000, 300, 64, 0.02
GRADIENT, OPTIMIZER = "smoothing", "adam"


@plain_numbers
def optimize(
    objective: Objective | str,
    theta: Any = None,
    *,
    gradient: str | Backend | None = None,
    optimizer: str | Optimizer = OPTIMIZER,
    rollouts: int = ROLLOUTS,
    iterations: int | None = ITERATIONS,
    learning_rate: float | None = None,
    samples: int | None = None,
    scale: float | None = None,
    seed: int = 0,
    report: Callable[[Progress], None] | None = None,
) -> Result:
    """Lower the cost of a task along the gradient of a backend, or without one, as ``carom optimize``.

        result = carom.optimize("push", gradient="autodiff", rollouts=2000)

    ``carom.optimization.minimize`` is the same with strategies instead of names, and with checkpoints in a folder.

    Args:
        objective: Name of a task, a task of ``carom.envs``, or any function of theta [batch, parameters] -> [batch].
        theta: Initial parameters [parameters]; by default ``objective.initial_parameters()``.
        gradient: Name of a backend (``carom.gradients.backend_names``), or a backend; by default smoothing. None of
            it for an optimizer that follows no gradient.
        optimizer: ``"adam"``, ``"lbfgs"``, ``"cmaes"``, ``"mppi"``, or an optimizer of ``carom.optimization``.
        rollouts: Budget; a backward pass counts as 2.
        iterations: Most iterations; None for as many as the budget allows.
        learning_rate: First step of a parameter, in its units; by default half the scale for adam, all of it for lbfgs.
        samples: Rollouts for each gradient that samples, or each generation; by default 64, and few dozens for cmaes.
        scale: Standard deviation of the noise, in the units of the parameters; by default the objective's own, else
            0.02.
        seed: Seed of all randomness.
        report: Called with the progress after every iteration.

    Raises:
        TaskError: There is no task of this name.
        GradientError: An unknown name, an option that the optimizer or the backend has no use for, a bad number.
        RunError: A cost, gradient or parameter that is not finite.
    """
    objective = named_objective(objective)
    theta = start_at(objective, theta)
    options = {"learning_rate": learning_rate, "samples": samples, "scale": scale}
    gradient = chosen_gradient(gradient, optimizer, options)
    backend, strategy = make_strategies(objective, gradient, optimizer, options)
    return minimize(
        objective, theta, strategy, backend=backend, rollouts=rollouts, iterations=iterations, seed=seed, report=report
    )


def chosen_gradient(
    gradient: str | Backend | None, optimizer: str | Optimizer, options: dict[str, Any]
) -> str | Backend | None:
    """Gradient for an optimizer: the one given, the default, or None where none is followed.

    Raises:
        GradientError: A gradient that nothing follows, or an option (not None) that nothing uses.
    """
    for what, given, method in (("gradient", gradient, "estimate"), ("optimizer", optimizer, "step")):
        if not (given is None or isinstance(given, str) or callable(getattr(given, method, None))):
            raise GradientError(f"{what} is {given!r}: give a name, or an object with {method}(...)")
    needs = (make_optimizer(optimizer) if isinstance(optimizer, str) else optimizer).needs_gradient
    if not needs and gradient is not None:
        raise GradientError(f"{_name(optimizer)} follows no gradient: leave out the gradient, or use adam")
    gradient = (GRADIENT if gradient is None else gradient) if needs else None
    used = set(taken(optimizer)) if isinstance(optimizer, str) else set()
    if isinstance(gradient, str):
        used |= _used_by_backend(gradient)
    for name, value in options.items():
        if value is not None and name not in used:
            who = _name(optimizer) if gradient is None else f"{_name(optimizer)} with {_name(gradient)}"
            raise GradientError(f"{who} has no use for {name} (--{name.replace('_', '-')}): leave it out")
    return gradient


def make_strategies(
    objective: Objective,
    gradient: str | Backend | None,
    optimizer: str | Optimizer,
    options: dict[str, Any],
) -> tuple[Backend | None, Optimizer]:
    """Backend and optimizer of these names, with the options that are not None."""
    scale = options["scale"]
    if isinstance(gradient, str):
        gradient = make_backend(
            gradient,
            scale=smoothing_scale(objective, SCALE) if scale is None else scale,
            samples=SAMPLES if options["samples"] is None else options["samples"],
        )
    return gradient, make_optimizer(optimizer, **options) if isinstance(optimizer, str) else optimizer


def _used_by_backend(name: str) -> set[str]:
    """Names among scale and samples that make a difference to a backend."""
    plain = make_backend(name, scale=0.02, samples=256)
    changed = {"scale": make_backend(name, scale=0.03), "samples": make_backend(name, scale=0.02, samples=512)}
    return {option for option, backend in changed.items() if backend != plain}


def _name(strategy: object) -> str:
    return strategy if isinstance(strategy, str) else type(strategy).__name__
