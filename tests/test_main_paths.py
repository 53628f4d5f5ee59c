"""The main ways through the package, on every device, with torch's defaults set to what the user's other code needs.

Each path gives numbers. They must not change with ``torch.set_default_device`` or ``torch.set_default_dtype``.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import warp as wp
from scenes import push, push_targets

import carom
from carom.envs import make
from carom.envs.control import make_control
from carom.envs.gym import CaromEnv
from carom.gradients import Smoothing, backend_names, differentiable, make_backend
from carom.optimization import MPPI, Adam, minimize
from carom.sim import Simulator
from carom.training import ActorCritic, train


def push_task(device, **options):
    return make("push", dtype="float64", duration=0.06, device=device, threads=1, **options)


def simulate(device):
    """Builder, rollout, parameters, gradients by all of them, forces."""
    simulator = Simulator(push().finalize(device=device, dtype="float64"), step=0.01, threads=1)
    model = simulator.model
    with torch.device(device):  # of the tests' own tensors
        control = push_targets(8, worlds=2).requires_grad_()
    friction = (model.shape_friction[0] * 0.9).requires_grad_()
    restitution = torch.full_like(model.shape_restitution[0], 0.4).requires_grad_()
    found = {}
    for name, parameters in (("plain", {}), ("bounces", {"shape_restitution": restitution})):
        path = simulator.rollout(model.state(2), control, {"shape_friction": friction, **parameters})
        cost = path.final.body_q.square().sum() + path.body_v.square().mean()
        inputs = [control, friction, *parameters.values()]
        gradients = torch.autograd.grad(cost, inputs)
        found |= {f"{name} q": path.body_q, f"{name} v": path.body_v}
        found |= {f"{name} gradient {i}": g for i, g in enumerate(gradients)}
    return found


def backends(device):
    """Every backend on a task."""
    task = push_task(device)
    theta = task.initial_parameters()
    found = {}
    for name in backend_names():
        backend = make_backend(name, scale=task.smoothing_scale, samples=40)
        found[name] = backend.estimate(task, theta, seed=3).gradient
    theta = theta.clone().requires_grad_()
    differentiable(task, Smoothing(scale=0.02, samples=8))(theta).backward()
    return found | {"differentiable": theta.grad}


def comparison(device):
    """``carom.compare``, small."""
    few = {"samples": 8, "reference_samples": 4, "seed": 1, "backends": ("autodiff", "smoothing")}
    done = carom.compare(push_task(device), race=False, **few)
    raced = carom.compare("quadratic", **few)
    rows = done.comparison.rows
    work = {f"race of {entry.name}": np.array(entry.log_work) for entry in raced.race.entries}
    return {row.name: np.array(row.gradient) for row in (done.comparison.reference, *rows)} | work


def optimization(device):
    """A few steps along a gradient, and without one."""
    task = push_task(device)
    theta = task.initial_parameters()
    along = minimize(task, theta, Adam(0.01), backend=Smoothing(scale=0.02, samples=4), iterations=2, seed=2)
    without = minimize(task, theta, MPPI(scale=0.02, samples=4), iterations=2, seed=2)
    return {"adam": along.theta, "mppi": without.theta}


def environment(device):
    """An episode's first steps in gymnasium."""
    env = CaromEnv("push", device=device, threads=1)
    seen = [env.reset(seed=4)[0]]
    action = np.full(env.action_space.shape, 0.01, dtype=np.float32)
    for _ in range(2):
        observation, reward, *_ = env.step(action)
        seen += [observation, np.array(reward)]
    return {f"{i}": x for i, x in enumerate(seen)}


def training(device):
    """An iteration of a policy's training."""
    task = make_control("push", device=device, dtype="float64", threads=1)
    method = ActorCritic(worlds=4, window=2, hidden=(8,), critic_epochs=1)
    done = train(task, method, steps=2 * method.steps(task), seed=5, evaluations=1)
    return dict(done.policy.state_dict())


PATHS = (simulate, backends, comparison, optimization, environment, training)


def numbers(path, device):
    return {
        name: value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
        for name, value in path(device).items()
    }


@pytest.fixture(scope="module")
def as_usual():
    """Numbers with torch's defaults as they are, once a path and device."""
    kept = {}

    def find(path, device):
        if (path, device) not in kept:
            kept[path, device] = numbers(path, device)
        return kept[path, device]

    return find


def foreign(device):
    """A default device that is not the model's."""
    return "cuda:0" if device == "cpu" and wp.get_cuda_devices() else "meta"


LONG = (backends, comparison, training)
"""Of which the default run has one of torch's defaults."""


@pytest.mark.parametrize(
    ("default", "path"),
    [
        pytest.param(default, path, marks=(pytest.mark.slow,) if default == "dtype" and path in LONG else ())
        for default in ("device", "dtype")
        for path in PATHS
    ],
    ids=lambda given: given if isinstance(given, str) else given.__name__,
)
def test_torchs_defaults_change_nothing(path, default, device, as_usual):
    wanted = as_usual(path, device)
    try:
        if default == "device":
            torch.set_default_device(foreign(device))
        else:
            torch.set_default_dtype(torch.float64)
        got = numbers(path, device)
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert got.keys() == wanted.keys()
    rounding = 0.0 if device == "cpu" else 1e-9  # a GPU adds in another order each time
    for name, value in wanted.items():
        assert got[name].dtype == value.dtype, name
        np.testing.assert_allclose(got[name], value, rtol=rounding, atol=rounding, err_msg=name)
    assert any(np.any(value != 0.0) for value in wanted.values())
