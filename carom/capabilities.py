"""Capabilities of an objective beyond its cost: each as a Protocol, with the functions that ask for it.

No code here or above depends on a task: whatever has the attributes has the capability. A capability that is missing
leaves out a figure, a study or a row, and the report says why. Gradient backends check for their own few by themselves
(``Differentiable``, ``Softenable``, ``Eventful``, ``Split``, ``Relaxable``, ``Stepwise``), since they do not import
this package.

Shapes: theta is [batch, parameters] or [parameters], as said. Units are SI.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from .gradients.core.interface import DifferentiableObjective, Objective
from .gradients.core.objective import objective_name
from .gradients.core.optional import has_methods, optional

__all__ = [
    "Bounded",
    "Described",
    "DifferentiableObjective",
    "Eventful",
    "Horizons",
    "Placed",
    "Recordable",
    "Relaxable",
    "Scaled",
    "Scene",
    "Softenable",
    "Split",
    "Started",
    "Stiffnesses",
    "TouchCounted",
    "Unrollable",
    "Weighed",
    "body_colors",
    "bounds_of",
    "can_record",
    "can_soften",
    "description_of",
    "goal_outline",
    "has_scene",
    "horizons_of",
    "landscape_axes",
    "objective_name",
    "parameter_names",
    "rollout_work",
    "scene_of",
    "smoothing_scale",
    "start_of",
    "stiffnesses_of",
    "unit_of",
    "way_points_of",
]  # fmt: skip


class Described(Protocol):
    """Names of an objective and its parameters in messages, tables and pages."""

    name: str
    """Short, as in ``carom tasks``; by default the function's or class's name."""
    description: str
    """Description in one line."""
    parameter_names: Sequence[str]
    """Names, one a parameter; by default theta0, theta1, ..."""
    parameter_unit: str
    """Unit of all parameters, "m" for instance; by default none."""


class Started(Protocol):
    """A place to start from."""

    def initial_parameters(self) -> torch.Tensor:
        """Parameters [parameters] at which a comparison is made and an optimization starts."""
        ...


class Scaled(Protocol):
    """Scale over which a change of the parameters matters."""

    smoothing_scale: float | Sequence[float] | torch.Tensor
    """Standard deviation of the noise of smoothing: one number or one a parameter; by default 0.02."""


class Bounded(Protocol):
    """Limits that optimizers keep."""

    parameter_bounds: tuple[Any, Any]
    """Lower and upper bounds, numbers or tensors [parameters]."""


class Weighed(Protocol):
    """Work of a rollout, without a clock."""

    rollout_work: float
    """Steps times bodies of a rollout: the default budget of a comparison follows from it."""


class Softenable(Protocol):
    """Contacts that can be softened, for the backend ``Softened``."""

    softening_width: Mapping[str, float]
    """Width [m] of softened contact by kind, "softplus" and "log_barrier"."""

    def softened(self, kind: str, width: float, *, forward: bool = True) -> Objective:
        """The same objective with contacts of this kind and width; ``forward``: also in the rollout itself."""
        ...


class Eventful(Protocol):
    """Events of a rollout, for the backend ``Boundary``."""

    def events(self, theta: torch.Tensor) -> torch.Tensor:
        """Labels (booleans, integers) or event functions (real numbers, whose sign matters), [batch, events]."""
        ...


class Split(Protocol):
    """A cost ``loss(outputs(theta))``, for ``AlgorithmSmoothing``."""

    def outputs(self, theta: torch.Tensor) -> torch.Tensor:
        """Results of the algorithm, [batch, outputs]."""
        ...

    def loss(self, outputs: torch.Tensor) -> torch.Tensor:
        """Cost [batch] of results [batch, outputs]; differentiable."""
        ...


class Relaxable(Protocol):
    """A choice among alternatives with a continuous version, for the backends of choices."""

    def relaxed(self, weights: torch.Tensor) -> torch.Tensor:
        """Cost [batch] of weights [batch, factors, categories] instead of one category each; differentiable."""
        ...


class Recordable(Protocol):
    """Rollouts that can be kept, shown and replayed."""

    def record(self, theta: torch.Tensor) -> Any:
        """A ``carom.Recording``, a world for each row of theta [batch, parameters]."""
        ...


class Placed(Protocol):
    """Parameters that are places."""

    def way_points(self, theta: torch.Tensor) -> torch.Tensor:
        """Points [batch, n, 2] that theta [batch, parameters] places [m]; with ``record``, arrows start there."""
        ...


class Scene(Protocol):
    """More for the picture of a recording."""

    goal_outline: Sequence[tuple[float, float]]
    """Corners of the goal from above, [n, 2], m."""
    body_colors: Mapping[str, str]
    """Colours by the body's name."""
    landscape_axes: tuple[int, int]
    """Two parameters over which the cost is worth a map."""


class Horizons(Protocol):
    """Shorter versions of a rollout, for the study of the horizon and ``carom diagnose``."""

    steps: int
    """Steps of a rollout."""

    def at_horizon(self, steps: int) -> Objective:
        """The same objective, its cost taken after so many steps."""
        ...


class Stiffnesses(Protocol):
    """Contacts of any stiffness, for the study of stiffness."""

    stiffness_range: tuple[float, float]
    """The least and the greatest stiffness that make sense [N/m]."""

    def at_stiffness(self, stiffness: float) -> Objective:
        """The same objective with contacts of this stiffness [N/m]."""
        ...


class Unrollable(Protocol):
    """States step by step, for growth along a rollout; ``carom.gradients.diagnosis`` describes the result."""

    def unroll(self, theta: torch.Tensor) -> Any:
        """``Steps`` of the rollout of theta [1, parameters]: the derivative of every step."""
        ...


class TouchCounted(Protocol):
    """Contacts over time, for the contact part of ``carom diagnose``."""

    def contact_history(self, theta: torch.Tensor) -> tuple[np.ndarray, list[str]]:
        """Whether each pair touched, [steps, batch, pairs], and the pairs' names."""
        ...


def description_of(objective: object) -> str | None:
    """Description of the objective in one line, where it has one."""
    return optional(objective, "description")


def unit_of(objective: object) -> str:
    """Unit of theta; empty where the objective names none."""
    return str(optional(objective, "parameter_unit", ""))


def parameter_names(objective: object, count: int) -> tuple[str, ...]:
    """Names of the parameters: the objective's own, else theta0, theta1, ..."""
    names = optional(objective, "parameter_names")
    return tuple(names) if names is not None and len(names) == count else tuple(f"theta{i}" for i in range(count))


def start_of(objective: object) -> torch.Tensor | None:
    """Parameters to start from, where the objective has some."""
    return objective.initial_parameters() if has_methods(objective, "initial_parameters") else None  # type: ignore[attr-defined]


def smoothing_scale(objective: object, otherwise: Any = None) -> Any:
    """Standard deviation of the noise that suits the objective, else the one given."""
    return optional(objective, "smoothing_scale", otherwise)


def rollout_work(objective: object) -> Any:
    """Steps times bodies of a rollout; 0 where the objective has none."""
    return optional(objective, "rollout_work", 0.0)


def bounds_of(objective: object) -> tuple[Any, Any] | None:
    """Lower and upper bounds of the parameters, where the objective has some."""
    return optional(objective, "parameter_bounds")


def body_colors(objective: object) -> Mapping[str, str] | None:
    """Colours of bodies by name, where the objective gives them."""
    return optional(objective, "body_colors")


def can_soften(objective: object) -> bool:
    """Whether contacts can be softened, with a width of the objective's own."""
    return bool(optional(objective, "softening_width")) and has_methods(objective, "softened")


def can_record(objective: object) -> bool:
    """Whether its rollouts can be recorded."""
    return has_methods(objective, "record")


def has_scene(objective: object) -> bool:
    """Whether there is a picture with arrows."""
    return has_methods(objective, "record", "way_points")


def way_points_of(objective: object) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """Map from theta to the points that it places, where the objective has it."""
    return objective.way_points if has_methods(objective, "way_points") else None  # type: ignore[attr-defined]


def landscape_axes(objective: object) -> tuple[int, int] | None:
    """The two parameters of the map, where the objective names them."""
    axes = optional(objective, "landscape_axes")
    return None if axes is None else (int(axes[0]), int(axes[1]))


def goal_outline(objective: object) -> np.ndarray | None:
    """Corners of the goal from above [n, 2] (m), where the objective has one."""
    goal = optional(objective, "goal_outline")
    return None if goal is None else np.asarray(goal)


def scene_of(objective: Any) -> dict[str, Any]:
    """``colors`` and ``goal`` for ``TopDown`` and ``animate``, where the objective gives them."""
    return {"colors": body_colors(objective), "goal": goal_outline(objective)}


def horizons_of(objective: Any, points: int) -> tuple[Callable[[float], Objective], list[float]] | None:
    """Function that changes the horizon, and horizons in equal steps up to all; None where unsupported."""
    make, steps = optional(objective, "at_horizon"), optional(objective, "steps")
    if not callable(make) or not isinstance(steps, int) or steps < points:
        return None
    values = sorted({max(1, round(steps * share)) for share in np.linspace(1.0 / points, 1.0, points)})
    return lambda value: make(round(value)), [float(value) for value in values]


def stiffnesses_of(objective: Any, points: int) -> tuple[Callable[[float], Objective], list[float]] | None:
    """Function that changes the stiffness of contacts, and values [N/m] in equal ratios; None where unsupported."""
    make, ends = optional(objective, "at_stiffness"), optional(objective, "stiffness_range")
    if not callable(make) or ends is None:
        return None
    return make, [float(value) for value in np.geomspace(float(ends[0]), float(ends[1]), points)]
