"""Unit quaternions (x, y, z, w) from angles: numbers for a builder, tensors for a cost that torch differentiates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .errors import ModelError

__all__ = ["axis_angle", "compose", "euler", "rotate", "yaw"]


def axis_angle(axis: Sequence[float] | torch.Tensor, angle: Any) -> Any:
    """Turn by ``angle`` [rad] about ``axis`` [3], which need not be of unit length.

    A number gives a tuple (x, y, z, w), an array or tensor [...] of angles an array or tensor [..., 4].

    Raises:
        ModelError: The axis has no length or not three finite components; an angle that is a number is not finite.
    """
    direction = torch.as_tensor(axis, dtype=torch.float64, device="cpu")
    length = float(direction.norm()) if direction.shape == (3,) else 0.0
    if not (math.isfinite(length) and length > 0.0):
        raise ModelError(f"the axis of a rotation is {axis!r}: give three finite numbers, not all zero")
    if not isinstance(angle, torch.Tensor) and not np.isfinite(np.asarray(angle, dtype=np.float64)).all():
        raise ModelError(f"the angle of a rotation is {angle!r}: give finite numbers [rad]")
    half = (angle if isinstance(angle, torch.Tensor) else torch.tensor(angle, dtype=torch.float64, device="cpu")) / 2.0
    unit = (direction / length).to(half)
    q = torch.cat([torch.sin(half)[..., None] * unit, torch.cos(half)[..., None]], dim=-1)
    if isinstance(angle, torch.Tensor):
        return q
    return q.numpy() if q.dim() > 1 else tuple(q.tolist())


def yaw(angle: Any) -> Any:
    """Turn by ``angle`` [rad] about the world's z axis."""
    return axis_angle((0.0, 0.0, 1.0), angle)


def euler(roll: Any, pitch: Any, yaw: Any) -> Any:
    """Turns [rad] about x (``roll``), then y (``pitch``), then z (``yaw``), all of the world: Rz Ry Rx."""
    turns = [axis_angle(axis, angle) for axis, angle in (((1, 0, 0), roll), ((0, 1, 0), pitch), ((0, 0, 1), yaw))]
    return compose(turns[2], compose(turns[1], turns[0]))


def compose(second: Any, first: Any) -> Any:
    """The turn ``first`` and then the turn ``second``; tuples give a tuple, tensors [..., 4] a tensor."""
    plain = not isinstance(second, torch.Tensor) and not isinstance(first, torch.Tensor)
    like = next(
        (q for q in (second, first) if isinstance(q, torch.Tensor)), torch.zeros(1, dtype=torch.float64, device="cpu")
    )
    a, b = (torch.as_tensor(q, dtype=like.dtype, device=like.device) for q in (second, first))
    u, v = a[..., :3], b[..., :3]
    u, v = torch.broadcast_tensors(u, v)
    vector = a[..., 3:] * v + b[..., 3:] * u + torch.linalg.cross(u, v)
    q = torch.cat([vector, a[..., 3:] * b[..., 3:] - (u * v).sum(-1, keepdim=True)], dim=-1)
    return tuple(q.tolist()) if plain else q


def rotate(rotation: torch.Tensor, vector: Any) -> torch.Tensor:
    """``vector`` [..., 3] of a body's axes in world axes, for a rotation [..., 4]."""
    v = torch.as_tensor(vector, dtype=rotation.dtype, device=rotation.device)
    u, v = torch.broadcast_tensors(rotation[..., :3], v)
    t = 2.0 * torch.linalg.cross(u, v)
    return v + rotation[..., 3:] * t + torch.linalg.cross(u, t)
