"""Worlds that differ: friction, mass and start of each, drawn from its number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch

from ...gradients.noise.counter_random import draw_uniforms
from ...plain import plain_numbers
from ...sim import Model
from ..errors import TaskError

__all__ = ["Randomize", "Worlds"]


class Worlds(NamedTuple):
    """Quantities that differ between worlds."""

    parameters: dict[str, torch.Tensor]
    """Parameters of the rollout, a row a world."""
    pieces_q: torch.Tensor
    """Poses of the pieces at the start, [worlds, n, 7]."""


@plain_numbers
@dataclass(frozen=True)
class Randomize:
    """Ranges over which worlds differ. World w is the same whatever worlds are beside it.

    Shapes are the same in all worlds. A pile comes to rest with the task's own friction; where a world has less, it
    may settle a little further while the blade comes down.

    Args:
        friction: Range of the coefficients of the table, of the blade and of each piece.
        mass: Range of the factor on each piece's mass (and inertia).
        piles: Number of settled piles of the same pieces, each spilled on its own, one of which a world starts from.
        shift: A world's pile is moved by up to this much along x and along y [m].
        turn: A world's pile is turned about the origin by up to this angle either way [rad].
        seed: Seed of all these draws.

    Raises:
        TaskError: A range that is empty, not finite or not positive.
    """

    friction: tuple[float, float] = (0.35, 0.65)
    mass: tuple[float, float] = (0.9, 1.1)
    piles: int = 4
    shift: float = 0.01
    turn: float = math.pi
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("friction", "not negative"), ("mass", "positive")):
            value = getattr(self, name)
            good = len(value) == 2 and all(map(math.isfinite, value)) and 0.0 <= value[0] <= value[1]
            if not good or (name == "mass" and value[0] == 0.0):
                raise TaskError(f"Randomize: {name} must be a range (low, high) of finite {least} numbers, got {value}")
        if isinstance(self.piles, bool) or not isinstance(self.piles, int) or self.piles < 1:
            raise TaskError(f"Randomize: piles must be an integer of at least 1, got {self.piles!r}")
        for name in ("shift", "turn"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise TaskError(f"Randomize: {name} must be finite and not negative, got {value}")

    def draw(self, model: Model, piles: torch.Tensor, worlds: int) -> Worlds:
        """Worlds 0 to ``worlds`` - 1.

        Args:
            model: The task's scene: shape i + 1 belongs to body i, the pieces come first and the blade last.
            piles: Settled poses [piles, n, 7].
            worlds: Number of worlds.
        """
        count = piles.shape[1]

        def uniform(stream: str, columns: int) -> torch.Tensor:
            u = draw_uniforms(self.seed, f"carrots {stream}", first=0, rows=worlds, columns=columns)
            return u.to(device=model.device, dtype=model.dtype)

        friction = self.friction[0] + (self.friction[1] - self.friction[0]) * uniform("friction", model.shapes)
        factor = self.mass[0] + (self.mass[1] - self.mass[0]) * uniform("mass", count)
        factor = torch.cat([factor, factor.new_ones(worlds, model.bodies - count)], dim=1)
        start = uniform("start", 4)
        chosen = piles[(start[:, 0] * len(piles)).long()]
        moved = _turned(chosen, (2.0 * start[:, 1] - 1.0) * self.turn)
        moved[..., :2] += self.shift * (2.0 * start[:, None, 2:] - 1.0)
        parameters = {
            "shape_friction": friction,
            "body_mass": model.body_mass * factor,
            "body_inertia": model.body_inertia * factor[..., None, None],
        }
        return Worlds(parameters, moved)


def _turned(q: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Poses [worlds, n, 7] turned about the world's z axis by ``angle`` [worlds] [rad]; a new tensor."""
    c, s = angle.cos()[:, None], angle.sin()[:, None]
    x, y, z, qx, qy, qz, qw = q.unbind(-1)
    ch, sh = (0.5 * angle).cos()[:, None], (0.5 * angle).sin()[:, None]
    parts = [c * x - s * y, s * x + c * y, z]
    parts += [ch * qx - sh * qy, ch * qy + sh * qx, ch * qz + sh * qw, ch * qw - sh * qz]
    return torch.stack(parts, dim=-1)
