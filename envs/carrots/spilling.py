"""The pile: pieces dropped above the table in layers, simulated until they rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...sim import Simulator
from .cutting import Piece
from .scene import build_scene

__all__ = ["Spill", "drop_poses", "pile_half_side", "spill"]

AREA_PER_PIECE = 3.0e-4
"""Table area over which a piece is dropped [m^2]: about what one covers, so that a pile is one to two layers deep."""


@dataclass(frozen=True)
class Spill:
    """Settings of a spill: all that decides where the pieces come to rest, except the pieces themselves."""

    seed: int
    """Seed of the orientations and places in the air."""
    friction: float
    """Coefficient of friction of pieces and table."""
    step: float = 0.005
    """[s]"""
    longest: float = 3.0
    """Longest simulated time; the pile is then taken as it is [s]."""
    rest_speed: float = 1e-3
    """Largest speed of a centre of mass of a pile at rest, at two times 0.1 s apart [m/s]."""
    stiction: float = 1e-5
    """Slip speed below which friction is viscous [m/s]: a hundredth of the simulator's default, so that what leans
    on something rests, and does not creep until it falls."""
    clearance: float = 0.002
    """Distance between the lowest layer and the table, and between neighbours [m]."""


def pile_half_side(count: int) -> float:
    """Half of the side of the square over which ``count`` pieces are dropped [m]."""
    return 0.5 * math.sqrt(count * AREA_PER_PIECE)


def drop_poses(pieces: Sequence[Piece], spill: Spill) -> np.ndarray:
    """Poses [n, 7] in the air: random orientations, a cell of a grid of layers each, at random within it."""
    rng = np.random.default_rng([spill.seed, 1])
    radius = np.array([piece.mesh.size[0] for piece in pieces])
    pitch = 2.0 * radius.max() + spill.clearance
    across = max(1, round(2.0 * pile_half_side(len(pieces)) / pitch))
    cell = np.stack(np.unravel_index(np.arange(len(pieces)), (len(pieces), across, across)), axis=1)[:, ::-1]
    # the last layer is seldom full: which of its cells are taken is random
    last = cell[:, 2] == cell[-1, 2]
    free = rng.permutation(across * across)[: last.sum()]
    cell[last, :2] = np.stack(np.unravel_index(free, (across, across)), axis=1)
    centre = (cell + 0.5) * pitch - [0.5 * across * pitch, 0.5 * across * pitch, 0.0]
    slack = 0.5 * (pitch - spill.clearance) - radius
    position = centre + rng.uniform(-1.0, 1.0, (len(pieces), 3)) * slack[:, None]
    position[:, 2] += 0.5 * spill.clearance
    turn = rng.standard_normal((len(pieces), 4))
    return np.concatenate([position, turn / np.linalg.norm(turn, axis=1, keepdims=True)], axis=1)


def spill(pieces: Sequence[Piece], how: Spill) -> np.ndarray:
    """Poses of the pieces at rest: position of the centre of mass [m], quaternion xyzw; [n, 7].

    Simulated on the CPU, so that a pile does not depend on the device that it is pushed on.
    """
    model = build_scene(pieces, drop_poses(pieces, how), how.friction, None).finalize(dtype="float64")
    # a chunk may start in the middle of an impact
    options = {"step": how.step, "stiction": how.stiction, "tolerance": 1e-6, "threads": 1, "allow_overlap": True}
    simulator = Simulator(model, **options)
    state, every, slow = model.state(), max(1, round(0.1 / how.step)), False
    with torch.no_grad():
        for _ in range(max(1, round(how.longest / (every * how.step)))):
            state = simulator.rollout(state, steps=every, record=False).final
            before, slow = slow, float(state.body_v[..., :3].norm(dim=-1).max()) < how.rest_speed
            if before and slow:
                break
    return state.body_q[0].numpy()
