"""Stable-baselines3: its usual ways, and the batch as a VecEnv against its own DummyVecEnv of single environments."""

from __future__ import annotations

import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest

import carom.envs.gym  # noqa: F401 - registers
from carom.envs import TaskError

pytest.importorskip("stable_baselines3")

from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from carom.envs.sb3 import BatchVecEnv

NEAR = {"goals": ((0.012, 0.0, 0.0), (0.05, 0.0, 0.0)), "spread": 0.0, "threads": 1}  # reached within a few steps


def small(env, **options):
    return PPO("MlpPolicy", env, n_steps=8, batch_size=8, n_epochs=1, seed=0, device="cpu", **options)


def test_ppo_by_name_and_make_vec_env():
    """Both ask for render_mode="rgb_array"."""
    model = small("carom/Push-v0")
    before = [p.detach().clone() for p in model.policy.parameters()]
    model.learn(8)
    assert any((a != b).any() for a, b in zip(before, model.policy.parameters(), strict=True))
    env = make_vec_env("carom/Push-v0", n_envs=2, seed=0, env_kwargs={"threads": 1})
    env.reset()
    assert env.get_images()[0].shape == (336, 480, 3)
    assert env.render().shape[2] == 3
    assert env.get_attr("spec")[0].max_episode_steps == 40


@pytest.mark.parametrize("name", ["Push", "TentMap"])
def test_its_checker_has_nothing_to_say_of_normalized_actions(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(f"carom/{name}-v0", normalize_actions=True))


def test_batch_is_its_dummy_of_single_environments():
    """Observations, rewards, ends and infos over episodes that end at different times, with seeds and a goal."""
    options = NEAR | {"max_episode_steps": 3}
    ours = BatchVecEnv("carom/Push-v0", 4, **options)
    theirs = DummyVecEnv([lambda: Monitor(gymnasium.make("carom/Push-v0", normalize_actions=True, **options))] * 4)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    ours.seed(3)
    theirs.seed(3)
    actions = np.tile(np.array([0.5, 0.0], dtype=np.float32), (4, 1))
    ends = {"over": 0, "cut": 0}
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    for _ in range(9):
        mine, other = ours.step(actions), theirs.step(actions)
        for a, b in zip(mine[:3], other[:3], strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype
        for a, b in zip(mine[3], other[3], strict=True):
            assert a["TimeLimit.truncated"] == b["TimeLimit.truncated"]
            assert a["success"] == b["success"]
            assert ("terminal_observation" in a) == ("terminal_observation" in b)
            if "episode" in b:
                np.testing.assert_array_equal(a["terminal_observation"], b["terminal_observation"])
                assert a["episode"]["l"] == b["episode"]["l"]
                assert a["episode"]["r"] == pytest.approx(b["episode"]["r"], abs=1e-5)
                ends["over"] += 1
                ends["cut"] += a["TimeLimit.truncated"]
    assert 0 < ends["cut"] < ends["over"], ends
    for env in (ours, theirs):
        env.seed(7)
        env.set_options({"goal": [0.2, 0.05, 0.3]})
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    np.testing.assert_array_equal(ours.reset(), theirs.reset())  # seeds and options are used once


def test_what_algorithms_ask_of_a_batch():
    env = BatchVecEnv("push", 3, render_mode="rgb_array", threads=1, max_episode_steps=4)
    env.reset()
    assert env.get_attr("limit") == [4, 4, 4]
    assert env.get_attr("render_mode", indices=[0, 2]) == ["rgb_array", "rgb_array"]
    assert env.get_attr("horizon", indices=1) == [40]  # the task's own
    assert not env.has_attr("nothing")
    assert env.env_is_wrapped(Monitor) == [True] * 3  # the infos have what it adds
    assert env.env_is_wrapped(gymnasium.wrappers.TimeLimit, indices=0) == [False]
    frames = env.env_method("render", indices=[2])
    np.testing.assert_array_equal(frames[0], env.get_images()[2])
    tiled = env.render()
    np.testing.assert_array_equal(tiled[:336, :480], env.get_images()[0])
    with pytest.raises(AttributeError, match="share 'limit': set it for all of them"):
        env.set_attr("limit", 5, indices=[0])
    env.set_attr("limit", 5)
    assert env.get_attr("limit", indices=0) == [5]
    with pytest.raises(AttributeError, match="reset of a world"):
        env.env_method("reset")
    with pytest.raises(TaskError, match="autoreset_mode is stable-baselines3's"):
        BatchVecEnv("push", autoreset_mode="NextStep")
    env.set_options({"colour": 1})
    with pytest.raises(TaskError, match="set_options knows the option goal, got colour"):
        env.reset()
    plain = BatchVecEnv("push", 2, normalize_actions=False, threads=1)
    assert plain.action_space == gymnasium.make("carom/Push-v0", threads=1).action_space


def test_learning_and_evaluation_on_a_batch():
    """PPO steps all worlds; evaluate_policy counts episodes of the batch by their infos, without a warning."""
    env = BatchVecEnv("push", 4, max_episode_steps=4, threads=1)
    model = small(env)
    model.learn(32)
    assert model.num_timesteps == 32
    assert len(model.ep_info_buffer) == 8
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, lengths = evaluate_policy(model, env, n_eval_episodes=4, return_episode_rewards=True)
    assert lengths == [4] * 4


@pytest.mark.slow
def test_subprocesses():
    """Each makes its environment anew; worlds and seeds are those of the batch."""
    options = {"threads": 1, "normalize_actions": True}
    env = make_vec_env("carom.envs.gym:carom/Push-v0", 2, vec_env_cls=SubprocVecEnv, env_kwargs=options)
    try:
        env.seed(3)
        batch = BatchVecEnv("push", 2, threads=1)
        batch.seed(3)
        np.testing.assert_array_equal(env.reset(), batch.reset())
        actions = np.full((2, 2), 0.5, dtype=np.float32)
        for a, b in zip(env.step(actions)[:3], batch.step(actions)[:3], strict=True):
            np.testing.assert_array_equal(a, b)
    finally:
        env.close()


def test_without_the_library():
    code = "import sys; sys.modules['stable_baselines3'] = None; import carom.envs.sb3"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "pip install 'carom[training]'" in done.stderr
