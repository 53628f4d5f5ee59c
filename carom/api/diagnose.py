"""Why the gradient of a task is good or bad."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..capabilities import smoothing_scale
from ..gradients import Backend, Objective
from ..gradients.diagnosis import Diagnosis
from ..gradients.diagnosis import diagnose as diagnose_slope
from ..gradients.registry import added_names, make_backends
from ..plain import plain_numbers
from .named import named_objective, start_at

__all__ = ["SCALE", "diagnose"]

SCALE = 0.02
"""Standard deviation of the noise where neither the call nor the objective names one."""


@plain_numbers
def diagnose(
    objective: Objective | str,
    theta: Any = None,
    *,
    backends: Sequence[str] | Mapping[str, Backend] | None = None,
    scale: float | Sequence[float] | None = None,
    samples: int = 256,
    seed: int = 0,
) -> Diagnosis:
    """Growth of disturbances, contacts met, kinks nearby, and a verdict on each gradient, as ``carom diagnose``.

    ``carom.gradients.diagnosis.diagnose`` says what is measured, and takes more options.

    Args:
        objective: Name of a task, a task of ``carom.envs``, or any function of theta [batch, parameters] -> [batch].
        theta: Point at which to differentiate [parameters]; by default ``objective.initial_parameters()``.
        backends: Further backends to judge beside the exact gradient and both orders of smoothing: names, or a mapping
            from names of your own. By default those that were registered.
        scale: Standard deviation of the noise, one number or one per parameter; by default the objective's own, else
            0.02.
        samples: Samples of either order of smoothing; a quarter of them for the contacts.
        seed: Seed of all randomness.

    Raises:
        TaskError: There is no task of this name.
        GradientError: An unknown backend, a bad number, or no theta for an objective that has none of its own.
    """
    objective = named_objective(objective)
    theta = start_at(objective, theta)
    if scale is None:
        scale = smoothing_scale(objective, SCALE)
    if not isinstance(backends, Mapping):
        names = added_names() if backends is None else list(backends)
        backends = make_backends([name for name in names if name != "autodiff"], scale=scale, samples=samples)
    return diagnose_slope(objective, theta, scale=scale, samples=samples, backends=dict(backends), seed=seed)
