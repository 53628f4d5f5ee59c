"""Gymnasium environments: its checker, and the batch against its own SyncVectorEnv of single worlds."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import carom.envs.gym
from carom.envs import TaskError, make, tasks
from carom.envs.gym import ENVIRONMENTS

SMALL = {"Carrots": {"pieces": 2, "horizon": 2}}
NEAR = {"goals": ((0.012, 0.0, 0.0), (0.05, 0.0, 0.0)), "spread": 0.0, "threads": 1}  # reached within a few steps


def forward(env):
    """Straight at the box."""
    actions = np.zeros(env.action_space.shape, dtype=np.float32)
    actions[..., 0] = 0.01
    return actions


@pytest.mark.parametrize("name", ["Push", "PushT", "BoxPushing", "Carrots", "Billiards", "TentMap"])
def test_gymnasium_checks_pass(name):
    """An error fails; of its warnings only those about ranges remain: units are SI, observations have no bound."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(gymnasium.make(f"carom/{name}-v0", **SMALL.get(name, {})).unwrapped)
    expected = ("normalized space", "minimum value is -infinity", "maximum value is infinity", "CUDA")
    assert [str(w.message) for w in caught if not any(part in str(w.message) for part in expected)] == []


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_batch_is_gymnasiums_vector_of_single_worlds(mode):
    """Rewards, ends, first and last observations of episodes that end at different times, by gymnasium's own code."""
    options = NEAR | {"max_episode_steps": 3}
    ours = gymnasium.make_vec("carom/Push-v0", num_envs=4, autoreset_mode=mode, **options)
    singles = [lambda: carom.envs.gym.CaromEnv("push", **options)] * 4
    theirs = SyncVectorEnv(singles, autoreset_mode=mode)
    assert ours.metadata["autoreset_mode"] is mode
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    ends = {"terminated": 0, "truncated": 0, "mixed": 0}
    for seed in (3, None):
        a, b = ours.reset(seed=seed), theirs.reset(seed=seed)
        np.testing.assert_array_equal(a[0], b[0])
        assert a[1] == b[1] == {}
        for _ in range(11):
            (obs, reward, terminated, truncated, info) = a = ours.step(forward(ours))
            b = theirs.step(forward(ours))
            for mine, other in zip(a[:4], b[:4], strict=True):
                np.testing.assert_array_equal(mine, other)
                assert mine.dtype == other.dtype
            over = terminated | truncated
            ends["terminated"] += int(terminated.sum())
            ends["truncated"] += int(truncated.sum())
            ends["mixed"] += bool(over.any() and not over.all())
            same(info, b[4])
    assert min(ends.values()) > 0, ends
    assert obs.dtype == np.float32
    assert reward.dtype == np.float64


def same(mine, other):
    """Infos, where gymnasium's own has them: a key that no world has is left out there."""
    for key, value in other.items():
        if isinstance(value, dict):
            same(mine[key], value)
        elif value.dtype == object:
            assert [x is None for x in value] == [x is None for x in mine[key]]
            for x, y in zip(value, mine[key], strict=True):
                np.testing.assert_array_equal(x, y)
        else:
            np.testing.assert_array_equal(mine[key], value, err_msg=key)


def test_every_objective_is_an_environment():
    """Closed-loop tasks by their own names; of all others the reward of an action is minus their cost."""
    others = {options["objective"]: name for name, options in ENVIRONMENTS.items() if "objective" in options}
    assert {options["task"] for options in ENVIRONMENTS.values()} | set(others) == set(tasks()) | {"search"}
    for objective, name in others.items():
        env = gymnasium.make_vec(name, num_envs=2)
        observation, _ = env.reset(seed=0)
        env.action_space.seed(0)
        action = env.action_space.sample()
        task = env.unwrapped.task
        theta = task.initial + (task.scale * torch.tensor(observation) + torch.tensor(action)).to(task.initial)
        assert np.abs(observation).max() <= 2.0
        _, reward, terminated, truncated, _ = env.step(action)
        # observation and action are in float32; chaos makes more of it, so the tent map is left to its own test
        if objective in ("heaviside", "quadratic", "gap_push", "box_on_box", "linear"):
            np.testing.assert_allclose(reward, -make(objective)(theta).numpy(), rtol=1e-4, atol=1e-5)
        assert not (terminated | truncated).any()


def test_seeding():
    """The same seed is the same to the bit; worlds and episodes differ; no seed is a random one."""
    env = gymnasium.make_vec("carom/Push-v0", num_envs=3, threads=1)
    first, _ = env.reset(seed=1)
    stepped = env.step(forward(env))
    second, _ = env.reset()
    again, _ = env.reset(seed=1)
    np.testing.assert_array_equal(first, again)
    for x, y in zip(stepped[:4], env.step(forward(env))[:4], strict=True):
        np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(second, env.reset()[0])
    assert len(np.unique(np.concatenate([first, second]), axis=0)) == 6
    other = [gymnasium.make_vec("carom/Push-v0", num_envs=1, threads=1).reset()[0] for _ in range(2)]
    assert not np.array_equal(*other)
    np.testing.assert_array_equal(env.reset(seed=[5, 1, 9])[0][1], first[0])


def test_task_behind_the_environment_is_differentiable():
    """The reward is minus the cost of the task's own step, which torch differentiates."""
    env = gymnasium.make_vec("carom/Push-v0", num_envs=2, threads=1)
    env.reset(seed=0)
    state, task = env.unwrapped.state, env.unwrapped.task
    action = torch.tensor(forward(env), requires_grad=True)
    _, cost, observation = task.step(state, action)
    obs, reward, *_ = env.step(action.detach().numpy())
    np.testing.assert_array_equal(reward, -cost.detach().double().numpy())
    np.testing.assert_array_equal(obs, observation.detach().numpy())
    (slope,) = torch.autograd.grad(cost.sum(), action)
    assert (slope[:, 0] != 0).all()


def test_bad_input():
    env = gymnasium.make_vec("carom/Push-v0", num_envs=3, threads=1)
    with pytest.raises(gymnasium.error.ResetNeeded, match="push: call reset before step"):
        env.step(forward(env))
    env.reset(seed=0)
    for value, message in (
        (math.nan, "'dx' of world 1 is not finite"),
        (0.05, "'dx' of world 1 is 0.05, out of bounds"),
    ):
        actions = forward(env)
        actions[1, 0] = value
        with pytest.raises(gymnasium.error.InvalidAction, match=message):
            env.step(actions)
    with pytest.raises(gymnasium.error.InvalidAction, match=r"must have shape \(3, 2\), got \(2, 2\)"):
        env.step(forward(env)[:2])
    with pytest.raises(TaskError, match="reset knows the options goal, reset_mask, got colour"):
        env.reset(options={"colour": 1})
    env.close()
    with pytest.raises(gymnasium.error.ClosedEnvironmentError):
        env.step(forward(env))
    single = carom.envs.gym.CaromEnv("push")
    with pytest.raises(gymnasium.error.ResetNeeded):
        single.step(single.action_space.sample())
    with pytest.raises(TaskError, match="unexpected keyword argument 'colour'"):
        gymnasium.make_vec("carom/Push-v0", num_envs=1, colour="red")
    with pytest.raises(
        TaskError, match="autoreset_mode is 'next_step': give one of 'NextStep', 'SameStep', 'Disabled'"
    ):
        gymnasium.make_vec("carom/Push-v0", num_envs=1, autoreset_mode="next_step")
    with pytest.raises(TaskError, match=r"max_episode_steps must be an integer of at least 1, got 1\.5"):
        gymnasium.make_vec("carom/Push-v0", num_envs=1, max_episode_steps=1.5)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (torch.zeros(2, 2, requires_grad=True), "requires a gradient, which environments cut: give action.detach()"),
        (np.zeros((2, 2), dtype=complex), "not an array of numbers: its type is complex128"),
        (np.full((2, 2), "0"), "not an array of numbers: its type is <U1"),
        ([[0.0, 0.0], [0.0]], "not an array of numbers"),
    ],
)
def test_actions_of_other_kinds(actions, message):
    """They are refused where a part of them would be dropped; the worlds stay where they are."""
    env = gymnasium.make_vec("carom/Push-v0", num_envs=2, threads=1)
    env.reset(seed=0)
    state = env.unwrapped.state
    with pytest.raises(gymnasium.error.InvalidAction, match=re.escape(message)):
        env.step(actions)
    assert env.unwrapped.state is state


@pytest.mark.parametrize("seed", [[], [1, 2], [1, 2, -3], [1.5, 2, 3], "a", 1.5, -1, True])
def test_bad_seeds(seed):
    """One error for all of them, and what was there goes on as if nothing had been asked."""
    env = gymnasium.make_vec("carom/Push-v0", num_envs=3, threads=1)
    env.reset(seed=4)
    state = env.unwrapped.state
    with pytest.raises(TaskError, match="seed must be an integer"):
        env.reset(seed=seed)
    assert env.unwrapped.state is state
    other = gymnasium.make_vec("carom/Push-v0", num_envs=3, threads=1)
    other.reset(seed=4)
    np.testing.assert_array_equal(env.reset()[0], other.reset()[0])
    if not isinstance(seed, list):
        with pytest.raises(TaskError, match="seed must be an integer that is not negative"):
            carom.envs.gym.CaromEnv("push", threads=1).reset(seed=seed)


def test_seeds_of_some_worlds():
    """As gymnasium's SyncVectorEnv takes them: None in a list is a world that goes on to its next episode."""
    ours = gymnasium.make_vec("carom/Push-v0", num_envs=3, threads=1)
    theirs = SyncVectorEnv([lambda: carom.envs.gym.CaromEnv("push", threads=1)] * 3)
    for seed in (np.int64(7), [None, 3, None], [2, None, 9]):
        first = int(seed) if isinstance(seed, np.integer) else seed
        np.testing.assert_array_equal(ours.reset(seed=seed)[0], theirs.reset(seed=first)[0])


def test_without_autoreset_worlds_are_reset_by_mask():
    """Gymnasium's own SyncVectorEnv does the same; a world that has ended is not stepped."""
    options = NEAR | {"max_episode_steps": 3}
    ours = gymnasium.make_vec("carom/Push-v0", num_envs=4, autoreset_mode="Disabled", **options)
    assert ours.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    theirs = SyncVectorEnv(
        [lambda: carom.envs.gym.CaromEnv("push", **options)] * 4, autoreset_mode=AutoresetMode.DISABLED
    )
    with pytest.raises(gymnasium.error.ResetNeeded, match="reset all worlds before some"):
        ours.reset(options={"reset_mask": np.array([True, False, False, False])})
    np.testing.assert_array_equal(ours.reset(seed=3)[0], theirs.reset(seed=3)[0])
    alone = 0
    for turn in range(8):
        a, b = ours.step(forward(ours)), theirs.step(forward(ours))
        for mine, other in zip(a[:4], b[:4], strict=True):
            np.testing.assert_array_equal(mine, other)
        over = a[2] | a[3]
        if not over.any():
            continue
        state = ours.unwrapped.state
        with pytest.raises(gymnasium.error.ResetNeeded, match=f"world {', '.join(map(str, np.flatnonzero(over)))} has"):
            ours.step(forward(ours))
        assert ours.unwrapped.state is state
        alone += not over.all()
        seed = 40 if turn % 2 else None
        options = {"reset_mask": over}
        np.testing.assert_array_equal(
            ours.reset(seed=seed, options=options)[0], theirs.reset(seed=seed, options=dict(options))[0]
        )
        assert "reset_mask" in options
    assert alone > 0
    ours.reset(seed=3)
    over = np.zeros(4, dtype=bool)
    while over.sum() < 2:  # until two end at once
        if over.any():
            ours.reset(options={"reset_mask": over})
        _, _, terminated, truncated, _ = ours.step(forward(ours))
        over = terminated | truncated
    first, *others = np.flatnonzero(over)
    ours.reset(options={"reset_mask": np.arange(4) == first})
    with pytest.raises(gymnasium.error.ResetNeeded, match=f"world {', '.join(map(str, others))} has ended"):
        ours.step(forward(ours))  # those left out of the mask still wait
    for mask in (np.zeros(4, dtype=bool), np.ones(3, dtype=bool), np.ones(4), [1, 0, 0, 0]):
        with pytest.raises(TaskError, match=r"reset_mask must be bool of shape \(4,\) with a True in it"):
            ours.reset(options={"reset_mask": mask})


def test_a_closed_environment_does_nothing():
    """A batch and a single one alike."""
    for env in (carom.envs.gym.CaromEnv("push", threads=1), carom.envs.gym.CaromVectorEnv(2, "push", threads=1)):
        env.reset(seed=0)
        env.close()
        env.close()
        with pytest.raises(gymnasium.error.ClosedEnvironmentError, match="push: the environment is closed"):
            env.step(forward(env))
        with pytest.raises(gymnasium.error.ClosedEnvironmentError):
            env.reset()


def test_gymnasium_finds_it_by_module_and_says_what_is_missing():
    """Without the import, by gymnasium's "module:name"; and without gymnasium, what to install."""
    code = "import gymnasium; print(gymnasium.make_vec('carom.envs.gym:carom/BoxPushing-v0', num_envs=2))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "CaromVectorEnv(carom/BoxPushing-v0, num_envs=2)" in done.stdout, done.stderr
    code = "import sys; sys.modules['gymnasium'] = None; import carom.envs.gym"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "pip install 'carom[gymnasium]'" in done.stderr
