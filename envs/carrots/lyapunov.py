"""The cost of a pile: the mean distance of its pieces, or of the mass of its image, from a target square.

V of Suh and Tedrake, "The Surprising Effectiveness of Linear Models for Visual Foresight in Object Pile Manipulation"
(WAFR 2020): the mean distance to the target set, which falls to zero exactly when everything is inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...plain import plain_numbers
from ..errors import TaskError

__all__ = ["Square", "image_lyapunov", "mean_distance"]


@plain_numbers
@dataclass(frozen=True)
class Square:
    """A square on the table, its sides along x and y."""

    centre: tuple[float, float]
    """[m]"""
    half_side: float
    """[m]"""

    def distance(self, points: torch.Tensor) -> torch.Tensor:
        """Distance [m] of points [..., 2] to the square, zero inside; its derivative is zero on the border too."""
        off = (points - torch.tensor(self.centre, dtype=points.dtype, device=points.device)).abs() - self.half_side
        return torch.linalg.vector_norm(off.clamp(min=0.0), dim=-1)

    def pixels(self, count: int, *, dtype: torch.dtype, device: str) -> torch.Tensor:
        """Centres [count, count, 2] of the pixels of a raster of the square: row by y, column by x, both rising [m]."""
        at = (torch.arange(count, dtype=dtype, device=device) + 0.5) * (2.0 / count) - 1.0
        y, x = torch.meshgrid(at, at, indexing="ij")
        centre = torch.tensor(self.centre, dtype=dtype, device=device)
        return centre + self.half_side * torch.stack([x, y], dim=-1)


def mean_distance(points: torch.Tensor, target: Square) -> torch.Tensor:
    """Mean over pieces of the distance [m] of their centres [batch, n, 2] to the target, [batch]."""
    return target.distance(points).mean(dim=-1)


def image_lyapunov(image: torch.Tensor, view: Square, target: Square) -> torch.Tensor:
    """Mean distance [m] of an occupancy image from the target: sum of occupancy x distance over the sum of occupancy.

    Args:
        image: Occupancy [batch, n, n] of the square ``view``, row by y, column by x.
        view: Square that the image shows.
        target: The target.

    Returns:
        [batch]; distances are those of the pixels' centres.

    Raises:
        TaskError: An image is empty.
    """
    total = image.sum(dim=(1, 2))
    if bool((total <= 0.0).any()):
        world = int(torch.nonzero(total <= 0.0)[0])
        raise TaskError(
            f"carrots: the occupancy image of world {world} is empty, so that it has no mean distance: every piece has "
            "left the view (`task.view`); choose pushes that keep the pile in it"
        )
    distance = target.distance(view.pixels(image.shape[1], dtype=image.dtype, device=str(image.device)))
    return (image * distance).sum(dim=(1, 2)) / total
