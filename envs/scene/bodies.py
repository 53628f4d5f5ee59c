"""States by the names of their bodies."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import torch

from ...sim import Model
from ..errors import TaskError
from ..planar import planar_pose

__all__ = ["Bodies", "Body"]


class Body:
    """Pose and velocity of one body; leading axes are those of the state: [batch] at the end of a rollout."""

    def __init__(self, name: str, q: torch.Tensor, v: torch.Tensor) -> None:
        self.name = name
        self.position = q[..., :3]
        """Centre of mass [m], [..., 3]."""
        self.rotation = q[..., 3:]
        """Unit quaternion (x, y, z, w), [..., 4]."""
        self.velocity = v[..., :3]
        """Velocity of the centre of mass [m/s], [..., 3]."""
        self.angular_velocity = v[..., 3:]
        """In world axes [rad/s], [..., 3]."""
        self.planar = planar_pose(q)
        """x [m], y [m] and yaw [rad], [..., 3]; yaw is about the world's z axis."""

    @property
    def yaw(self) -> torch.Tensor:
        """Turn about the world's z axis [rad], [...]."""
        return self.planar[..., 2]

    def __repr__(self) -> str:
        return f"Body({self.name!r}, position {tuple(self.position.shape)})"


class Bodies:
    """Bodies of a state by name: ``bodies["box"].position``."""

    def __init__(self, model: Model, body_q: torch.Tensor, body_v: torch.Tensor) -> None:
        self.names = model.body_names
        self.body_q, self.body_v = body_q, body_v

    def __getitem__(self, name: str) -> Body:
        if name not in self.names:
            close = difflib.get_close_matches(str(name), self.names, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise TaskError(f"there is no body {name!r}; {hint}there are {', '.join(self.names)}")
        i = self.names.index(name)
        return Body(name, self.body_q[..., i, :], self.body_v[..., i, :])

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"Bodies({', '.join(self.names)})"
