"""First derivatives by every way of torch, and an error for every derivative that there is not: never zeros."""

import ast
import dataclasses
import importlib
import pkgutil
from pathlib import Path

import pytest
import torch
from scenes import sphere_on_ground
from torch.autograd import forward_ad, functional

import carom
from carom.envs.control import make_control
from carom.first_order import FirstOrder, Product
from carom.gradients import (
    Autodiff,
    Box,
    GradientError,
    Smoothing,
    differentiable,
    fit_surrogate,
    unrolled_controls,
)
from carom.gradients.core.estimated import Estimated
from carom.gradients.core.unrolled_controls import _ByJacobian
from carom.sim import DerivativeError, Simulator, SimulatorStep, State, step_jacobian
from carom.sim.stepping.torch_rollout import Rollout

ROOT = Path(__file__).parents[2]
STEPS = 4
REFUSED = (DerivativeError, GradientError)


def ball():
    """A ball on the ground that rolls and slides, driven by a force."""
    b = sphere_on_ground(friction=0.4)
    b.add_actuator(0, "x", "force")
    return b.finalize(dtype="float64")


@pytest.fixture(scope="module")
def simulator():
    return Simulator(ball(), threads=1)


def moving(simulator):
    state = simulator.model.state()
    state.body_v[0, 0, 0] = 0.3
    return state


def rollout_by(name, record=True):
    """The path of the ball's x as a function of one input of a rollout, and where to differentiate it."""

    def make(simulator):
        state = moving(simulator)
        control = 2.0 + torch.linspace(0.1, 0.5, STEPS, dtype=torch.float64).sin()[:, None, None]
        inputs = {"body_q": state.body_q, "body_v": state.body_v, "control": control}
        at = inputs[name] if name in inputs else getattr(simulator.model, name)

        def function(x):
            given = inputs | ({name: x} if name in inputs else {})
            parameters = {} if name in inputs else {name: x}
            start = State(given["body_q"], given["body_v"])
            trajectory = simulator.rollout(start, given["control"], parameters, record=record)
            return trajectory.body_q[:, 0, 0, 0] if record else trajectory.final.body_q[0, 0]

        return function, at

    return make


def one_step(simulator):
    step, state = SimulatorStep(simulator), moving(simulator)
    return lambda x: step(x, torch.full((1, 1), 2.0, dtype=torch.float64))[0], step.coordinates.vector(state)


def unrolled_steps(simulator):
    """The path's cost as a function of one plan of controls, by a step that is differentiated by its step_jacobian."""
    step = SimulatorStep(simulator)
    start = step.coordinates.vector(moving(simulator))[0]
    objective = unrolled_controls(step, start, lambda x, u: x.square().sum(1) + u.square().sum(1), 3, controls=1)
    return lambda plan: objective(plan[None]), torch.linspace(1.0, 2.0, 3, dtype=torch.float64)


def push(simulator):
    task = carom.envs.make("push", dtype="float64", duration=0.1)
    return lambda theta: task(theta[None]), task.initial_parameters()


def control_task(simulator):
    task = make_control("push", dtype="float64")
    state = task.reset(2)
    return lambda action: task.step(state, action).observation.flatten(), torch.full((2, 2), 0.01, dtype=torch.float64)


def bowl(theta):
    return theta.square().sum(1)


def estimated(simulator):
    return differentiable(bowl, Autodiff()), torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)


def fitted(simulator):
    return surrogate(), torch.tensor([[0.1, 0.2], [-0.3, 0.4]], dtype=torch.float64)


def surrogate():
    return fit_surrogate(bowl, Box((-1.0, -1.0), (1.0, 1.0)), samples=64, hidden=(8,), steps=20)


FUNCTIONS = {
    **{name: rollout_by(name) for name in ("body_q", "body_v", "control", "shape_friction", "body_mass", "gravity")},
    "final": rollout_by("body_v", record=False),
    "step": one_step,
    "unrolled controls": unrolled_steps,
    "push": push,
    "control task": control_task,
    "differentiable": estimated,
    "fitted surrogate": fitted,
}
SOURCES = {
    Rollout: {*FUNCTIONS} - {"differentiable", "fitted surrogate", "unrolled controls"},
    Estimated: {"differentiable", "fitted surrogate"},
    _ByJacobian: {"unrolled controls"},
}


def with_dual(f, x):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(f(forward_ad.make_dual(x, torch.ones_like(x)))).tangent


def dual_without_graph(f, x):
    with torch.no_grad():
        return with_dual(f, x)


def gradient(f, x):
    """Of the sum of the outputs: the incoming gradient is constant, the trap of a linear loss."""
    (found,) = torch.autograd.grad(f(x).sum(), x, create_graph=True)
    return found


def twice(f, x):
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(gradient(f, leaf).sum(), leaf)


def twice_by_backward(f, x):
    leaf = x.clone().requires_grad_()
    gradient(f, leaf).sum().backward()


def by_seed(f, x):
    """The derivative with respect to the incoming gradient: what functional.jvp is made of."""
    leaf, value = x.clone().requires_grad_(), f(x)
    seed = torch.ones_like(value).requires_grad_()
    (found,) = torch.autograd.grad(f(leaf), leaf, seed, create_graph=True)
    return torch.autograd.grad(found.sum(), seed)


def rows_at_once(f, x):
    leaf = x.clone().requires_grad_()
    value = f(leaf)
    rows = torch.eye(value.numel(), dtype=value.dtype).view(-1, *value.shape)
    return torch.autograd.grad(value, leaf, rows, is_grads_batched=True)


def forward_over_reverse(f, x):
    with forward_ad.dual_level():
        leaf = forward_ad.make_dual(x.clone().requires_grad_(), torch.ones_like(x))
        return torch.autograd.grad(f(leaf).sum(), leaf)


def of_sum(f):
    return lambda x: f(x).sum()


def of_square(f):
    return lambda x: f(x).square().sum()


CALLS = {
    "grad twice": twice,
    "backward of grad": twice_by_backward,
    "derivative by the seed": by_seed,
    "functional.hessian": lambda f, x: functional.hessian(of_sum(f), x),
    "functional.hessian of squares": lambda f, x: functional.hessian(of_square(f), x),
    "functional.hessian, strict": lambda f, x: functional.hessian(of_sum(f), x, strict=True),
    "functional.hessian, vectorized": lambda f, x: functional.hessian(of_sum(f), x, vectorize=True),
    "functional.hessian, forward": lambda f, x: functional.hessian(
        of_sum(f), x, vectorize=True, outer_jacobian_strategy="forward-mode"
    ),
    "functional.hvp": lambda f, x: functional.hvp(of_sum(f), x, torch.ones_like(x)),
    "functional.vhp": lambda f, x: functional.vhp(of_sum(f), x, torch.ones_like(x)),
    "functional.jvp": lambda f, x: functional.jvp(f, x, torch.ones_like(x)),
    "functional.jacobian of grad": lambda f, x: functional.jacobian(lambda y: gradient(f, y), x),
    "functional.jacobian, vectorized": lambda f, x: functional.jacobian(f, x, vectorize=True),
    "functional.jacobian, forward": lambda f, x: functional.jacobian(f, x, vectorize=True, strategy="forward-mode"),
    "is_grads_batched": rows_at_once,
    "dual": with_dual,
    "dual without graph": dual_without_graph,
    "forward over reverse": forward_over_reverse,
    "func.jvp": lambda f, x: torch.func.jvp(f, (x,), (torch.ones_like(x),)),
    "func.jacfwd": lambda f, x: torch.func.jacfwd(f)(x),
    "func.linearize": lambda f, x: torch.func.linearize(f, x),
    "func.hessian": lambda f, x: torch.func.hessian(of_sum(f))(x),
    "func.grad of grad": lambda f, x: torch.func.grad(lambda y: torch.func.grad(of_sum(f))(y).sum())(x),
    "func.jacrev of jacrev": lambda f, x: torch.func.jacrev(torch.func.jacrev(f))(x),
    "func.jacrev of grad": lambda f, x: torch.func.jacrev(torch.func.grad(of_sum(f)))(x),
    "vmap": lambda f, x: torch.vmap(f)(x[None]),
    "vmap of grad": lambda f, x: torch.vmap(torch.func.grad(of_sum(f)))(x[None]),
    "gradgradcheck": lambda f, x: torch.autograd.gradgradcheck(f, x.clone().requires_grad_()),
    "jit.trace": lambda f, x: torch.jit.trace(lambda y: f(y), x, check_trace=False),
}


ALIKE = {"body_q", "body_mass", "gravity", "final"}
"""Functions that differ from others in an input alone: a call of each way is enough."""
SWEPT = {"control", "push", "differentiable", "unrolled controls"}
"""Functions that the default run takes through all calls: one of each of the classes in SOURCES, and a task."""
FEW = ("grad twice", "derivative by the seed", "functional.hessian", "dual", "func.hessian")
PAIRS = [
    pytest.param(name, call, marks=() if name in SWEPT or call in FEW else (pytest.mark.slow,))
    for name in FUNCTIONS
    for call in (FEW if name in ALIKE else CALLS)
]


@pytest.mark.parametrize(("name", "call"), PAIRS)
def test_every_other_derivative_is_refused(simulator, made, name, call):
    function, x = made[name]
    if call == "func.linearize":  # it lets no number be read, which a task does before the guard sees a tangent
        with pytest.raises((*REFUSED, RuntimeError), match=r"forward-mode|get value out of a tracing tensor"):
            CALLS[call](function, x)
        return
    with pytest.raises(REFUSED, match=r"second derivative|forward-mode|vmap|many rows at once|jit\.trace"):
        CALLS[call](function, x)


@pytest.fixture(scope="module")
def made(simulator):
    return {name: make(simulator) for name, make in FUNCTIONS.items()}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_first_derivatives_agree_to_the_bit(simulator, made, name):
    function, x = made[name]
    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(function(leaf).square().sum(), leaf)
    assert bool((expected != 0).any())
    square = of_square(function)
    graph = torch.autograd.grad(square(leaf), leaf, create_graph=True)[0]
    value = square(leaf)
    value.backward(retain_graph=True)
    value.backward()
    found = {
        "create_graph": graph.detach(),
        "backward twice": leaf.grad / 2,
        "func.grad": torch.func.grad(square)(x),
        "func.vjp": torch.func.vjp(square, x)[1](torch.ones((), dtype=x.dtype))[0],
        "functional.vjp": functional.vjp(square, x)[1],
        "functional.jacobian": functional.jacobian(square, x),
        "func.jacrev": torch.func.jacrev(square)(x),
    }
    for reentrant in (False, True):
        other = x.clone().requires_grad_()
        torch.utils.checkpoint.checkpoint(square, other, use_reentrant=reentrant).backward()
        found[f"checkpoint, reentrant {reentrant}"] = other.grad
    for way, other in found.items():
        assert torch.equal(other, expected), way
    jacobian = functional.jacobian(function, x)
    assert torch.equal(torch.func.jacrev(function)(x), jacobian)
    assert torch.equal(torch.func.jacrev(function, chunk_size=1)(x), jacobian)


@pytest.mark.parametrize("name", ["body_v", "control", "shape_friction", "body_mass", "gravity"])
def test_gradcheck(simulator, made, name):
    function, x = made[name]
    assert torch.autograd.gradcheck(function, x.clone().requires_grad_(), eps=1e-6, atol=1e-7, rtol=1e-4)


def test_a_second_derivative_by_differences_of_the_gradient(simulator, made):
    """The way out that the error names gives the curvature of a body in free flight: 2 (h sum)^2 for a square."""
    b = carom.ModelBuilder(gravity=(0.0, 0.0, 0.0))
    b.add_sphere(b.add_body(), 0.1)
    free = Simulator(b.finalize(dtype="float64"), step=0.01, threads=1)

    def slope(speed):
        leaf = torch.tensor(speed, dtype=torch.float64, requires_grad=True)
        v = torch.zeros(1, 1, 6, dtype=torch.float64).index_put((torch.tensor(0),) * 3, leaf)
        (found,) = torch.autograd.grad(
            free.rollout(State(free.model.state().body_q, v), steps=5).final.body_q[0, 0, 0] ** 2, leaf
        )
        return float(found)

    assert (slope(1.0 + 1e-5) - slope(1.0 - 1e-5)) / 2e-5 == pytest.approx(2 * 0.05**2, rel=1e-6)


def classes_of_source():
    """Name, bases and file of every class in the project's code."""
    for folder in ("carom", "sim", "kernels", "gradients", "envs"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    yield node.name, [ast.unparse(base).split(".")[-1] for base in node.bases], path


def test_every_torch_function_has_the_guard():
    """A new one derives from the guard's classes, and has an entry in the sweep above."""
    for name, bases, path in classes_of_source():
        if "Function" in bases:
            assert path == ROOT / "carom" / "first_order.py", f"{name} of {path}: derive from FirstOrder or Product"
    for package in ("carom.sim", "carom.gradients", "carom.envs"):
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            importlib.import_module(module.name)

    def below(kind):
        return {kind} | {one for child in kind.__subclasses__() for one in below(child)}

    own = {one for one in below(torch.autograd.Function) if one.__module__.startswith("carom.")}
    assert all(issubclass(one, (FirstOrder, Product)) for one in own)
    written = {name for name, bases, _ in classes_of_source() if "FirstOrder" in bases}
    assert written == {one.__name__ for one in below(FirstOrder) - {FirstOrder}} == {one.__name__ for one in SOURCES}


def numbers(simulator):
    state, control = moving(simulator), torch.full((1, 1), 2.0, dtype=torch.float64)
    step = SimulatorStep(simulator)
    fit, task = surrogate(), carom.envs.make("push", dtype="float64", duration=0.1)
    rows = torch.tensor([[0.1, 0.2]], dtype=torch.float64)
    packing = carom.envs.make("disc_packing", discs=4, steps=3)
    bowls = carom.envs.make("double_pendulum")
    return {
        "step_jacobian": (lambda v: step_jacobian(simulator, State(state.body_q, v), control), state.body_v),
        "step_jacobian by control": (lambda u: step_jacobian(simulator, state, u), control),
        "step_jacobian by mass": (
            lambda m: step_jacobian(simulator, state, control, {"body_mass": m}), simulator.model.body_mass,
        ),
        "SimulatorStep.step_jacobian": (lambda x: step.step_jacobian(x, control), step.coordinates.vector(state)),
        "push": (lambda theta: task.value_and_gradient(theta), task.initial_parameters()[None]),
        "fitted": (lambda theta: fit.value_and_gradient(theta), rows),
        "disc_packing": (lambda theta: packing.value_and_gradient(theta), packing.initial_parameters()[None]),
        "double_pendulum": (lambda theta: bowls.value_and_gradient(theta), bowls.initial_parameters()[None]),
    }  # fmt: skip


def test_results_that_are_numbers_say_so_when_differentiated(simulator):
    """Mixed with a term that torch follows they would give a part of the gradient, and zeros in a Jacobian."""
    for name, (function, x) in numbers(simulator).items():
        plain = function(x)
        assert not any(part.requires_grad for part in plain), name
        for i in range(2):
            with pytest.raises(REFUSED, match=r"was differentiated\. It is plain numbers"):
                functional.jacobian(lambda y, i=i, f=function: f(y)[i], x)
            leaf = x.clone().requires_grad_()
            mixed = function(leaf)[i].sum() + leaf.square().sum()
            with pytest.raises(REFUSED, match=r"was differentiated\. It is plain numbers"):
                mixed.backward()
            assert torch.equal(function(leaf)[i], plain[i]), name


@pytest.mark.parametrize("backend", [Autodiff(), Smoothing(scale=0.1, samples=8)], ids=lambda b: type(b).__name__)
def test_estimates_inside_transforms(backend):
    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    for transform in (torch.func.grad, torch.func.jacrev, torch.func.jacfwd, torch.func.hessian):
        with pytest.raises(GradientError, match=r"plain numbers.*differentiable\(objective, backend\)"):
            transform(lambda theta: backend.estimate(bowl, theta).value)(x)


SIMULATED = {
    "push": {"duration": 0.05},
    "push_t": {"duration": 0.05},
    "box_pushing": {"T": 3},
    "carrots": {"pieces": 3},
    "billiards": {},
    "corner_push": {},
}
SHORT = {
    "double_pendulum": {"steps": 20},
    "disc_packing": {"discs": 4, "steps": 5},
    "friction": {"steps": 40},
    "curling": {"steps": 40},
    "curling_stiff": {"steps": 40},
}


@pytest.mark.parametrize("name", sorted(carom.envs.tasks()))
def test_the_hessian_of_every_task_is_right_or_refused(name):
    options = SIMULATED.get(name, SHORT.get(name, {}))
    task = carom.envs.make(name, **options, **({"dtype": "float64"} if name in SIMULATED else {}))
    theta = task.initial_parameters()
    theta = (theta + 0.011 * torch.arange(1, len(theta) + 1)).double()
    if hasattr(task, "simulator"):
        with pytest.raises(DerivativeError, match="second derivative"):
            functional.hessian(lambda x: task(x[None])[0], theta)
        return

    def slope(x):
        leaf = x.clone().requires_grad_()
        value = task(leaf[None])[0]
        return torch.autograd.grad(value, leaf)[0] if value.requires_grad else torch.zeros_like(x)

    along = torch.linspace(1.0, 2.0, len(theta), dtype=theta.dtype)
    found = functional.hvp(lambda x: task(x[None])[0], theta, along)[1]
    step = 1e-6
    expected = (slope(theta + step * along) - slope(theta - step * along)) / (2 * step)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()) + 1e-7)


def test_what_was_saved_may_not_change(simulator):
    """A state, control or parameter that is overwritten before the backward pass gives torch's error, not a number."""
    for name in ("body_q", "control", "path", "mass", "sizes"):
        state, mass = moving(simulator), simulator.model.body_mass.clone()
        control = torch.ones(STEPS, 1, 1, dtype=torch.float64)
        leaf = torch.zeros((), dtype=torch.float64, requires_grad=True)
        sizes = simulator.model.shape_size.clone()
        other = Simulator(dataclasses.replace(simulator.model, shape_size=sizes), threads=1)
        trajectory = other.rollout(State(state.body_q, state.body_v + leaf), control, {"body_mass": mass})
        changed = {"control": control, "path": trajectory.body_q, "mass": mass, "sizes": sizes, "body_q": state.body_q}
        with torch.no_grad():
            changed[name] *= 1.1
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            trajectory.final.body_q.sum().backward()


def test_sizes_have_no_derivative(simulator):
    sizes = simulator.model.shape_size.clone().requires_grad_()
    other = Simulator(dataclasses.replace(simulator.model, shape_size=sizes), threads=1)
    with pytest.raises(DerivativeError, match="shape_size of the model requires a gradient"):
        other.rollout(moving(simulator), torch.zeros(1, 1, 1, dtype=torch.float64))
