"""A pinhole camera: where points of the world are in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["Camera", "looking_at"]

_MARGIN = 0.92
"""Part of the picture that a box fills, at most."""


@dataclass(frozen=True, eq=False)
class Camera:
    """Camera at ``position`` that looks at ``target``, with z upwards in the picture."""

    position: np.ndarray
    """[3], m."""
    target: np.ndarray
    """[3], m."""
    fov: float
    """Angle between the picture's upper and lower edge [rad]."""
    width: int
    """[pixels]"""
    height: int
    """[pixels]"""

    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Unit vectors to the right, downwards and ahead."""
        return self._axes

    @cached_property
    def _axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        ahead = (self.target - self.position) / np.linalg.norm(self.target - self.position)
        right = np.cross(ahead, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        return right, np.cross(ahead, right), ahead

    @property
    def focal(self) -> float:
        """Distance of the picture in pixels."""
        return float(0.5 * self.height / np.tan(0.5 * self.fov))

    def project(self, points: np.ndarray) -> np.ndarray:
        """Column and row [n, 2] of points [n, 3] (m); (0, 0) is the middle of the upper left pixel.

        Points behind the camera have no place in the picture: nan.
        """
        right, down, ahead = self.axes()
        x = np.asarray(points, dtype=float) - self.position
        depth = x @ ahead
        depth = np.where(depth > 0.0, depth, np.nan)
        place = np.stack([x @ right, x @ down], axis=-1) * (self.focal / depth)[..., None]
        return place + 0.5 * np.array([self.width - 1, self.height - 1])  # type: ignore[no-any-return]

    def rays(self) -> dict[str, np.ndarray]:
        """Arguments of ``cast_picture``."""
        right, down, ahead = self.axes()
        corner = self.focal * ahead - 0.5 * (self.width - 1) * right - 0.5 * (self.height - 1) * down
        return {"position": self.position, "right": right, "down": down, "ahead": corner}


FRONT = (0.0, -0.74, 0.67)
"""Direction to the camera: from the front and above."""


def looking_at(
    bounds: np.ndarray, width: int, height: int, fov: float = 0.7, direction: Sequence[float] = FRONT
) -> Camera:
    """The nearest camera that has all of a box [2, 3] (m) in its picture.

    Args:
        bounds: Lowest and highest corner of the box [m].
        width: [pixels]
        height: [pixels]
        fov: Angle between the picture's upper and lower edge [rad].
        direction: From the box's middle to the camera, a unit vector.
    """
    corners = np.array([[bounds[i, 0], bounds[j, 1], bounds[k, 2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    target = bounds.mean(axis=0)
    towards = np.asarray(direction, dtype=float)
    size = float(np.linalg.norm(bounds[1] - bounds[0])) or 1.0
    near, far = 0.5 * size, 50.0 * size
    for _ in range(50):
        distance = 0.5 * (near + far)
        camera = Camera(target + distance * towards, target, fov, width, height)
        off = np.abs(camera.project(corners) / (0.5 * np.array([width - 1, height - 1])) - 1.0)
        if np.isfinite(off).all() and off.max() <= _MARGIN:
            far = distance
        else:
            near = distance
    return Camera(target + far * towards, target, fov, width, height)
