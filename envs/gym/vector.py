"""A batch of worlds of a closed-loop task as a ``gymnasium.vector.VectorEnv``: one batch of the simulator."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from ...plain import plain_numbers
from ..control import ControlState, ControlTask
from ..errors import TaskError
from .common import array, checked_actions, checked_seed, limit_of, reset_goal, spaces_of, task_of
from .rendering import MODES, Picture, checked_mode, frames_per_second, picture_of

__all__ = ["CaromVectorEnv"]


@plain_numbers
class CaromVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """``num_envs`` worlds, stepped at once. Rewards are negative costs; actions are in SI units.

    ``env.unwrapped.task`` is the task itself, with its differentiable ``step`` in torch, and ``env.unwrapped.state``
    the worlds as they stand. World i with seed s is the single environment with seed s + i, episode by episode: it
    does not depend on the worlds beside it.

    ``info`` has ``success``, bool [num_envs], with its mask ``_success``. With autoreset in the next step
    (gymnasium's default) the last observation of an episode is the one returned with it; the next action of that world
    is ignored, its reward 0 and its observation the first of the next episode. With ``AutoresetMode.SAME_STEP`` the
    first one comes at once, and the last in ``info["final_obs"]``. With ``AutoresetMode.DISABLED`` a world that has
    ended waits for ``reset(options={"reset_mask": ended})``, which leaves the other worlds as they are.

    Args:
        num_envs: Worlds.
        task: Name of a closed-loop task, or one ready made.
        terminate_on_success: Whether an episode ends where the task succeeds.
        max_episode_steps: Steps after which an episode is truncated; by default the task's horizon.
        autoreset_mode: "NextStep", "SameStep" or "Disabled", or gymnasium's constants.
        render_mode: None, or "rgb_array": ``render`` gives a picture of every world.
        render_width: Width of a picture [pixels]; it is 0.7 times as high.
        normalize_actions: Whether actions are within [-1, 1], which stand for the task's bounds, in place of SI units.
        **options: Options of the task.

    Raises:
        TaskError: An unknown task or option.
        UnsupportedMode: Another render mode.
    """

    metadata: dict[str, Any] = {"render_modes": list(MODES), "render_fps": 10}  # noqa: RUF012 - gymnasium's name

    def __init__(
        self,
        num_envs: int = 1,
        task: str | ControlTask = "push",
        *,
        terminate_on_success: bool = True,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        render_width: int = 480,
        normalize_actions: bool = False,
        **options: Any,
    ):
        if isinstance(num_envs, bool) or not isinstance(num_envs, (int, np.integer)) or num_envs < 1:
            raise TaskError(f"num_envs must be an integer of at least 1, got {num_envs!r}")
        num_envs = int(num_envs)
        try:
            self.autoreset_mode = AutoresetMode(autoreset_mode)
        except ValueError:
            modes = ", ".join(repr(mode.value) for mode in AutoresetMode)
            raise TaskError(f"autoreset_mode is {autoreset_mode!r}: give one of {modes}") from None
        self.render_mode, self.render_width = checked_mode(render_mode, render_width), render_width
        self.task = task_of(task, options)
        self.num_envs = num_envs
        self.terminate_on_success, self.limit = terminate_on_success, limit_of(self.task, max_episode_steps)
        self.metadata = {
            "render_modes": list(MODES),
            "render_fps": frames_per_second(self.task),
            "autoreset_mode": self.autoreset_mode,
        }
        self.normalize_actions = normalize_actions
        self.single_observation_space, self.single_action_space = spaces_of(self.task, normalize_actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.state: ControlState | None = None
        self._keys: list[tuple[int, int]] = []
        self._ended = np.zeros(num_envs, dtype=bool)
        self._picture: Picture | None = None
        self._spec: EnvSpec | None = None

    @property
    def spec(self) -> EnvSpec | None:  # type: ignore[override]
        """Specification given to ``gymnasium.make_vec``; ``max_episode_steps`` is the limit of its episodes."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        self._spec = None if spec is None else dataclasses.replace(spec, max_episode_steps=self.limit)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode in every world, or in those of a mask.

        Args:
            seed: World i begins the first episode of seed + i (or of seed[i]); None, for all or for a world: the next
                of its own, or, where there was none, of a random seed.
            options: None, or some of ``"reset_mask"``, bool [num_envs]: only worlds where it is True begin an episode;
                and ``"goal"`` in place of the random ones, as ``task.goal_names`` says (pushes: x [m], y [m], yaw
                [rad]), [g] for all worlds or [num_envs, g]. It holds for the episodes that begin now.

        Raises:
            ClosedEnvironmentError: The environment is closed.
            ResetNeeded: A mask leaves out worlds before all have begun.
            TaskError: Bad seeds, a bad mask, a goal that cannot be, other options; nothing was reset.
        """
        self._refuse_closed()
        goal = reset_goal(self.task, options, "reset_mask")
        goals = None if goal is None else self.task.checked_goal(goal, self.num_envs)
        chosen = self._mask(options)
        if self.state is None and not chosen.all():
            raise gymnasium.error.ResetNeeded(f"{self.task.name}: reset all worlds before some by reset_mask")
        keys = self._next_keys(seed, chosen)
        self._keys = [new if one else old for new, old, one in zip(keys, self._keys or keys, chosen, strict=True)]
        self._ended[chosen] = False
        with torch.no_grad():
            begun = self.task.fresh([key for key, one in zip(self._keys, chosen, strict=True) if one])
            if goals is not None:
                begun = self.task.with_goal(begun, goals[torch.from_numpy(chosen)])
            before = self.state
            state = begun if before is None or chosen.all() else before.replaced(self._index(chosen), begun)
            self.state = state
            return array(self.task.observe(state)), {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Step every world one control interval; worlds whose episode has ended begin the next one.

        Raises:
            ResetNeeded: There was no reset; or, with autoreset disabled, none of a world whose episode has ended.
            ClosedEnvironmentError: The environment is closed.
            InvalidAction: A wrong shape, an action that is not finite or out of bounds; nothing was stepped.
        """
        self._refuse_closed()
        if self.state is None:
            raise gymnasium.error.ResetNeeded(f"{self.task.name}: call reset before step")
        if self.autoreset_mode is AutoresetMode.DISABLED and self._ended.any():
            worlds = ", ".join(map(str, np.flatnonzero(self._ended)))
            raise gymnasium.error.ResetNeeded(
                f"{self.task.name}: the episode of world {worlds} has ended, and autoreset is disabled: call "
                'reset(options={"reset_mask": terminated | truncated})'
            )
        active = ~self._ended
        checked = checked_actions(self.task, actions, active, normalized=self.normalize_actions)
        rewards = np.zeros(self.num_envs, dtype=np.float64)
        success = np.zeros(self.num_envs, dtype=bool)
        with torch.no_grad():
            running, state = self._index(active), self.state
            if len(running):
                whole = bool(active.all())
                result = self.task.step(
                    state if whole else state.select(running), checked if whole else checked[running]
                )
                rewards[active] = -array(result.cost, np.float64)
                success[active] = array(self.task.success(result.state), bool)
                state = result.state if whole else state.replaced(running, result.state)
            state = self._begin_next(state, ~active)
            terminated = success & self.terminate_on_success
            truncated = active & (array(state.time, np.int64) >= self.limit)
            infos: dict[str, Any] = {"success": success, "_success": active}
            over = terminated | truncated
            observations = array(self.task.observe(state))
            if self.autoreset_mode is AutoresetMode.SAME_STEP and over.any():
                infos |= self._final(observations, success, over)
                state = self._begin_next(state, over)
                observations = array(self.task.observe(state))
                infos |= {"success": success & ~over, "_success": ~over}
                over = np.zeros_like(over)
        self.state, self._ended = state, over
        return observations, rewards, terminated, truncated, infos

    def render(self) -> tuple[np.ndarray, ...] | None:
        """A picture of every world as it stands, uint8 [height, width, 3] each; see ``CaromEnv.render``.

        Raises:
            ClosedEnvironmentError: The environment is closed.
            ResetNeeded: There was no reset.
        """
        self._refuse_closed()
        if self.render_mode is None:
            gymnasium.logger.warn(f"{self.task.name}: nothing is rendered: give make_vec render_mode='rgb_array'")
            return None
        return tuple(self.picture(world) for world in range(self.num_envs))

    def picture(self, world: int) -> np.ndarray:
        """A picture of one world as it stands, uint8 [height, width, 3]; whatever the render mode.

        Raises:
            ClosedEnvironmentError: The environment is closed.
            ResetNeeded: There was no reset.
            IndexError: There is no such world.
        """
        self._refuse_closed()
        if self.state is None:
            raise gymnasium.error.ResetNeeded(f"{self.task.name}: call reset before render")
        if not 0 <= world < self.num_envs:
            raise IndexError(f"{self.task.name}: there are worlds 0 to {self.num_envs - 1}, no {world}")
        if self._picture is None:
            self._picture = picture_of(self.task, self.render_width)
        return self._picture(self.state, world)

    def _begin_next(self, state: ControlState, worlds: np.ndarray) -> ControlState:
        """The next episode in ``worlds`` (bool [num_envs])."""
        if not worlds.any():
            return state
        chosen = np.flatnonzero(worlds).tolist()
        for i in chosen:
            self._keys[i] = (self._keys[i][0], self._keys[i][1] + 1)
        return state.replaced(self._index(worlds), self.task.fresh([self._keys[i] for i in chosen]))

    def _final(self, observations: np.ndarray, success: np.ndarray, over: np.ndarray) -> dict[str, Any]:
        final = np.full(self.num_envs, None, dtype=object)
        for i in np.flatnonzero(over):
            final[i] = observations[i]
        info = {"success": success & over, "_success": over}
        return {"final_obs": final, "_final_obs": over, "final_info": info, "_final_info": over}

    def _index(self, mask: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.flatnonzero(mask)).to(self.task.device)

    def _refuse_closed(self) -> None:
        if self.closed:
            raise gymnasium.error.ClosedEnvironmentError(f"{self.task.name}: the environment is closed")

    def _mask(self, options: dict[str, Any] | None) -> np.ndarray:
        """Worlds that a reset is for, bool [num_envs]."""
        mask = (options or {}).get("reset_mask")
        if mask is None:
            return np.ones(self.num_envs, dtype=bool)
        chosen = np.asarray(mask)
        if chosen.dtype != bool or chosen.shape != (self.num_envs,) or not chosen.any():
            raise TaskError(
                f"{self.task.name}: reset_mask must be bool of shape ({self.num_envs},) with a True in it, got "
                f"{chosen.dtype} of shape {chosen.shape}"
            )
        return chosen

    def _next_keys(self, seed: Any, chosen: np.ndarray) -> list[tuple[int, int]]:
        """Seed and number of the episode that each world begins if it is chosen."""
        if isinstance(seed, (Sequence, np.ndarray, torch.Tensor)) and not isinstance(seed, str) and np.ndim(seed):
            seeds = list(seed) if isinstance(seed, Sequence) else seed.tolist()
            given = [None if one is None else checked_seed(self.task, one) for one in seeds]
            if len(given) != self.num_envs:
                raise TaskError(
                    f"{self.task.name}: seed must be an integer, or one for each of {self.num_envs} worlds, got "
                    f"{len(given)}"
                )
        elif seed is None:
            given = [None] * self.num_envs
        else:
            first = checked_seed(self.task, seed)
            given = [first + i for i in range(self.num_envs)]
        known = [one for one, begins in zip(given, chosen, strict=True) if begins and one is not None]
        super().reset(seed=known[0] if known else None)
        if not self._keys and None in given:
            drawn = int(self.np_random.integers(2**31))
            given = [drawn + i if one is None else one for i, one in enumerate(given)]
        return [(self._keys[i][0], self._keys[i][1] + 1) if one is None else (one, 0) for i, one in enumerate(given)]
