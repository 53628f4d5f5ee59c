"""Planar poses: yaw of quaternions, distance from a goal pose, outlines from above."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

__all__ = ["outline_at", "planar_pose", "pose_cost", "wrap_angle"]


def planar_pose(q: torch.Tensor) -> torch.Tensor:
    """Planar poses x [m], y [m], yaw [rad], [..., 3], of poses [..., 7] (position, quaternion xyzw)."""
    x, y, z, w = q[..., 3:].unbind(-1)
    yaw = torch.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
    return torch.stack([q[..., 0], q[..., 1], yaw], dim=-1)


def pose_cost(pose: torch.Tensor, goal: torch.Tensor, length_scale: float) -> torch.Tensor:
    """|p - p_goal|^2 / length_scale^2 + 2 (1 - cos(yaw - yaw_goal)), [...], of planar poses and goals [..., 3]."""
    off = ((pose[..., :2] - goal[..., :2]) / length_scale).square().sum(-1)
    return off + 2.0 * (1.0 - torch.cos(pose[..., 2] - goal[..., 2]))


def wrap_angle(angle: torch.Tensor) -> torch.Tensor:
    """Angles wrapped to [-pi, pi]; derivative 1."""
    return angle - (2.0 * math.pi * torch.round(angle / (2.0 * math.pi))).detach()


def outline_at(corners: Sequence[tuple[float, float]], pose: Sequence[float]) -> list[tuple[float, float]]:
    """Corners [m] of an outline in a body's frame, seen from above with the body at pose x [m], y [m], yaw [rad]."""
    x, y, yaw = pose
    c, s = math.cos(yaw), math.sin(yaw)
    return [(x + c * u - s * v, y + s * u + c * v) for u, v in corners]
