"""torch.compile leaves the simulator as it is: a break in the graph, and the numbers of the plain call."""

import subprocess
import sys

import pytest
import torch
from scenes import sphere_on_ground

import carom
from carom.gradients import SAMPLINGS, Autodiff, Smoothing, differentiable
from carom.sim import Simulator, State, step_jacobian


@pytest.fixture(scope="module")
def simulator():
    return Simulator(sphere_on_ground(friction=0.4).finalize(dtype="float64"), threads=1)


@pytest.fixture(autouse=True)
def forget():
    yield
    torch._dynamo.reset()


def path(simulator):
    q = simulator.model.state().body_q
    return lambda v: simulator.rollout(State(q, 2.0 * v.sin()), steps=4).body_q.cos()


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_rollout(simulator, backend):
    function, v = path(simulator), torch.full((1, 1, 6), 0.2, dtype=torch.float64)
    compiled = torch.compile(function, backend=backend)
    for speed in (v, 1.5 * v):
        leaf = speed.clone().requires_grad_()
        expected = function(leaf)
        found = compiled(leaf)
        assert torch.equal(found, expected)
        for incoming in (torch.ones_like(found), found.detach()):
            one, other = (torch.autograd.grad(x, leaf, incoming, retain_graph=True)[0] for x in (found, expected))
            assert torch.equal(one, other)
            assert bool((one != 0).any())


def test_one_graph_for_all_is_refused(simulator):
    v = torch.full((1, 1, 6), 0.2, dtype=torch.float64)
    with pytest.raises(Exception, match="carom simulates outside torch; leave fullgraph=True out"):
        torch.compile(path(simulator), backend="eager", fullgraph=True)(v)


def test_task_and_jacobian(simulator):
    task = carom.envs.make("push", dtype="float64", duration=0.05)
    theta = task.initial_parameters()
    q, v = simulator.model.state().body_q, torch.full((1, 1, 6), 0.2, dtype=torch.float64)
    functions = {
        "task": (lambda x: task(x[None]).square(), theta),
        "value_and_gradient": (lambda x: task.value_and_gradient(x[None])[1] + 1.0, theta),
        "step_jacobian": (lambda x: step_jacobian(simulator, State(q, x))[0].cos(), v),
        "differentiable": (lambda x: differentiable(task, Autodiff(), seed=1)(x).square(), theta),
    }
    for name, (function, x) in functions.items():
        assert torch.equal(torch.compile(function, backend="eager")(x), function(x)), name


@pytest.mark.slow
@pytest.mark.parametrize("sampling", sorted(SAMPLINGS))
def test_noise(sampling):
    options = {"replications": 4} if "rqmc" in sampling else {}
    backend = Smoothing(scale=0.1, samples=16, sampling=sampling, antithetic=False, **options)
    theta = torch.tensor([1.0, 2.0], dtype=torch.float64)

    def gradient(x):
        return backend.estimate(lambda rows: rows.square().sum(1), x, seed=1).gradient

    assert torch.equal(torch.compile(gradient, backend="eager")(theta), gradient(theta))


def test_the_compiler_is_not_loaded_without_need():
    script = "import carom.sim, carom.gradients, sys; sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
