"""Switched-linear model: one matrix from image to image for each direction of the push.

The baseline of Suh and Tedrake, "The Surprising Effectiveness of Linear Models for Visual Foresight in Object Pile
Manipulation" (WAFR 2020): occupancy images, a switched-linear model found by least squares, greedy planning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..carrots import Carrots
from ..errors import TaskError

__all__ = ["LatticePushes", "SwitchedLinear", "fit_switched_linear"]

_LEAST = 20


@dataclass(frozen=True)
class LatticePushes:
    """Pushes from corners of pixels, in one of several directions, all of one length.

    On such a lattice an image can be moved to the start of a push without resampling, and turned by quarter turns.
    """

    task: Carrots
    directions: int = 8
    """Evenly around, the first along x; a multiple of 4."""
    length: float = 0.12
    """[m]"""

    def __post_init__(self) -> None:
        if self.directions < 4 or self.directions % 4:
            raise TaskError(f"carrots: directions must be a multiple of 4, got {self.directions}")
        if not 0.0 < self.length < 2.0 * self.task.view.half_side:
            raise TaskError(f"carrots: length must be positive and within the view, got {self.length}")

    @property
    def pixels(self) -> int:
        """Pixels a side of the image."""
        return self.task.occupancy.pixels

    @property
    def pixel(self) -> float:
        """Side of a pixel [m]."""
        return 2.0 * self.task.view.half_side / self.pixels

    @property
    def corner(self) -> torch.Tensor:
        """The view's corner of least x and y [m], [2]."""
        return torch.tensor(self.task.view.centre, dtype=torch.float64, device="cpu") - self.task.view.half_side

    def actions(self, start: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        """Pushes x0, y0, x1, y1 [n, 4] [m] from corners ``start`` [n, 2] (column, row) in directions [n]."""
        first = self.corner + self.pixel * start
        angle = 2.0 * math.pi / self.directions * direction.double()
        return torch.cat([first, first + self.length * torch.stack([angle.cos(), angle.sin()], dim=1)], dim=1)

    def toward(self, centres: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Random pushes, each toward a random one of the pieces [n, pieces, 2]: start [n, 2] and direction [n]."""
        count, pieces = centres.shape[:2]
        direction = torch.randint(self.directions, (count,), generator=generator, device="cpu")
        piece = torch.randint(pieces, (count,), generator=generator, device="cpu")
        back = self.length * torch.rand(count, generator=generator, dtype=torch.float64, device="cpu")
        angle = 2.0 * math.pi / self.directions * direction.double()
        at = centres[torch.arange(count, device="cpu"), piece].double() - back[:, None] * torch.stack(
            [angle.cos(), angle.sin()], 1
        )
        start = ((at - self.corner) / self.pixel).round().long().clamp(0, self.pixels)
        return start, direction

    def windows(self, image: torch.Tensor, start: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
        """Images [n, p, p] around each push's start, turned back by quarter turns [n], flat [n, p p].

        As large as the image, whose outside is empty.
        """
        p = self.pixels
        padded = torch.nn.functional.pad(image, (p // 2,) * 4)
        rows, columns = (
            start[:, 1, None] + torch.arange(p, device="cpu"),
            start[:, 0, None] + torch.arange(p, device="cpu"),
        )
        each = torch.arange(len(image), device="cpu")[:, None, None]
        return _turned(padded[each, rows[:, :, None], columns[:, None, :]], -turns).flatten(1)

    def place(
        self, image: torch.Tensor, change: torch.Tensor, start: torch.Tensor, turns: torch.Tensor
    ) -> torch.Tensor:
        """Images [n, p, p] with changes of their windows [n, p p] added back."""
        p = self.pixels
        padded = torch.nn.functional.pad(image, (p // 2,) * 4)
        rows, columns = (
            start[:, 1, None] + torch.arange(p, device="cpu"),
            start[:, 0, None] + torch.arange(p, device="cpu"),
        )
        each = torch.arange(len(image), device="cpu")[:, None, None]
        padded[each, rows[:, :, None], columns[:, None, :]] += _turned(change.unflatten(1, (p, p)), turns)
        return padded[:, p // 2 : -(p // 2), p // 2 : -(p // 2)]


def _turned(images: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Images [n, p, p] turned by quarter turns [n]; rows go by y and columns by x, both rising."""
    out = images.clone()
    for quarter in range(1, 4):
        chosen = turns % 4 == quarter
        if bool(chosen.any()):
            # rot90 from columns to rows: x to y, as a quarter turn about z
            out[chosen] = torch.rot90(images[chosen], quarter, dims=(2, 1))
    return out


@dataclass(frozen=True)
class SwitchedLinear:
    """y+ = y + D_k y for a push in direction k: images around the start of the push, one matrix for each direction.

    A quarter turn of pile and push turns the outcome, so directions a quarter turn apart share their data and, turned,
    their matrix; the rest of the physics it has to learn. Ridge regression pulls D toward 0, nothing moves.
    """

    pushes: LatticePushes
    matrices: torch.Tensor
    """D of the directions of the first quarter, [directions / 4, p p, p p]; acts on columns from the right: y D."""
    held_out_error: float
    """Root mean square error of the predicted image on held-out pushes, over that of the unchanged image."""
    samples: int

    def predict(self, image: torch.Tensor, start: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        """Occupancy [n, p, p] after each push, not limited to [0, 1]."""
        quarter = self.pushes.directions // 4
        turns = direction // quarter
        windows = self.pushes.windows(image, start, turns)
        change = torch.empty_like(windows)
        for k in range(quarter):
            chosen = direction % quarter == k
            change[chosen] = windows[chosen] @ self.matrices[k]
        return self.pushes.place(image, change, start, turns)


def fit_switched_linear(
    pushes: LatticePushes,
    before: torch.Tensor,
    after: torch.Tensor,
    start: torch.Tensor,
    direction: torch.Tensor,
    *,
    ridge: float = 1.0,
    held_out: float = 0.15,
) -> SwitchedLinear:
    """Least squares with a ridge on images before and after pushes.

    Args:
        pushes: The lattice.
        before: Occupancy before each push [n, p, p].
        after: Occupancy after it.
        start: Corner (column, row) at which it starts [n, 2].
        direction: Its direction [n].
        ridge: Weight of the squared entries of D.
        held_out: Share of the pushes (the last ones) on which the error is measured.

    Raises:
        TaskError: Too few pushes of a direction (a quarter turn counts as the same), or no change in any.
    """
    if not ridge > 0.0:
        raise TaskError(f"carrots: ridge must be positive, got {ridge}")
    quarter = pushes.directions // 4
    tested = max(2, round(held_out * len(before)))
    seen = slice(0, len(before) - tested)
    turns = direction // quarter
    x = pushes.windows(before, start, turns).double()
    d = pushes.windows(after, start, turns).double() - x
    if not bool((d != 0).any()):
        raise TaskError("carrots: no push changes its image, so that there is nothing to learn: aim at the pile")
    matrices = []
    for k in range(quarter):
        chosen = (direction[seen] % quarter == k).nonzero().reshape(-1)
        if len(chosen) < _LEAST:
            raise TaskError(
                f"carrots: {len(chosen)} pushes of direction {k} of {pushes.directions} to learn from, at least "
                f"{_LEAST} are needed: give more pushes or fewer directions"
            )
        a = x[seen][chosen]
        gram = a.T @ a + ridge * torch.eye(a.shape[1], dtype=a.dtype, device=a.device)
        matrices.append(torch.linalg.solve(gram, a.T @ d[seen][chosen]).to(before.dtype))
    model = SwitchedLinear(pushes, torch.stack(matrices), math.nan, len(before) - tested)
    last = slice(len(before) - tested, None)
    predicted = model.predict(before[last], start[last], direction[last])
    error = (predicted - after[last]).square().mean().sqrt() / (before[last] - after[last]).square().mean().sqrt()
    return SwitchedLinear(pushes, model.matrices, float(error), model.samples)
