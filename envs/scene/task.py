"""The task that a scene, a control map and a cost make."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ...gradients.core.unrolled import UnrolledObjective
from ...plain import plain_numbers
from ...sim import Model, ModelBuilder, Recording, Simulator, State, Trajectory, record
from ..errors import TaskError
from ..stepwise import EVERY, chunks, simulated_steps
from ..task import Task
from .bodies import Bodies
from .way_points import WayPoints

__all__ = ["Scene"]


@plain_numbers
class Scene(Task):
    """An objective from a scene of one's own: everything that the tasks of carom can do, from a few functions.

        b = carom.ModelBuilder()
        ...
        task = Scene(b, lambda end, theta: (end["box"].yaw - 0.5).square(), controls=WayPoints(2), duration=2)
        carom.compare(task)

    Args:
        scene: A ``ModelBuilder``, or a finished ``Model`` of one world (then leave out ``device`` and ``dtype``).
        cost: ``cost(end, theta)`` -> [batch], from the state at the end (``Bodies``: ``end["box"].position`` is
            [batch, 3]) and theta [batch, parameters]; differentiable by torch. A NumPy array is taken, too, and has no
            exact gradient.
        duration: Seconds simulated.
        step: Step size [s].
        controls: ``WayPoints(count)``, or ``controls(theta)`` -> [steps, batch, actuators] in the actuators' units.
            None: the actuators get zeros, if there are any.
        start: ``start(theta)`` -> a ``State`` of batch worlds; by default that of the builder.
        physical: ``physical(theta)`` -> physical parameters by name, as in ``Simulator.rollout``.
        running_cost: ``running_cost(bodies, theta)`` -> [steps, batch], of the states before each step with leading
            axes [steps, batch]; its integral over time [s] is added.
        initial: Parameters to start from, [parameters]. By default, with ``WayPoints``, the actuators stay.
        name, description: In messages, tables and pages.
        parameter_names: A name a parameter; by default those of the way-points, or theta0, theta1, ...
        parameter_unit: Unit of all parameters.
        scale: Standard deviation of the noise for which the smoothed cost is informative: a number, or one a parameter.
        bounds: Lower and upper bounds that optimizers keep.
        goal: Corners of a goal from above, [n, 2] [m], for pictures.
        softened_shapes: Names of the shapes that ``softened`` softens in rollouts; by default all.
        softening_width: Width of softened contact by kind [m]; by default a fifth of the smallest moving shape.
        device, dtype: As in ``ModelBuilder.finalize``.
        **options: Further options of the ``Simulator``.

    Raises:
        TaskError: Something is missing or of another form; what a function returns has another shape.
    """

    def __init__(
        self,
        scene: ModelBuilder | Model,
        cost: Callable[[Bodies, torch.Tensor], torch.Tensor],
        *,
        duration: float,
        step: float = 0.005,
        controls: WayPoints | Callable[[torch.Tensor], torch.Tensor] | None = None,
        start: Callable[[torch.Tensor], State] | None = None,
        physical: Callable[[torch.Tensor], Mapping[str, torch.Tensor]] | None = None,
        running_cost: Callable[[Bodies, torch.Tensor], torch.Tensor] | None = None,
        initial: Any = None,
        name: str = "scene",
        description: str = "a scene of one's own",
        parameter_names: Sequence[str] | None = None,
        parameter_unit: str = "",
        scale: Any = 0.02,
        bounds: tuple[Any, Any] | None = None,
        goal: Sequence[tuple[float, float]] | None = None,
        softened_shapes: Sequence[str] | None = None,
        softening_width: Mapping[str, float] | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        **options: Any,
    ) -> None:
        self.name, self.description, self.parameter_unit = name, description, parameter_unit  # type: ignore[misc]
        if not (math.isfinite(duration) and math.isfinite(step) and duration >= step > 0.0):
            raise TaskError(f"{name}: duration {duration} must be at least one step of {step} [s], both finite")
        for what, function in (
            ("cost", cost),
            ("start", start),
            ("physical", physical),
            ("running_cost", running_cost),
        ):
            if function is not None and not callable(function):
                raise TaskError(f"{name}: {what} is a {type(function).__name__}: give a function")
        self.steps = round(duration / step)
        self.model = _model(scene, name, device, dtype)
        self.device, self.dtype = self.model.device, self.model.dtype
        self.simulator = Simulator(self.model, step=step, **options)
        self._cost, self._start, self._physical, self._running_cost = cost, start, physical, running_cost
        self._controls = controls
        self._full = self.steps
        if isinstance(controls, WayPoints):
            controls.check(self.model, name)
            parameter_names = parameter_names or controls.parameter_names(self.model)
            initial = controls.start(self.model).repeat(controls.count) if initial is None else initial
            if _planar(self.model):
                self.way_points = self._way_points
        if initial is None:
            raise TaskError(f"{name}: initial is missing: give the parameters to start from, [parameters]")
        self._initial = torch.as_tensor(initial, dtype=self.dtype, device=self.device).detach().clone()
        if self._initial.dim() != 1 or not len(self._initial) or not bool(torch.isfinite(self._initial).all()):
            raise TaskError(f"{name}: initial must be a list of finite numbers, [parameters], got {initial!r}")
        count = len(self._initial)
        self.parameter_names = tuple(parameter_names or (f"theta{i}" for i in range(count)))
        if len(self.parameter_names) != count:
            raise TaskError(f"{name}: {len(self.parameter_names)} parameter_names for {count} parameters of initial")
        self.smoothing_scale = scale
        if bounds is not None:
            self.parameter_bounds = bounds
        if goal is not None:
            self.goal_outline = [(float(x), float(y)) for x, y in goal]
        if softened_shapes is not None:
            self.softened_shapes = tuple(softened_shapes)  # type: ignore[misc]
        width = 0.2 * _smallest(self.model)
        self.softening_width = dict(softening_width or {"softplus": width, "log_barrier": width / 4.0})  # type: ignore[misc]

    def initial_parameters(self) -> torch.Tensor:
        """Parameters to start from, [parameters]."""
        return self._initial.clone()

    def controls(self, theta: torch.Tensor) -> torch.Tensor:
        """Controls of every step, [steps, batch, actuators]."""
        given, wanted = self._controls, (self._full, len(theta), self.model.actuators)
        if given is None:
            return theta.new_zeros(self.steps, *wanted[1:])
        if isinstance(given, WayPoints):
            return given.controls(theta, self.model, self._full)[: self.steps]
        found = given(theta)
        if not isinstance(found, torch.Tensor) or tuple(found.shape) != wanted:
            shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
            raise TaskError(
                f"{self.name}: controls(theta) gave {shape} for theta {tuple(theta.shape)}: give a tensor [steps, "
                f"batch, actuators] = {wanted}"
            )
        return found[: self.steps].to(self.dtype)

    def _begin(self, theta: torch.Tensor) -> State:
        if self._start is None:
            return self.model.state(len(theta))
        found = self._start(theta)
        if not isinstance(found, State) or found.worlds != len(theta):
            got = f"a State of {found.worlds} worlds" if isinstance(found, State) else type(found).__name__
            raise TaskError(f"{self.name}: start(theta) gave {got}: give a State of {len(theta)} worlds, a world a row")
        return found

    def _values(self, theta: torch.Tensor) -> Mapping[str, torch.Tensor]:
        return {} if self._physical is None else self._physical(theta)

    def rollout(self, theta: torch.Tensor, record: bool = True) -> Trajectory:
        """The simulated scene, a world for each row of ``theta`` [batch, parameters]."""
        theta = self.check(theta)
        return self.simulator.rollout(self._begin(theta), self.controls(theta), self._values(theta), record=record)

    def record(self, theta: torch.Tensor) -> Recording:
        """Poses, contacts and forces; a world for each row of ``theta`` [batch, parameters]."""
        theta = self.check(theta)
        return record(self.simulator, self.rollout(theta), self.controls(theta), self._values(theta))

    def bodies(self, state: State) -> Bodies:
        """The bodies of a state by name."""
        return Bodies(self.model, state.body_q, state.body_v)

    def outputs(self, theta: torch.Tensor) -> torch.Tensor:
        """Final poses and velocities of all bodies, integral of the running cost, parameters; [batch, outputs]."""
        theta = self.check(theta)
        path = self.rollout(theta, record=self._running_cost is not None)
        paid = theta.new_zeros(len(theta))
        if self._running_cost is not None:
            assert path.body_q is not None
            assert path.body_v is not None
            paid = self._paid(Bodies(self.model, path.body_q[:-1], path.body_v[:-1]), theta, self.steps)
        final = path.final
        return torch.cat([final.body_q.flatten(1), final.body_v.flatten(1), paid[:, None], theta], dim=1)

    def loss(self, outputs: torch.Tensor) -> torch.Tensor:
        """Costs [batch] of ``outputs``."""
        n, batch = self.model.bodies, len(outputs)
        q, v, paid, theta = outputs.split([7 * n, 6 * n, 1, len(self.parameter_names)], dim=1)
        return self._final_cost(theta, State(q.view(batch, n, 7), v.view(batch, n, 6))) + paid[:, 0]

    def _final_cost(self, theta: torch.Tensor, end: State) -> torch.Tensor:
        found = self._cost(self.bodies(end), theta)
        return self._of_shape("cost(end, theta)", found, (len(theta),), "[batch]", _differentiated(end.body_q, theta))

    def _paid(self, before: Bodies, theta: torch.Tensor, steps: int) -> torch.Tensor:
        """Integral of the running cost over some steps, [batch]."""
        assert self._running_cost is not None
        found = self._running_cost(before, theta)
        wanted = (steps, len(theta))
        differentiated = _differentiated(before.body_q, theta)
        paid = self._of_shape("running_cost(bodies, theta)", found, wanted, "[steps, batch]", differentiated)
        return paid.sum(0) * self.simulator.step_size

    def _of_shape(
        self, what: str, found: Any, wanted: tuple[int, ...], words: str, differentiated: bool
    ) -> torch.Tensor:
        if isinstance(found, np.ndarray) and found.dtype.kind in "fiu":
            if differentiated:
                raise TaskError(
                    f"{self.name}: {what} gave a NumPy array, which has no exact gradient: compute by torch, or use a "
                    'backend of values, such as Smoothing(order="zeroth")'
                )
            found = torch.as_tensor(found, dtype=self.dtype, device=self.device)
        if not isinstance(found, torch.Tensor) or tuple(found.shape) != wanted:
            shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
            raise TaskError(f"{self.name}: {what} gave {shape}: give a tensor {words} = {wanted}")
        return found

    def at_horizon(self, steps: int) -> Scene:
        """The scene with its cost taken after so many steps."""
        if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= self._full:
            raise TaskError(f"{self.name}: the horizon must be an integer of 1 to {self._full} steps, got {steps!r}")
        shorter: Scene = self.variant()
        shorter.steps = steps
        return shorter

    def stepwise(self, every: int = EVERY) -> UnrolledObjective:
        """The scene as an unrolled objective; ``every`` steps of the simulator make one step of it.

        Raises:
            TaskError: It has a running cost, which is not known within a piece, or ``every`` is no positive integer.
        """
        if self._running_cost is not None and every != 1:
            raise TaskError(f"{self.name}: a running cost needs every step, stepwise(every=1)")
        running = self._running_cost
        return simulated_steps(
            self.name,
            self._pieces_simulator(),
            chunks(self.name, self.steps, every),
            start=lambda theta: self._begin(self.check(theta)),
            cost=lambda theta, end: self._final_cost(self.check(theta), end),
            controls=lambda theta: self.controls(self.check(theta)),
            parameters=lambda theta: self._values(self.check(theta)),
            running_cost=None
            if running is None
            else lambda theta, state: self._paid(
                Bodies(self.model, state.body_q[None], state.body_v[None]), self.check(theta), 1
            ),
        )

    def _way_points(self, theta: torch.Tensor) -> torch.Tensor:
        assert isinstance(self._controls, WayPoints)
        return self._controls.points(theta, self.model)


def _differentiated(*tensors: torch.Tensor) -> bool:
    """Whether torch will differentiate what is computed from these."""
    return torch.is_grad_enabled() and any(x.requires_grad for x in tensors)


def _model(scene: Any, name: str, device: str, dtype: str) -> Model:
    if isinstance(scene, ModelBuilder):
        return scene.finalize(device=device, dtype=dtype)
    if not isinstance(scene, Model):
        raise TaskError(f"{name}: the scene is a {type(scene).__name__}: give a ModelBuilder or a Model")
    if scene.worlds != 1:
        raise TaskError(
            f"{name}: the model has {scene.worlds} worlds: give one of 1, whose worlds are the rows of theta"
        )
    return scene


def _planar(model: Model) -> bool:
    """Whether the actuators move one body along x and y, so that way-points are places."""
    return model.actuators == 2 and list(model.actuator_axis) == [0, 1] and len(set(model.actuator_body.tolist())) == 1


def _smallest(model: Model) -> float:
    """Smallest size of a moving shape [m]: half an extent or a radius."""
    sizes = model.shape_size[0].double().cpu()
    moving = [sizes[i][sizes[i] > 0.0] for i in range(model.shapes) if model.shape_body[i] >= 0]
    positive = [float(one.min()) for one in moving if len(one)]
    return min(positive, default=0.02)
