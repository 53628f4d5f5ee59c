"""The push as states and actions, and a residual network on its poses."""

from __future__ import annotations

import torch

from ...gradients.learned.step_model import StepModel, initialise, mlp
from ...plain import plain_numbers
from ..errors import TaskError
from ..tasks.push import Push

__all__ = ["PushDynamics", "PushModel"]

WIDTH = 96
"""Width of the hidden layers."""


@plain_numbers
class PushDynamics:
    """The push in steps of ``stride`` steps of the simulator: a dynamics task for ``fit_dynamics``.

    State [10]: the box's position x, y [m], yaw [rad], velocity [m/s], yaw rate [rad/s]; the pusher's position [m] and
    velocity [m/s]. Action [4]: the controller's target at the begin and at the end of the step [m].

    Args:
        push: The task.
        stride: Steps of the simulator in one step; way-points should fall between steps.

    Raises:
        TaskError: The stride does not divide the steps of the push.
    """

    def __init__(self, push: Push, stride: int = 20):
        if stride < 1 or push.steps % stride:
            raise TaskError(f"push: stride must divide the {push.steps} steps of the push, got {stride}")
        self.push, self.stride = push, stride
        self.name, self.parameter_names = push.name, push.parameter_names

    def start(self, count: int) -> torch.Tensor:
        """Initial states, all at rest, [count, 10]."""
        state = torch.zeros(count, 10, dtype=torch.float32, device="cpu")
        state[:, 6:8] = torch.tensor(self.push.pusher_start, dtype=torch.float32, device="cpu")
        return state

    def actions(self, theta: torch.Tensor) -> torch.Tensor:
        """Targets at both ends of every step, [T, batch, 4] [m]."""
        targets = self.push.controls(theta.to(self.push.dtype))[self.stride - 1 :: self.stride]
        first = torch.tensor(self.push.pusher_start, dtype=targets.dtype, device=targets.device)
        before = torch.cat([first.expand(1, len(theta), 2), targets[:-1]])
        return torch.cat([before, targets], dim=-1)

    def cost(self, final: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        """The task's cost of the final states [batch, 10], [batch]."""
        return self.push.loss(torch.cat([final[:, :3], self.push.effort_term(theta)[:, None].to(final)], dim=1))

    def simulate(self, theta: torch.Tensor) -> torch.Tensor:
        """The simulator's states, [T + 1, batch, 10]."""
        path = self.push.rollout(theta)
        if path.body_q is None or path.body_v is None:
            raise TaskError("push: the rollout has no states")
        q, v = path.body_q[:: self.stride], path.body_v[:: self.stride]
        x, y, z, w = q[:, :, 0, 3:].unbind(-1)
        yaw = torch.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
        return torch.cat(
            [q[:, :, 0, :2], yaw[..., None], v[:, :, 0, :2], v[:, :, 0, 5:], q[:, :, 1, :2], v[:, :, 1, :2]], dim=-1
        )

    def distance(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Root mean square distance of the box's corners from above [m], [...]."""
        half_x, half_y, _ = self.push.box_half_extents
        off = (a[..., :2] - b[..., :2]).square().sum(-1)
        # corners at radius r turned by d apart: 2 r^2 (1 - cos d), and the cross terms cancel over the four
        return torch.sqrt(off + 2.0 * (half_x**2 + half_y**2) * (1.0 - torch.cos(a[..., 2] - b[..., 2])))

    def model(self, seed: int) -> PushModel:
        """A fresh network."""
        return PushModel(seed)


class PushModel(StepModel):
    """Change of poses and velocities in the frame of the box, from quantities in that frame.

    Its inputs are the pusher, its target at both ends of the step, and all velocities, turned into the frame of the box
    by sine and cosine of its yaw; not where on the table the box is or which way it points, which do not matter there.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(changes=10)
        self.network = mlp([13, WIDTH, WIDTH, 10])
        initialise(self.network, seed)

    def change(self, state: torch.Tensor, action: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """Differences of the ten numbers, vectors in the frame of the box before, [batch, 10]."""
        moved = after - state
        back = _turn(moved, -state[:, 2])
        turn = torch.atan2(torch.sin(moved[:, 2:3]), torch.cos(moved[:, 2:3]))
        return torch.cat([back[:, :2], turn, back[:, 3:]], dim=1)

    def apply_change(self, state: torch.Tensor, action: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
        """The state after, [batch, 10]."""
        return state + _turn(change, state[:, 2])

    def predict(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """The standardized change, [batch, 10]."""
        box, yaw = state[:, :2], state[:, 2]
        arms = torch.stack([state[:, 6:8] - box, action[:, :2] - box, action[:, 2:] - box, state[:, 3:5], state[:, 8:]])
        pusher, before, after, velocity, pusher_velocity = _rotate(arms, -yaw)
        features = [
            20.0 * pusher,
            50.0 * (before - pusher),
            20.0 * (after - before),
            20.0 * (after - pusher),
            10.0 * velocity,
            10.0 * pusher_velocity,
            state[:, 5:6],
        ]
        return self.network(torch.cat(features, dim=1))


def _rotate(vectors: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Vectors [..., batch, 2] turned by angles [batch]."""
    c, s = torch.cos(angle), torch.sin(angle)
    x, y = vectors.unbind(-1)
    return torch.stack([c * x - s * y, s * x + c * y], dim=-1)


def _turn(change: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """The four vectors in a change of state [batch, 10] turned by angles [batch]."""
    vectors = torch.stack([change[:, :2], change[:, 3:5], change[:, 6:8], change[:, 8:]])
    position, velocity, pusher, pusher_velocity = _rotate(vectors, angle)
    return torch.cat([position, change[:, 2:3], velocity, change[:, 5:6], pusher, pusher_velocity], dim=1)
