"""The blade: a box under impedance control, and the targets of its controllers during one push."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...plain import plain_numbers
from ..errors import TaskError

__all__ = ["MIN_LENGTH", "Blade", "yaw_of"]

MIN_LENGTH = 1e-6
"""A shorter push has no direction [m]."""


@plain_numbers
@dataclass(frozen=True)
class Blade:
    """The blade and its motion in one push: down, along, up, wait.

    It starts at rest above the push's first point, already square to the motion (the way there, high above the pile,
    touches nothing and is not simulated). Targets move by smooth steps 3 t^2 - 2 t^3. The width is along the blade's x
    axis, so that a broad face is in front. The controllers are springs with damping: x and y lag their targets by
    damping / stiffness times the speed, and a blade that comes down on a piece gives way.
    """

    half_extents: tuple[float, float, float] = (0.05, 0.005, 0.025)
    """Half of the blade's width, thickness and height [m]."""
    mass: float = 0.1
    """[kg]"""
    stiffness: float = 2000.0
    """Stiffness of the controllers along x and y [N/m]."""
    damping: float = 28.0
    """Damping of the controllers along x and y [N s/m]; about critical, as the others."""
    stiffness_z: float = 300.0
    """Stiffness along z [N/m]: low, since the blade may come down on a piece."""
    damping_z: float = 11.0
    """Damping along z [N s/m]."""
    stiffness_yaw: float = 5.0
    """Stiffness about z [N m/rad]: that of two springs of 1000 N/m at the ends."""
    damping_yaw: float = 0.04
    """Damping about z [N m s/rad]."""
    gap: float = 0.001
    """Gap between the lowered blade and the table [m]."""
    lift: float = 0.08
    """Height by which the blade is lifted between pushes [m]."""
    lower_duration: float = 0.15
    """[s]"""
    push_duration: float = 0.7
    """[s]; the same for short and long pushes."""
    lift_duration: float = 0.15
    """[s]"""
    wait_duration: float = 0.05
    """Time for the pieces to come to rest after the push [s]."""

    def phases(self, step: float) -> tuple[int, int, int, int]:
        """Steps of size ``step`` [s] of each phase: lower, push, lift, wait."""
        durations = (self.lower_duration, self.push_duration, self.lift_duration, self.wait_duration)
        lower, push, lift, wait = (max(1, round(duration / step)) for duration in durations)
        return lower, push, lift, wait

    @property
    def low(self) -> float:
        """Height of the lowered blade's centre [m]."""
        return self.half_extents[2] + self.gap

    def start_pose(self, actions: torch.Tensor) -> torch.Tensor:
        """Pose [batch, 7] of the lifted blade above the first point of each push [batch, 4]."""
        half = 0.5 * yaw_of(actions)
        zero = torch.zeros_like(half)
        height = torch.full_like(half, self.low + self.lift)
        return torch.stack([actions[:, 0], actions[:, 1], height, zero, zero, half.sin(), half.cos()], dim=-1)

    def targets(self, actions: torch.Tensor, step: float, gravity: float = 9.81) -> torch.Tensor:
        """Targets of x, y [m], z [m] and yaw [rad] at the end of each step of one push, [steps, batch, 4].

        Differentiable. The target of z is higher than the blade is to be by its weight over the stiffness.

        Args:
            actions: Pushes x0, y0, x1, y1 [m], [batch, 4].
            step: [s]
            gravity: [m/s^2]
        """
        lower, push, lift, wait = self.phases(step)

        def ramp(steps: int) -> torch.Tensor:
            t = torch.arange(1, steps + 1, dtype=actions.dtype, device=actions.device) / steps
            return t * t * (3.0 - 2.0 * t)

        hold = actions.new_zeros
        along = torch.cat([hold(lower), ramp(push), hold(lift + wait) + 1.0])
        up = torch.cat([1.0 - ramp(lower), hold(push), ramp(lift), hold(wait) + 1.0])
        start, end = actions[:, :2], actions[:, 2:]
        xy = start + along[:, None, None] * (end - start)
        z = (self.low + self.mass * gravity / self.stiffness_z + self.lift * up)[:, None].expand(xy.shape[:2])
        yaw = yaw_of(actions).expand(xy.shape[:2])
        return torch.cat([xy, z[..., None], yaw[..., None]], dim=-1)


def yaw_of(actions: torch.Tensor) -> torch.Tensor:
    """Yaw [rad], [batch], of a blade square to each push [batch, 4]: direction of motion + 90 degrees.

    Of the two angles half a turn apart, which are the same to a box, the one within 90 degrees: far from where the
    rotation vector that the controller measures jumps, whatever was pushed before. At a push along x exactly the
    angle jumps by half a turn, the blade as a body does not.

    Raises:
        TaskError: A push is shorter than ``MIN_LENGTH``: it has no direction, and its yaw no derivative.
    """
    dx, dy = (actions[:, 2:] - actions[:, :2]).unbind(-1)
    short = torch.hypot(dx, dy).detach() < MIN_LENGTH
    if bool(short.any()):
        row = int(torch.nonzero(short)[0])
        x0, y0, x1, y1 = actions[row].tolist()
        raise TaskError(
            f"carrots: the push of row {row} from ({x0:.6g}, {y0:.6g}) to ({x1:.6g}, {y1:.6g}) m is shorter than "
            f"{MIN_LENGTH:g} m and has no direction to be square to; move its ends apart"
        )
    side = torch.where(dy <= 0.0, 1.0, -1.0).to(actions.dtype)
    return torch.atan2(side * dx, -side * dy)
