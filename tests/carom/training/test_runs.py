"""Training runs: they learn, they are resumed to the bit, and stop where something becomes NaN."""

from __future__ import annotations

import dataclasses
import math
import re
import time

import pytest
import torch
from point_task import PointTask

from carom.envs import TaskError
from carom.gradients.noise.counter_random import derive_seed
from carom.runs import NotFiniteError, RunError, RunFolder
from carom.training import (
    LAX,
    ActorCritic,
    Analytic,
    Mixture,
    Policy,
    PolicyFileError,
    ScoreFunction,
    TrainingError,
    evaluate,
    load_policy,
    save_policy,
    train,
    unseen,
)
from carom.training.proximal import ProximalPolicy
from carom.training.registry import make_method

SMALL = {"worlds": 24, "window": 3, "hidden": (8, 8)}
METHODS = {
    "autodiff": ActorCritic(**SMALL),
    "smoothing": ActorCritic(gradient=ScoreFunction(), **SMALL),
    "mixed": ActorCritic(gradient=Mixture(), **SMALL),
    "lax": ActorCritic(gradient=LAX(hidden=(8,)), **SMALL),
    "ppo": ProximalPolicy(worlds=24, window=6, hidden=(8, 8), minibatch=72, epochs=2),
}


def method_of(name: str):
    if name == "ppo":
        pytest.importorskip("stable_baselines3")
    return METHODS[name]


def numbers(training):
    """All that must be the same to the bit."""
    history = {name: entries for name, entries in training.history.items() if name != "core_seconds"}
    weights = [value.clone() for value in training.policy.state_dict().values()]
    return history, weights, training.evaluation.costs


def assert_same(one, other):
    assert one[0] == other[0]
    assert all(torch.equal(a, b) for a, b in zip(one[1], other[1], strict=True))
    assert torch.equal(one[2], other[2])


class StopError(Exception):
    pass


@pytest.mark.parametrize("name", METHODS)
def test_a_run_that_is_cut_off_resumes_to_the_bit(tmp_path, name):
    task, method = PointTask(), method_of(name)
    steps = 8 * method.steps(task)
    whole = train(task, method, steps=steps, seed=5, evaluations=4)

    def stop(now, count):
        if now.iteration == 3:
            raise StopError

    with RunFolder.create(tmp_path / "run", "train", {"seed": 5}) as folder, pytest.raises(StopError):
        train(task, method, steps=steps, seed=5, evaluations=4, folder=folder, report=stop)
    torch.manual_seed(123)  # whatever the global generators are at
    with RunFolder.resume(tmp_path / "run", "train") as folder:
        assert folder.load()["iteration"] == 3
        resumed = train(PointTask(), method, steps=steps, seed=5, evaluations=4, folder=folder)
    assert_same(numbers(whole), numbers(resumed))
    other = train(task, method, steps=steps, seed=6, evaluations=4)
    assert other.history["cost"] != whole.history["cost"]


LEARNERS = {
    "autodiff": (Analytic(), 60),
    "mixed": (Mixture(), 60),
    "smoothing": (ScoreFunction(), 150),
    "lax": (LAX(hidden=(16,)), 150),
}
"""Gradient and iterations."""


@pytest.mark.parametrize(
    "name", ["autodiff", *(pytest.param(name, marks=pytest.mark.slow) for name in list(LEARNERS)[1:])]
)
def test_it_learns(name):
    """On unseen goals the cost falls to less than a fifth of the untrained policy's."""
    task = PointTask()
    gradient, iterations = LEARNERS[name]
    method = ActorCritic(gradient=gradient, worlds=64, window=3, hidden=(16, 16), learning_rate=1e-2, critic_epochs=2)
    before = evaluate(task, Policy.of(task, (16, 16)), unseen(task, 512)).cost
    result = train(task, method, steps=iterations * method.steps(task), evaluations=1)
    assert result.evaluation.cost < 0.2 * before


def test_nan_stops_the_run_at_its_step_and_world(tmp_path):
    task, method = PointTask(), METHODS["autodiff"]

    def break_it(now, count):
        if now.iteration == 4:
            task.broken = (7, 4)  # world 7, step 4 of its episode

    with (
        RunFolder.create(tmp_path / "run", "train", {}) as folder,
        pytest.raises(RunError, match=r"the cost is not finite in world 7, first at step 4 of its episode") as caught,
    ):
        train(task, method, steps=10 * method.steps(task), folder=folder, report=break_it)
    assert str(folder.checkpoint) in str(caught.value)
    with RunFolder.resume(tmp_path / "run", "train") as folder:
        kept = folder.load()
        # world 7 begins at step 21 mod 6 = 3, so it is at step 4 within the next window but one
        assert kept["iteration"] in (4, 5)
        assert all(bool(torch.isfinite(value).all()) for value in kept["state"]["policy"].values())


def test_nan_of_a_gradient_names_step_and_world():
    """A cost whose slope is infinite where its value is finite: sqrt at zero."""

    class Root(PointTask):
        def cost(self, before, action, after):
            gap = (after.command - after.goal).square().sum(-1)
            if int(after.time[2]) == 5:
                gap[2] = (0.0 * action[2, 0]).sqrt()
            return gap

    method = ActorCritic(worlds=8, window=6, hidden=(8, 8))
    state = method.begin(Root(), 0)
    state["worlds"]["state"][-1].zero_()  # all clocks at the start
    with pytest.raises(NotFiniteError, match=r"gradient by the action is not finite in world 2, first at step 4"):
        method.advance(Root(), state, seed=0, iteration=0, progress=0.0)


class BrokenTask(PointTask):
    """One world of a training, known by its seed wherever it stands in a batch, breaks at step 4 of its episodes."""

    broken_world = 17

    def __init__(self, what: str):
        super().__init__()
        self.what, self.on = what, False
        self.number = {derive_seed(0, "training world", world): world for world in range(24)}

    def fresh(self, keys):
        state = super().fresh(keys)
        state.parameters = {"number": torch.tensor([self.number.get(seed, -1) for seed, _ in keys])}
        return state

    def bad(self, what, after):
        here = (after.parameters["number"] == self.broken_world) & (after.time == 5)
        return here & (self.on and what == self.what)

    def cost(self, before, action, after):
        cost = super().cost(before, action, after)
        if self.on and self.what == "evaluation":
            cost = torch.where(after.parameters["number"] == -1, torch.nan, cost)
        steep = self.bad("slope", after).nonzero()[:, 0]
        cost = cost.index_add(0, steep, (0.0 * action[steep, 0]).sqrt())  # 0, and its slope is no number
        cost = torch.where(self.bad("root", after), -1.0, cost)
        return torch.where(self.bad("cost", after), torch.nan, cost)

    def observe(self, state):
        return torch.where(self.bad("observation", state)[:, None], torch.nan, super().observe(state))


WORDS = {
    "cost": "the cost is not finite in world 17, first at step 4 of its episode, step ",
    "observation": "the observation is not finite in world 17, first at step 4 of its episode, step ",
    "slope": "the gradient by the action is not finite in world 17, first at step 4 of its episode, step ",
    "root": "the root of the cost (the setting root needs costs from 0 up) is not finite in world 17, first at step 4",
    "evaluation": "the cost is not finite in episode 0 of an evaluation, first at step 0",
}


SLOPES = ("autodiff", "mixed")
"""Those that differentiate the simulator: the others have no slopes that could break."""


@pytest.mark.parametrize(("what", "name"), [(w, n) for w in WORDS for n in METHODS if w != "slope" or n in SLOPES])
def test_whatever_breaks_is_named_by_step_and_world(tmp_path, name, what):
    """In every way of training; worlds keep their number where they are shared out between orders."""
    task = BrokenTask(what)
    method = dataclasses.replace(method_of(name), **({"root": 0.1} if what == "root" else {}))

    def break_it(now, count):
        task.on = now.iteration >= 2

    with (
        RunFolder.create(tmp_path / "run", "train", {}) as folder,
        pytest.raises(RunError, match=re.escape(WORDS[what])) as caught,
    ):
        train(task, method, steps=8 * method.steps(task), folder=folder, report=break_it, evaluations=2)
    with RunFolder.resume(tmp_path / "run", "train") as folder:
        kept = folder.load()
        assert kept["iteration"] in (2, 3)
        assert f"The state after {kept['iteration']} iterations is kept in {folder.checkpoint}" in str(caught.value)
        task.on = False
        train(task, method, steps=8 * method.steps(task), folder=folder, evaluations=2)  # it can be gone on from


def test_ppo_that_diverges_is_stopped():
    task, method = PointTask(), dataclasses.replace(method_of("ppo"), learning_rate=1e30)
    with pytest.raises(RunError, match=r"PPO's .* not finite any more\. Try a smaller learning_rate"):
        train(task, method, steps=2 * method.steps(task))


def test_core_seconds_are_within_what_the_process_took():
    """Most of the call is training, so that they are most of it, and no more."""
    task, method = PointTask(), METHODS["autodiff"]
    clock = time.process_time()
    found = train(task, method, steps=40 * method.steps(task), evaluations=1)
    took = time.process_time() - clock
    assert 0.5 * took < found.core_seconds <= took


def test_an_evaluation_counts_what_succeeds_at_the_end():
    """Played by hand: a policy that moves towards the goal, of which some episodes of four steps fall short."""
    task = PointTask(horizon=4)

    class Towards:
        def act(self, seen):
            return (seen[:, 2:] - seen[:, :2]).clamp(-0.2, 0.2)

    start = unseen(task, 200)
    found = evaluate(task, Towards(), start)
    x, goal, near = start.command, start.goal, []
    for _ in range(4):
        x = x + (goal - x).clamp(-0.2, 0.2) + 0.1 * x.flip(1).sin()
        near.append((x - goal).norm(dim=1) < 0.1)
    assert found.successes == int(near[-1].sum())
    assert 0 < found.successes < 200
    assert bool((torch.stack(near).any(0) & ~near[-1]).any())  # some were there on the way only


def test_policy_file(tmp_path):
    task = PointTask()
    policy = Policy.of(task, (8,))
    save_policy(tmp_path / "policy.pt", policy, task, {"curl": 0.1})
    found = load_policy(tmp_path / "policy.pt", task)
    seen = task.observe(task.reset(5))
    assert torch.equal(found.act(seen), policy.act(seen))
    assert torch.load(tmp_path / "policy.pt", weights_only=True)["task"] == "point"
    other = PointTask()
    other.observation_names = ("x", "y")
    with pytest.raises(PolicyFileError, match="policy of task 'point'"):
        load_policy(tmp_path / "policy.pt", other)
    (tmp_path / "policy.pt").write_bytes(b"nonsense")
    with pytest.raises(PolicyFileError, match="holds no policy"):
        load_policy(tmp_path / "policy.pt")


def test_bad_input_is_refused():
    task = PointTask()
    with pytest.raises(TrainingError, match="window of 4 intervals does not divide"):
        train(task, ActorCritic(window=4), steps=100)
    with pytest.raises(TrainingError, match="steps is 0"):
        train(task, METHODS["autodiff"], steps=0)
    with pytest.raises(TrainingError, match="did you mean 'lax'"):
        make_method("laxx")
    with pytest.raises(TrainingError, match="settings are"):
        make_method("mixed", wolds=3)
    with pytest.raises(TrainingError, match="learning_rate is nan"):
        make_method("autodiff", learning_rate=math.nan)
    for name, settings, message in (
        ("autodiff", {"world": 3}, r"no setting 'world'; did you mean 'worlds'\? settings are worlds, window, hidden"),
        ("ppo", {"minbatch": 3}, r"did you mean 'minibatch'\? settings are worlds, window, hidden"),
        ("softened", {"wdth": 3}, r"did you mean 'width'\? settings are width"),
        ("autodiff", {"hidden": (0,)}, r"hidden is \(0,\)"),
        ("ppo", {"hidden": 8}, "hidden is 8: give the widths"),
        ("autodiff", {"gradient": "ppo"}, "gradient is 'ppo': give Analytic"),
        ("mixed", {"worlds": 7}, "worlds is 7: give an integer of at least 8"),
        ("ppo", {"noise": 0}, "noise is 0: give a positive"),
        ("ppo", {"learning_rate": math.nan}, "learning_rate is nan: give a positive"),
        ("ppo", {"discount": 2}, "discount is 2: give a number from 0 to 1"),
        ("ppo", {"minibatch": 1}, "minibatch is 1: give an integer of at least 2"),
        ("lax", {"clip": True}, "clip is True: give a positive"),
        ("lax", {"root": -1.0}, "root is -1.0: give a finite number that is not negative"),
    ):
        with pytest.raises(TrainingError, match=message):
            make_method(name, **settings)
    with pytest.raises(TaskError, match="out of bounds"):
        task.step(task.reset(1), torch.ones(1, 2, dtype=torch.float64))


def test_optimizers_go_on_where_they_were():
    """Moments that were dropped in every iteration would be the same in a resumed run, and pass unseen there."""
    task, method = PointTask(), METHODS["autodiff"]
    state = method.begin(task, 0)
    for iteration in range(3):
        state = method.advance(task, state, seed=0, iteration=iteration, progress=0.0).state
    for name, updates in (("actor_adam", 3), ("critic_adam", 3 * 4 * method.critic_epochs)):
        assert {float(entry["step"]) for entry in state[name]["state"].values()} == {updates}
