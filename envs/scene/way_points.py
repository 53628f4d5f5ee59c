"""Controls of a scene by way-points."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...sim import Model
from ...sim.scene.builder import KINDS
from ..errors import TaskError

__all__ = ["WayPoints"]


@dataclass(frozen=True)
class WayPoints:
    """Targets of all actuators, of kind "position": way-points at equal times, joined by straight lines.

    The parameters are the way-points in order, each with a coordinate an actuator. The line begins where the actuators'
    bodies start.
    """

    count: int = 4
    """Number of way-points."""

    def check(self, model: Model, name: str) -> None:
        """Refuse a model without actuators, with others than of kind "position", or no way-points.

        Raises:
            TaskError: As said.
        """
        if isinstance(self.count, bool) or not isinstance(self.count, int) or self.count < 1:
            raise TaskError(f"{name}: WayPoints(count={self.count!r}) must be an integer of at least 1")
        if not model.actuators:
            raise TaskError(f"{name}: WayPoints moves actuators, and the scene has none: builder.add_actuator(...)")
        for kind, actuator in zip(model.actuator_kind, model.actuator_names, strict=True):
            if int(kind) != KINDS["position"]:
                raise TaskError(
                    f"{name}: WayPoints gives targets to position actuators, and {actuator!r} is of another kind: "
                    "give controls=, a function of theta"
                )

    def parameter_names(self, model: Model) -> tuple[str, ...]:
        """Actuator and number of the way-point: "pusher.x 0", ..."""
        return tuple(f"{actuator} {i}" for i in range(self.count) for actuator in model.actuator_names)

    def start(self, model: Model) -> torch.Tensor:
        """Where the actuators are at the start, [actuators]; [m] or [rad]."""
        q = model.initial_state.body_q[0]
        axes = torch.as_tensor(model.actuator_axis, dtype=torch.long, device=q.device)
        place = q[torch.as_tensor(model.actuator_body, dtype=torch.long, device=q.device)]
        return torch.where(axes < 3, place.gather(1, axes.clamp(max=2)[:, None])[:, 0], torch.zeros_like(place[:, 0]))

    def points(self, theta: torch.Tensor, model: Model) -> torch.Tensor:
        """Way-points [batch, count, actuators] of theta [batch, count * actuators]."""
        return theta.reshape(*theta.shape[:-1], self.count, model.actuators)

    def controls(self, theta: torch.Tensor, model: Model, steps: int) -> torch.Tensor:
        """Targets at every step, [steps, batch, actuators]."""
        points = self.points(theta, model)
        first = self.start(model).to(points).expand(len(points), 1, -1)
        path = torch.cat([first, points], dim=1).transpose(0, 1)
        time = torch.arange(1, steps + 1, dtype=torch.float64, device="cpu") * (self.count / steps)
        leg = time.floor().clamp(max=self.count - 1)
        share = (time - leg).to(points)[:, None, None]
        begin, end = path[leg.long().to(points.device)], path[leg.long().to(points.device) + 1]
        return begin + share * (end - begin)
