"""The carrot-pile task: straight pushes of a blade in, distance of the pieces from a target square out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch

from ...gradients.core.unrolled import UnrolledObjective
from ...gradients.noise.counter_random import derive_seed
from ...plain import plain_numbers
from ...sim import Diagnostics, Recording, Simulator, State, Trajectory, join_recordings, record
from ..errors import TaskError
from ..stepwise import EVERY, chunks, simulated_steps
from ..task import Task
from .blade import Blade
from .cache import settled_pile
from .cutting import cut_carrot
from .lyapunov import Square, image_lyapunov, mean_distance
from .occupancy import Occupancy
from .randomize import Randomize, Worlds
from .scene import build_scene
from .spilling import Spill, pile_half_side

__all__ = ["Carrots"]

PUSH_SPEED = 0.3
"""Mean speed of a push through the pile to the target [m/s]."""

LANE = 0.08
"""Distance between the lanes of the initial pushes [m]: a little less than the blade is wide."""

_CARROT = ("#F6A85C", "#F2953E", "#F8BD80", "#EFA24F")


@plain_numbers
class Carrots(Task):
    """Push a pile of carrot pieces into a square with a blade 10 cm wide.

    An action is one push, (x0, y0, x1, y1) [m]: the blade comes down at the first point, square to the way it will
    go, moves straight to the second, and is lifted. The parameters are the actions of an episode one after the other:
    x0_0, y0_0, x1_0, y1_0, x0_1, ... The cost [m] is the mean distance of the pieces' centres of mass from the target
    square at the end, zero for those inside; see ``lyapunov.py``.

    Bodies 0 to n - 1 are the pieces, the last one (``blade_body``) is the blade. ``dtype`` and ``device`` are those of
    the pushing; the pile itself is made once, on the CPU in float64, and cached.

    Args:
        pieces: Number of pieces, 1 to 200.
        pushes: Pushes of an episode.
        seed: Seed of the cuts and the spill.
        randomize: Ranges over which worlds differ; None: all worlds are alike. The rows of a batch of parameters are
            worlds 0, 1, ...
        blade: The blade and the phases of a push. By default a push takes as long as from behind the pile to the
            middle of the target at a mean of 0.3 m/s, but at least 0.7 s.
        friction: Coefficient of friction of everything, where worlds do not differ.
        device: "cpu", "cuda:0", ...
        dtype: "float32" or "float64", the precision of the simulation.
        step: Step size [s].
        **options: Further options of the ``Simulator``.

    Raises:
        TaskError: A number out of range.
    """

    name: ClassVar[str] = "carrots"
    description: ClassVar[str] = (
        "push a pile of 1 to 200 carrot pieces into a square with a blade; options: pieces, pushes"
    )
    parameter_unit: ClassVar[str] = "m"
    softened_shapes: ClassVar[tuple[str, ...]] = ("blade",)
    softening_width: ClassVar[dict[str, float]] = {"softplus": 4e-3, "log_barrier": 5e-4}
    smoothing_scale: ClassVar[float] = 0.01
    """Standard deviation of the noise on each coordinate of an action for which the smoothed cost is informative [m]:
    half a piece."""

    def __init__(
        self,
        *,
        pieces: int = 10,
        pushes: int = 1,
        seed: int = 0,
        randomize: Randomize | None = None,
        blade: Blade | None = None,
        friction: float = 0.5,
        device: str = "cpu",
        dtype: str = "float32",
        step: float = 0.005,
        **options: Any,
    ):
        if isinstance(pushes, bool) or not isinstance(pushes, int) or pushes < 1:
            raise TaskError(f"carrots: pushes must be an integer of at least 1, got {pushes!r}")
        if not (math.isfinite(friction) and friction >= 0.0):
            raise TaskError(f"carrots: friction must be finite and not negative, got {friction}")
        if randomize is not None and not isinstance(randomize, Randomize):
            raise TaskError(f"carrots: randomize must be a Randomize or None, got {type(randomize).__name__}")
        self.pieces = cut_carrot(pieces, seed)
        self.pushes, self.randomize = pushes, randomize
        half = pile_half_side(pieces)
        side = math.sqrt(2.0) * half
        self.target_square = Square((half + 0.05 + side, 0.0), side)
        """Target of the pieces: twice the area of a single layer, beside the pile."""
        reach = self.target_square.centre[0]
        self.view = Square((0.5 * reach, 0.0), 0.5 * reach + side + 0.1)
        """Square that the image shows: pile and target with 10 cm around."""
        self.blade = blade or Blade(push_duration=max(0.7, (half + 0.08 + reach) / PUSH_SPEED))
        self.blade_half_extents = self.blade.half_extents
        self.blade_body = pieces
        spills = range(randomize.piles if randomize else 1)
        piles = [settled_pile(self.pieces, Spill(derive_seed(seed, "pile", i), friction)) for i in spills]
        self.model = build_scene(self.pieces, piles[0], friction, self.blade).finalize(device=device, dtype=dtype)
        self.simulator = Simulator(self.model, step=step, **options)
        self.device, self.dtype = self.model.device, self.model.dtype
        self._piles = torch.stack([torch.from_numpy(p) for p in piles]).to(device=self.device, dtype=self.dtype)
        self.push_steps = sum(self.blade.phases(step))
        """Steps of one push."""
        self.parameter_names = tuple(f"{c}_{i}" for i in range(pushes) for c in ("x0", "y0", "x1", "y1"))
        self.landscape_axes = (4 * pushes - 2, 4 * pushes - 1)
        """The parameters over which the cost is drawn: the end of the last push."""
        self.occupancy = Occupancy([piece.mesh for piece in self.pieces], self.view)

    @property
    def rollout_steps(self) -> int:
        """Steps of the simulator in an episode."""
        return self.pushes * self.push_steps

    @property
    def piece_count(self) -> int:
        """Number of pieces."""
        return len(self.pieces)

    def worlds(self, count: int, randomize: Randomize | None = None) -> Worlds:
        """Parameters of worlds 0 to ``count`` - 1 and initial poses of their pieces; by default those of the task."""
        randomize = randomize or self.randomize
        if randomize is None:
            return Worlds({}, self._piles.expand(count, -1, -1))
        return randomize.draw(self.model, self._piles, count)

    def pile_state(self, worlds: int = 1, drawn: Worlds | None = None) -> State:
        """Worlds (as ``drawn``, or 0 to ``worlds`` - 1) with the pile at rest and the blade lifted, over the origin."""
        state = self.model.state(worlds)
        state.body_q[:, : self.piece_count] = (drawn or self.worlds(worlds)).pieces_q
        state.body_q[:, self.blade_body, 2] = self.blade.low + self.blade.lift
        return state

    def initial_parameters(self) -> torch.Tensor:
        """Straight pushes from behind the pile to the target, the first through the pile's middle. [parameters]."""
        pile = self._piles[0]
        x, y = self.target_square.centre
        start = float(pile[:, 0].min()) - 0.04
        stop, most = x - 0.5 * self.target_square.half_side, 0.5 * self.target_square.half_side
        actions = []
        for i in range(self.pushes):
            lane = LANE * ((i + 1) // 2) * (1 if i % 2 else -1)
            actions.append([start, float(pile[:, 1].mean()) + lane, stop, y + min(max(lane, -most), most)])
        return torch.tensor(actions, dtype=self.dtype, device=self.device).reshape(-1)

    def actions(self, theta: torch.Tensor) -> torch.Tensor:
        """Actions [batch, pushes, 4] of the parameters [batch, 4 pushes] [m]."""
        return theta.reshape(*theta.shape[:-1], self.pushes, 4)

    def way_points(self, theta: torch.Tensor) -> torch.Tensor:
        """Start and end of every push, [batch, 2 pushes, 2] [m]."""
        return theta.reshape(*theta.shape[:-1], 2 * self.pushes, 2)

    def controls(self, theta: torch.Tensor) -> torch.Tensor:
        """Targets of the blade's controllers in an episode: x, y, z [m] and yaw [rad]; [steps, batch, 4]."""
        actions = self.actions(self.check(theta))
        return torch.cat([self._targets(actions[:, i]) for i in range(self.pushes)])

    def _targets(self, action: torch.Tensor) -> torch.Tensor:
        return self.blade.targets(action, self.simulator.step_size, -float(self.model.gravity[0, 2]))

    def push(self, state: State, action: torch.Tensor, parameters: dict[str, torch.Tensor] | None = None) -> State:
        """The state after one push: for policies and planners in closed loop. Differentiable in both arguments.

        Args:
            state: W worlds; where the blade is does not matter. With ``randomize`` they are worlds 0 to W - 1.
            action: x0, y0, x1, y1 [m], [W, 4].
            parameters: Parameters of the rollout; by default those of worlds 0 to W - 1.

        Raises:
            TaskError: A wrong shape, a value that is not finite, a push without length.
        """
        return self.push_trajectory(state, action, record=False, parameters=parameters).final

    def push_trajectory(
        self,
        state: State,
        action: torch.Tensor,
        record: bool = True,
        parameters: dict[str, torch.Tensor] | None = None,
    ) -> Trajectory:
        """All states of one push; entry 0 has the blade lifted above the first point."""
        if not isinstance(action, torch.Tensor) or tuple(action.shape) != (state.worlds, 4):
            shape = tuple(action.shape) if isinstance(action, torch.Tensor) else type(action).__name__
            raise TaskError(f"carrots: action must be a tensor of shape [worlds, 4] = [{state.worlds}, 4], got {shape}")
        if not bool(torch.isfinite(action.detach()).all()):
            row = int(torch.nonzero(~torch.isfinite(action.detach()).all(dim=1))[0])
            raise TaskError(f"carrots: the action of row {row} is not finite: {action[row].tolist()}")
        action = action.to(device=self.device, dtype=self.dtype)
        parameters = self.worlds(state.worlds).parameters if parameters is None else parameters
        start = self._with_blade(state, action)
        return self.simulator.rollout(start, self._targets(action), parameters, record=record)

    def _with_blade(self, state: State, action: torch.Tensor) -> State:
        """The state with the blade lifted above the first point of a push."""
        n = self.blade_body
        pose = self.blade.start_pose(action)[:, None]
        q = torch.cat([state.body_q[:, :n].to(pose), pose], dim=1)
        v = torch.cat([state.body_v[:, :n].to(pose), pose.new_zeros(len(pose), 1, 6)], dim=1)
        return State(q, v)

    def rollout(self, theta: torch.Tensor, record: bool = True) -> Trajectory:
        """The simulated episode. ``theta`` is [batch, parameters].

        Between two pushes the blade jumps from one place high above the pile to another; the recorded states have it
        where it ended the push before.
        """
        actions = self.actions(self.check(theta))
        state, parts = self.pile_state(len(actions)), []
        for i in range(self.pushes):
            parts.append(self.push_trajectory(state, actions[:, i], record=record))
            state = parts[-1].final
        return _joined(parts)

    def stepwise(self, every: int = EVERY) -> UnrolledObjective:
        """The episode as an unrolled objective; ``every`` steps of the simulator within a push make one step of it."""
        n, one = self.push_steps, chunks(self.name, self.push_steps, every)

        def before(begin: int, theta: torch.Tensor, state: State) -> State:
            push, within = divmod(begin, n)
            return state if within else self._with_blade(state, self.actions(self.check(theta))[:, push])

        return simulated_steps(
            self.name,
            self._pieces_simulator(),
            [(i * n + first, i * n + last) for i in range(self.pushes) for first, last in one],
            start=lambda theta: self.pile_state(len(theta)),
            cost=lambda theta, final: self.cost(final),
            controls=self.controls,
            parameters=lambda theta: self.worlds(len(theta)).parameters,
            before=before,
        )

    def record(self, theta: torch.Tensor) -> Recording:
        """Poses, contacts and forces of the episode; a world for each row of ``theta`` [batch, parameters]."""
        actions = self.actions(self.check(theta))
        state, parameters, parts = self.pile_state(len(actions)), self.worlds(len(actions)).parameters, []
        for i in range(self.pushes):
            trajectory = self.push_trajectory(state, actions[:, i])
            parts.append(record(self.simulator, trajectory, self._targets(actions[:, i]), parameters))
            state = trajectory.final
        return join_recordings(parts)

    @property
    def goal_outline(self) -> list[tuple[float, float]]:
        """Corners of the target square [m]."""
        (x, y), half = self.target_square.centre, self.target_square.half_side
        return [(x + u * half, y + v * half) for u, v in ((-1, -1), (1, -1), (1, 1), (-1, 1))]

    @property
    def body_colors(self) -> dict[str, str]:
        """Colours for pictures, by the body's name."""
        return {f"piece{i}": _CARROT[i % len(_CARROT)] for i in range(self.piece_count)}

    def outputs(self, theta: torch.Tensor) -> torch.Tensor:
        """Final centres of mass of the pieces: x0, y0, x1, y1, ... [m]; [batch, 2 pieces]."""
        return self.rollout(theta, record=False).final.body_q[:, : self.piece_count, :2].flatten(1)

    def loss(self, outputs: torch.Tensor) -> torch.Tensor:
        """Mean distance [m] from the target square of the centres ``outputs`` [batch, 2 pieces]; [batch]."""
        return mean_distance(outputs.unflatten(1, (self.piece_count, 2)), self.target_square)

    def cost(self, state: State, kind: str = "poses") -> torch.Tensor:
        """The Lyapunov function of states, [worlds] [m]: of the pieces' poses, or of their image (no derivative)."""
        observed = self.observe(state, kind)
        if kind == "image":
            return image_lyapunov(observed, self.view, self.target_square)
        return mean_distance(observed[..., :2], self.target_square)

    def observe(self, state: State, kind: str = "poses") -> torch.Tensor:
        """Observation of a policy.

        Args:
            state: W worlds.
            kind: "poses": poses of the pieces, position [m] and quaternion xyzw, [W, n, 7]. "image": the part of each
                of 32 x 32 pixels of ``view`` that pieces cover from above, [W, 32, 32], row by y and column by x, both
                rising; constant between the states at which a sample point is entered, so without a derivative.

        Raises:
            TaskError: Another kind.
        """
        poses = state.body_q[:, : self.piece_count]
        if kind == "poses":
            return poses
        if kind == "image":
            return self.occupancy.image(poses)
        raise TaskError(f"carrots: unknown kind of observation {kind!r}; use 'poses' or 'image'")


def _joined(parts: Sequence[Trajectory]) -> Trajectory:
    """One trajectory joined of several, each of which starts where the one before ended."""

    def join(name: str) -> torch.Tensor | None:
        paths = [getattr(part, name) for part in parts]
        return None if paths[0] is None else torch.cat([paths[0], *(path[1:] for path in paths[1:])])

    return Trajectory(parts[-1].final, join("body_q"), join("body_v"), _summed([part.diagnostics for part in parts]))


def _summed(d: Sequence[Diagnostics]) -> Diagnostics:
    """Diagnostics of rollouts one after the other."""
    return Diagnostics(
        iterations=torch.stack([x.iterations for x in d]).sum(dim=0),
        steps=sum(x.steps for x in d),
        failed_steps=torch.stack([x.failed_steps for x in d]).sum(dim=0),
        first_failure=d[0].first_failure,  # always -1: a failure raised
        residual=torch.stack([x.residual for x in d]).amax(dim=0),
        contacts=torch.stack([x.contacts for x in d]).amax(dim=0),
        penetration=d[-1].penetration,
    )
