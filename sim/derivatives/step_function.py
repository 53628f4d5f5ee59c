"""One step of a simulator as a function of vectors, with its exact Jacobian, as optimal control needs it."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ...first_order import numbers_only
from ...plain import plain_numbers
from ..errors import StateError
from ..state import State
from ..stepping.simulator import Simulator
from .jacobian import JACOBIAN_LIMITS, step_jacobian
from .minimal_coordinates import StateCoordinates

__all__ = ["SimulatorStep"]


@plain_numbers
class SimulatorStep:
    """x+ = step(x, u): states [batch, n] and controls [batch, m] to next states [batch, n].

    ``step_jacobian`` gives the exact A and B of every row. The call is differentiable by torch; A and B are not. States
    are vectors of :class:`StateCoordinates`: ``step.coordinates.vector(state)`` makes one of a state, and
    ``step.coordinates.state(x)`` is the inverse.

    Args:
        simulator: The simulator; its model is of one world.
        reference: See :class:`StateCoordinates`.
        velocities: Whether velocities belong to the state; by default they do unless stepping is quasi-dynamic.
        parameters: As in ``Simulator.rollout``, the same for all rows.
        substeps: Steps of the simulator under one control that make one step of this function.

    Raises:
        StateError: The model has several worlds, velocities are asked for in quasi-dynamic stepping.
    """

    def __init__(
        self,
        simulator: Simulator,
        *,
        reference: State | None = None,
        velocities: bool | None = None,
        parameters: Mapping[str, torch.Tensor] | None = None,
        substeps: int = 1,
    ):
        model, quasi_dynamic = simulator.model, simulator.options.quasi_dynamic
        if model.worlds != 1:
            raise StateError(
                f"a step function needs a model of one world, this one has {model.worlds}; finalize(worlds=1) serves "
                "any number of rows"
            )
        if velocities and quasi_dynamic:
            raise StateError("quasi-dynamic stepping has no velocities in its state; pass velocities=False")
        if isinstance(substeps, bool) or not isinstance(substeps, int) or substeps < 1:
            raise StateError(f"substeps must be an integer of at least 1, got {substeps!r}")
        self.simulator = simulator
        self.parameters = dict(parameters or {})
        self.substeps = substeps
        keep = not quasi_dynamic if velocities is None else velocities
        self.coordinates = StateCoordinates(model, reference, velocities=keep)
        self.name = "simulator step"

    def __call__(self, states: torch.Tensor, controls: torch.Tensor) -> torch.Tensor:
        """Next states [batch, n] of states [batch, n] under controls [batch, m], in the states' type."""
        for _ in range(self.substeps):
            after = self.simulator.step(self.coordinates.state(states), self._controls(controls), self.parameters)
            states = self.coordinates.vector(after, near=states).to(states)
        return states

    def step_jacobian(self, states: torch.Tensor, controls: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A [batch, n, n] and B [batch, n, m] of every row, by the implicit adjoint; as numbers."""
        a = torch.eye(len(self.coordinates), dtype=states.dtype, device=states.device).expand(len(states), -1, -1)
        b, states_given = states.new_zeros(*states.shape, controls.shape[1]), states
        with torch.no_grad():
            for _ in range(self.substeps):
                one_a, one_b, states = self._one_jacobian(states, controls)
                a, b = one_a @ a, one_a @ b + one_b
        a, b = numbers_only(JACOBIAN_LIMITS, (a, b), (states_given, controls, *self.parameters.values()))
        return a, b

    def _one_jacobian(
        self, states: torch.Tensor, controls: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        before = self.coordinates.state(states)
        a, b = step_jacobian(self.simulator, before, self._controls(controls), self.parameters)
        after = self.coordinates.vector(
            self.simulator.step(before, self._controls(controls), self.parameters), near=states
        )
        # From turns about the world axes to rotation vectors, on both sides.
        inner, outer = self.coordinates.turn_matrix(states), self.coordinates.turn_matrix(after)
        a, b = a.clone(), b.clone()
        for body in range(self.simulator.model.bodies):
            turn = slice(6 * body + 3, 6 * body + 6)
            a[:, turn] = torch.linalg.solve(outer[:, body], a[:, turn])
            b[:, turn] = torch.linalg.solve(outer[:, body], b[:, turn])
            a[:, :, turn] = a[:, :, turn] @ inner[:, body]
        kept = self.coordinates.index
        return a[:, kept][:, :, kept].to(states), b[:, kept].to(states), after.to(states)

    def _controls(self, controls: torch.Tensor) -> torch.Tensor | None:
        actuators = len(self.simulator.model.actuator_names)
        if controls.ndim != 2 or controls.shape[1] != actuators:
            raise StateError(
                f"controls of a step must have shape [batch, {actuators}] "
                f"({', '.join(self.simulator.model.actuator_names)}), got {tuple(controls.shape)}"
            )
        return controls.to(self.coordinates.reference) if actuators else None
