"""Pickles and deep copies of what a user holds: equal to the bit, and nothing shared that could change."""

import copy
import multiprocessing
import pickle

import gymnasium
import numpy as np
import pytest
import torch
import warp as wp
from scenes import push, push_targets
from spawned import send_gradient

import carom
import carom.envs.gym
from carom.envs.control import control_tasks, make_control
from carom.gradients import (
    LAX,
    Box,
    ControlVariateState,
    Smoothing,
    VarianceTraining,
    differentiable,
    fit_surrogate,
    make_backend,
)
from carom.gradients.registry import backend_names
from carom.sim import Recording, Simulator, SimulatorStep, record

WAYS = {"pickle": lambda x: pickle.loads(pickle.dumps(x)), "deepcopy": copy.deepcopy}
QUICK = {
    "push": {"duration": 0.05},
    "push_t": {"duration": 0.05},
    "box_pushing": {"T": 3},
    "carrots": {"pieces": 3},
    "double_pendulum": {"steps": 20},
    "disc_packing": {"discs": 4, "steps": 5},
    "friction": {"steps": 40},
    "curling": {"steps": 40},
    "curling_stiff": {"steps": 40},
}
SHARED = (type, str, bytes, int, float, bool, complex, type(None), torch.dtype, torch.device, torch.Size, np.dtype)


@pytest.fixture(params=WAYS)
def copied(request):
    return WAYS[request.param]


def by_way(cases, quick):
    """Every case by every way; those that ``quick(case, way)`` refuses are slow, for both ways copy the same parts."""
    marks = {True: (), False: (pytest.mark.slow,)}
    cases = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [pytest.param(*case, way, marks=marks[quick(*case, way)]) for case in cases for way in WAYS]


def mutable_parts(thing, found=None, path="it"):
    """Where in ``thing`` there are tensors, arrays, lists, dictionaries and objects: path by identity of memory."""
    found = {} if found is None else found
    if isinstance(thing, SHARED) or (callable(thing) and not hasattr(thing, "__dict__")):
        return found
    key = ("memory", thing.data_ptr()) if isinstance(thing, torch.Tensor) and thing.numel() else ("object", id(thing))
    if key in found:
        return found
    assert not isinstance(thing, wp.array), f"a Warp array at {path}"
    if isinstance(thing, (tuple, frozenset)):
        inner = dict(enumerate(thing))
    elif isinstance(thing, (list, set)):
        found[key], inner = path, dict(enumerate(thing))
    elif isinstance(thing, dict):
        found[key], inner = path, thing
    elif isinstance(thing, (torch.Tensor, np.ndarray)):
        found[key], inner = path, {}
    elif type(thing).__module__.startswith("carom"):
        found[key], inner = path, vars(thing) if hasattr(thing, "__dict__") else {}
        frozen = getattr(type(thing), "__dataclass_params__", None)
        if frozen is not None and frozen.frozen:
            del found[key]
    else:
        inner = {}
    for name, value in inner.items():
        mutable_parts(value, found, f"{path}.{name}")
    return found


def assert_separate(one, other):
    first, second = mutable_parts(one), mutable_parts(other)
    shared = {first[key]: second[key] for key in first.keys() & second.keys()}
    assert not shared


def costs(task):
    theta = task.initial_parameters()[None]
    return task(theta), task.value_and_gradient(theta)[1]


@pytest.mark.parametrize(
    ("name", "way"), by_way(sorted(carom.envs.tasks()), lambda name, way: way == "pickle" or name in ("push", "choice"))
)
def test_tasks(name, way):
    copied = WAYS[way]
    task = carom.envs.make(name, **QUICK.get(name, {}))
    before = copied(task)
    expected = costs(task)
    for other in (before, copied(task)):
        for a, b in zip(costs(other), expected, strict=True):
            assert torch.equal(a, b)
    if name == "push":
        softened = copied(task.softened("softplus", 1e-3))
        theta = task.initial_parameters()[None]
        assert torch.equal(softened(theta), task.softened("softplus", 1e-3)(theta))


@pytest.mark.parametrize("name", ["push", "carrots", "box_pushing", "billiards", "double_pendulum"])
def test_a_deep_copy_shares_nothing_that_can_change(name):
    task = carom.envs.make(name, **QUICK.get(name, {}))
    fresh = copy.deepcopy(task)
    assert_separate(task, fresh)
    kept = [x.clone() for x in costs(task)]
    if hasattr(task, "model"):
        other = copy.deepcopy(task)
        other.model.body_mass.mul_(2.0)
        other.simulator.model.shape_friction.mul_(0.1)
        assert other.simulator.model is other.model
        costs(other)
    for a, b in zip(costs(task), kept, strict=True):
        assert torch.equal(a, b)


def episode(task, state, actions):
    parts = []
    for action in actions:
        state, cost, observation = task.step(state, action)
        parts += [cost, observation]
    return torch.cat([part.flatten() for part in parts])


@pytest.mark.parametrize(
    ("name", "way"), by_way(sorted(control_tasks()), lambda name, way: way == "pickle" or name == "push")
)
def test_control_tasks_and_their_states(name, way):
    copied = WAYS[way]
    task = make_control(name, **({"pieces": 3} if name == "carrots" else {}))
    state = task.reset(2, seed=3)
    low, high = (torch.tensor(bound, dtype=torch.float64) for bound in (task.action_low, task.action_high))
    unit = torch.rand(2, 2, len(low), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    actions = low + unit * (high - low)
    before = copied((task, state))
    expected = episode(task, state, actions)
    for other in (before, copied((task, state)), (copied(task), task.reset(2, seed=3))):
        assert torch.equal(episode(*other, actions), expected)


def short(options):
    """Options of an environment that make its task quick."""
    task = options.get("objective", options["task"])
    return {} if task in ("push", "push_t") else QUICK.get(task, {})


def quick_environment(name, vector, way):
    """Carrots are settled anew; the vector environment is one class for all."""
    if name in ("carom/Push-v0", "carom/Choice-v0"):
        return True
    return way == "pickle" and not vector and name != "carom/Carrots-v0"


@pytest.mark.parametrize(
    ("name", "vector", "way"),
    by_way(
        [(name, vector) for name in sorted(carom.envs.gym.ENVIRONMENTS) for vector in (False, True)], quick_environment
    ),
)
def test_gymnasium_environments_in_the_middle_of_an_episode(name, vector, way):
    copied = WAYS[way]
    options = short(carom.envs.gym.ENVIRONMENTS[name])
    env = gymnasium.make_vec(name, num_envs=2, **options) if vector else gymnasium.make(name, **options)
    env.reset(seed=1)
    env.action_space.seed(0)
    first, second = env.action_space.sample(), env.action_space.sample()
    env.step(first)
    other = copied(env)
    for a, b in zip(env.step(second)[:4], other.step(second)[:4], strict=True):
        assert np.array_equal(a, b)
    for a, b in zip(env.reset(seed=5)[:1], other.reset(seed=5)[:1], strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("options", [{}, {"quasi_dynamic": True}, {"threads": 1, "segment": 3}], ids=str)
def test_simulators_before_and_after_use(options, copied):
    model = push(friction=0.4).finalize(dtype="float64", worlds=3)
    simulator = Simulator(model, **options)
    control = push_targets(8, worlds=3)
    before = copied(simulator)

    def gradient(one):
        leaf = control.clone().requires_grad_()
        final = one.rollout(one.model.state(), leaf).final
        return final.body_q.detach(), torch.autograd.grad(final.body_q.sum(), leaf)[0]

    expected = gradient(simulator)
    after = copied(simulator)
    for other in (before, after, copy.copy(simulator)):
        assert other.options == simulator.options
        for a, b in zip(gradient(other), expected, strict=True):
            assert torch.equal(a, b)
    assert_separate(model, after.model)
    assert not {id(x) for x in simulator.pool.batches} & {id(x) for x in after.pool.batches}
    assert after.pool is not simulator.pool


def test_a_copy_does_not_take_watchers_or_a_lock_along(copied):
    simulator = Simulator(push().finalize())
    simulator.watchers.append(lambda *given: None)
    with simulator.pool._lock:
        other = copied(simulator)
    assert other.watchers == []
    other.rollout(other.model.state(), push_targets(1, dtype=torch.float32))


def test_scenes_steps_and_recordings(copied):
    builder = push(friction=0.4)
    model = builder.finalize(dtype="float64")
    simulator = Simulator(model)
    control = push_targets(6)
    expected = simulator.rollout(model.state(), control)
    assert torch.equal(
        Simulator(copied(builder).finalize(dtype="float64")).rollout(model.state(), control).body_q, expected.body_q
    )
    other = copied(expected)
    assert torch.equal(other.body_q, expected.body_q)
    assert torch.equal(other.diagnostics.iterations, expected.diagnostics.iterations)
    state = copied(model.state())
    assert torch.equal(state.body_q, model.state().body_q)
    step = SimulatorStep(simulator)
    x = step.coordinates.vector(model.state())
    assert torch.equal(copied(step)(x, control[0]), step(x, control[0]))
    recording = record(simulator, expected, control)
    again = copied(recording)
    assert isinstance(again, Recording)
    for name, value in vars(recording).items():
        assert np.array_equal(value, getattr(again, name)) if isinstance(value, np.ndarray) else True, name
    assert_separate(recording, again)


def bowl(theta):
    return theta.square().sum(1)


@pytest.mark.parametrize("name", backend_names())
def test_backends(name, copied):
    backend = make_backend(name, scale=0.05, samples=64)
    unrolled = name in ("ivw-h", "truncated", "clipped", "persistent-es")  # they look into the steps
    task = carom.envs.make("tent_map" if unrolled else "gap_push")
    theta = torch.tensor([0.3 if unrolled else 0.02], dtype=torch.float64)
    expected = backend.estimate(task, theta, seed=4)
    found = copied(backend).estimate(copied(task), theta, seed=4)
    assert torch.equal(found.gradient, expected.gradient)
    assert torch.equal(copied(expected).gradient, expected.gradient)


def test_functions_that_carry_something_along(copied):
    """A count of calls, a control variate in training with its optimizer, a fit: the next answer is the same."""
    theta = torch.tensor([0.3, -0.2], dtype=torch.float64)
    cost = differentiable(bowl, Smoothing(scale=0.1, samples=16), seed=2)
    cost(theta)
    other = copied(cost)
    assert torch.equal(other(theta), cost(theta))
    lax = LAX(scale=0.1, samples=32, hidden=(4,), training=VarianceTraining(steps=3), state=ControlVariateState())
    lax.estimate(bowl, theta, seed=1)
    twin = copied(lax)
    assert torch.equal(twin.estimate(bowl, theta, seed=2).gradient, lax.estimate(bowl, theta, seed=2).gradient)
    assert twin.state.parameters[0].data_ptr() != lax.state.parameters[0].data_ptr()
    fit = fit_surrogate(bowl, Box((-1.0, -1.0), (1.0, 1.0)), samples=64, hidden=(8,), steps=20)
    assert torch.equal(copied(fit)(theta[None]), fit(theta[None]))


def test_another_process_that_is_spawned():
    task = carom.envs.make("push", dtype="float64", duration=0.05)
    theta = task.initial_parameters()[None]
    value, gradient = task.value_and_gradient(theta)
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=send_gradient, args=(task, theta, there))
    process.start()
    there.close()
    try:
        found = here.recv()
    finally:
        process.join()
    assert process.exitcode == 0
    assert np.array_equal(found[0], value.numpy())
    assert np.array_equal(found[1], gradient.numpy())


def test_asynchronous_vector_environments():
    """gymnasium's processes, by its default way of starting them, after this process has simulated."""
    env = gymnasium.make("carom/Push-v0")
    env.reset(seed=0)
    action = np.full(2, 0.01, dtype=np.float32)
    env.step(action)
    many = gymnasium.vector.AsyncVectorEnv([lambda: gymnasium.make("carom/Push-v0")] * 2)
    try:
        seen, _ = many.reset(seed=[0, 0])
        first, _ = env.reset(seed=0)
        assert np.array_equal(seen, [first, first])
        for _ in range(3):
            seen, rewards, *_ = many.step(np.stack([action, action]))
            one, reward, *_ = env.step(action)
            assert np.array_equal(seen, [one, one])
            np.testing.assert_array_equal(rewards, [reward, reward])
    finally:
        many.close(terminate=True)
