"""The carrot pile in closed loop: an action is one push."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from ...gradients.noise.counter_random import derive_seed
from ...plain import plain_numbers
from ...sim import State
from ..carrots import Carrots
from ..carrots.randomize import Randomize, Worlds
from ..errors import TaskError
from .interface import ControlState, ControlTask, Key

__all__ = ["CarrotsControl"]


@plain_numbers
class CarrotsControl(ControlTask):
    """``carrots`` in closed loop: one straight push of the blade an action, (x0, y0, x1, y1) [m], within the view.

    The cost of a push is the mean distance [m] of the pieces from the target square after it. Success: at most
    ``success_distance``. The observation is the pieces' poses, x, y, z [m] and quaternion xyzw of each.

    Args:
        pieces: Number of pieces.
        horizon: Pushes of an episode.
        randomize: Ranges over which episodes differ; its seed does not matter. By default one settled pile, turned
            about the origin at random and shifted by up to 1 cm, with the same friction and masses everywhere.
        **options: Further options of :class:`carom.envs.Carrots`.

    Raises:
        TaskError: An option out of range.
    """

    name: ClassVar[str] = "carrots"
    description: ClassVar[str] = "push a pile of carrot pieces into a square, one push of a blade an action"

    training_steps: ClassVar[int] = 20_000
    """A push is 219 steps of 11 bodies, an interval of the other pushes 10 of 2."""
    training_window: ClassVar[int] = 1
    """The gradient of one push of ten pieces by its action is up to 1e6 m/m: several multiplied leave float32."""
    training_softening: ClassVar[dict[str, Any]] = {"shapes": ("blade",), "width": 1e-3}
    """Softening with a gradient about as large as the exact one. With 4 mm it is up to 1e14, with all shapes softened
    beyond 1e38: pieces that exert forces on each other at rest multiply every disturbance."""
    success_distance = 1e-3
    """[m]"""
    action_names = ("x0", "y0", "x1", "y1")

    def __init__(
        self,
        *,
        pieces: int = 10,
        horizon: int = 5,
        randomize: Randomize | None = None,
        friction: float = 0.5,
        **options: Any,
    ):
        if isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 1:
            raise TaskError(f"{self.name}: horizon must be an integer of at least 1, got {horizon!r}")
        self.randomize = randomize or Randomize(friction=(friction, friction), mass=(1.0, 1.0), piles=1, turn=math.pi)
        self.carrots = Carrots(pieces=pieces, randomize=self.randomize, friction=friction, **options)
        self.objective = self.carrots
        self.horizon = horizon
        (x, y), half = self.carrots.view.centre, self.carrots.view.half_side
        self.action_low, self.action_high = 2 * (x - half, y - half), 2 * (x + half, y + half)
        self.observation_names = tuple(
            f"piece{i}.{part}" for i in range(pieces) for part in ("x", "y", "z", "qx", "qy", "qz", "qw")
        )

    @property
    def interval(self) -> float:
        """Simulated time that a push takes [s]."""
        return self.carrots.push_steps * self.carrots.simulator.step_size

    def goal_outline(self, state: ControlState, world: int) -> np.ndarray:
        """The target square [4, 2], m."""
        return np.array(self.carrots.goal_outline)

    def picture_bounds(self) -> np.ndarray:
        """Pile, target and most of where a push may go, [2, 3], m."""
        view, top = self.carrots.view, 2.0 * self.carrots.blade_half_extents[2]
        half = view.half_side - 0.05  # of the 10 cm that the view has around
        (x, y) = view.centre
        return np.array([[x - half, y - half, 0.0], [x + half, y + half, top]])

    def fresh(self, keys: Sequence[Key]) -> ControlState:
        """Worlds with the pile at rest, turned and shifted at random."""
        draws = [
            self.carrots.worlds(1, dataclasses.replace(self.randomize, seed=derive_seed(seed, "carrots", episode)))
            for seed, episode in keys
        ]
        parameters = {name: torch.cat([one.parameters[name] for one in draws]) for name in draws[0].parameters}
        start = self.carrots.pile_state(len(keys), Worlds(parameters, torch.cat([one.pieces_q for one in draws])))
        centre = start.body_q.new_tensor(self.carrots.target_square.centre).expand(len(keys), 2)
        time = torch.zeros(len(keys), dtype=torch.int64, device=centre.device)
        return ControlState(start, centre, centre[:, :0], time, parameters)

    def advance(self, state: ControlState, action: torch.Tensor) -> tuple[State, torch.Tensor]:
        """One push; the controllers keep no state."""
        return self.carrots.push(state.bodies, action, state.parameters), state.command

    def cost(self, before: ControlState, action: torch.Tensor, after: ControlState) -> torch.Tensor:
        """Mean distance of the pieces from the target square after the push [m], [W]."""
        return self.carrots.cost(after.bodies)

    def observe(self, state: ControlState) -> torch.Tensor:
        """Poses of the pieces, [W, 7 pieces]."""
        return self.carrots.observe(state.bodies).flatten(1)

    def success(self, state: ControlState) -> torch.Tensor:
        """Whether the pieces are in the square, but for ``success_distance`` in the mean; bool [W]."""
        return self.carrots.cost(state.bodies) <= self.success_distance
