"""carom.jax against torch, to the bit, and against central differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

jax = pytest.importorskip("jax")
import jax.numpy as jnp  # noqa: E402

import carom.jax as cj  # noqa: E402
from carom.envs.testbeds import GapPush  # noqa: E402
from carom.gradients import Autodiff, GradientError, Smoothing  # noqa: E402
from carom.sim import ModelBuilder, ModelError, Simulator, State  # noqa: E402


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def scene(dtype="float64"):
    b = ModelBuilder()
    b.add_ground(friction=0.4)
    box = b.add_body(position=(0.0, 0.0, 0.1), mass=1.0)
    b.add_box(box, half_extents=(0.1, 0.1, 0.1), friction=0.5)
    ball = b.add_body(position=(0.35, 0.02, 0.08), velocity=(-2.0, 0.0, 0.0), mass=0.5)
    b.add_sphere(ball, 0.08, friction=0.3)
    b.add_actuator(box, "x", kind="force")
    return Simulator(b.finalize(dtype=dtype), step=0.01, threads=1)


def costs(x):
    return (x.square() * torch.arange(1, x.shape[-1] + 1)).sum(-1) + (x[:, 0] > 0.1)


THETA = np.array([[0.05, -0.2, 0.3], [0.4, 0.1, 0.0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("backend", [Smoothing(scale=0.1, samples=64), Autodiff()])
def test_values_and_gradients_are_the_backends(backend, dtype):
    theta = THETA.astype(dtype)
    cost = cj.differentiable(costs, backend, seed=3)
    truth = backend.estimate(costs, torch.from_numpy(theta), seed=3)
    values, pull = jax.vjp(cost, theta)
    (gradient,) = pull(jnp.ones_like(values))
    assert values.dtype == dtype
    np.testing.assert_array_equal(values, truth.value)
    np.testing.assert_array_equal(gradient, truth.gradient)
    for k, row in enumerate(theta):
        value, gradient = jax.jit(jax.value_and_grad(cost))(row)
        alone = backend.estimate(costs, torch.from_numpy(theta[k]), seed=3)
        np.testing.assert_array_equal(value, alone.value)
        np.testing.assert_array_equal(gradient, alone.gradient)
    np.testing.assert_array_equal(jax.jit(jax.vmap(jax.grad(cost)))(theta), truth.gradient)
    double = np.stack([theta, theta[::-1]])
    four = backend.estimate(costs, torch.from_numpy(double.reshape(4, 3)), seed=3).gradient
    np.testing.assert_array_equal(jax.vmap(jax.vmap(jax.grad(cost)))(double).reshape(4, 3), four)


def test_seeds_are_arguments():
    backend, theta = Smoothing(scale=0.1, samples=64), torch.from_numpy(THETA)
    cost = cj.differentiable(costs, backend)
    slopes = jax.jit(jax.vmap(jax.grad(cost), in_axes=(None, 0)))(THETA[0], jnp.arange(3))
    truth = [backend.estimate(costs, theta[0], seed=k).gradient for k in range(3)]
    np.testing.assert_array_equal(slopes, torch.stack(truth))
    assert not np.array_equal(slopes[0], slopes[1])
    pairs = jax.vmap(jax.grad(cost))(THETA, jnp.array([5, 2]))
    np.testing.assert_array_equal(pairs[0], backend.estimate(costs, theta[0], seed=5).gradient)
    np.testing.assert_array_equal(pairs[1], backend.estimate(costs, theta[1], seed=2).gradient)
    key = jax.random.key(1)
    np.testing.assert_array_equal(jax.grad(cost)(THETA[0], key), jax.grad(cost)(THETA[0], key))
    assert not np.array_equal(jax.grad(cost)(THETA[0], key), jax.grad(cost)(THETA[0], jax.random.key(2)))


def test_descent_in_a_compiled_loop():
    task = GapPush()
    cost = cj.differentiable(task, Smoothing(scale=0.02, samples=256))

    @jax.jit
    def descend(theta):
        return jax.lax.fori_loop(0, 30, lambda k, x: x - 0.02 * jax.grad(cost)(x, k), theta)

    theta = jnp.asarray(task.initial_parameters().numpy())
    assert cost(descend(theta)) < cost(theta)


@pytest.mark.filterwarnings("ignore:body_mass of:carom.sim.SimulationWarning")
def test_rollouts_are_those_of_torch():
    simulator = scene()
    model = simulator.model
    rollout = cj.simulate(simulator)
    start = model.state(worlds=3)
    generator = torch.Generator().manual_seed(0)
    start.body_v[:, :, :3] += 0.3 * torch.rand(3, 2, 3, generator=generator, dtype=torch.float64)
    control = torch.randn(30, 3, 1, generator=generator, dtype=torch.float64)
    mass = model.body_mass * torch.tensor([[1.0], [1.2], [0.7]], dtype=torch.float64)

    leaves = [x.clone().requires_grad_() for x in (start.body_q, start.body_v, control, mass, model.shape_friction)]
    path = simulator.rollout(State(*leaves[:2]), leaves[2], {"body_mass": leaves[3], "shape_friction": leaves[4]})
    weight = torch.rand(path.body_q.shape, generator=generator, dtype=torch.float64)
    ((path.body_q * weight).sum() + path.body_v.square().sum()).backward()

    def loss(q, v, u, m, friction):
        found = rollout(q, v, u, {"body_mass": m, "shape_friction": friction})
        return (found.body_q * weight.numpy()).sum() + (found.body_v**2).sum(), found

    arrays = [x.detach().numpy() for x in leaves]
    gradients, found = jax.jit(jax.grad(loss, argnums=tuple(range(5)), has_aux=True))(*arrays)
    np.testing.assert_array_equal(found.body_q, path.body_q.detach())
    np.testing.assert_array_equal(found.body_v, path.body_v.detach())
    for mine, theirs in zip(gradients, leaves, strict=True):
        np.testing.assert_allclose(mine, theirs.grad, rtol=1e-12, atol=1e-12)

    one = rollout(arrays[0][1], arrays[1][1], arrays[2][:, 1], {"body_mass": arrays[3][1]})
    np.testing.assert_array_equal(one.body_q, path.body_q.detach()[:, 1])


def test_gradient_of_a_rollout_against_differences():
    simulator = scene()
    q, v = (x[0].numpy() for x in (simulator.model.state().body_q, simulator.model.state().body_v))
    rollout = jax.jit(cj.simulate(simulator))

    def end(push):
        return rollout(q, v, jnp.full((40, 1), push)).body_q[-1, 1, 0]

    e = 1e-5
    assert float(jax.grad(end)(3.0)) == pytest.approx(float(end(3.0 + e) - end(3.0 - e)) / (2 * e), rel=1e-6)


def test_a_scene_without_actuators_slides_as_far_as_the_closed_form_says():
    b = ModelBuilder()
    b.add_ground(friction=0.4)
    box = b.add_body(position=(0.0, 0.0, 0.05))
    b.add_box(box, half_extents=(0.05, 0.05, 0.05), friction=0.4)
    model = b.finalize(dtype="float64")
    rollout = cj.simulate(Simulator(model, step=0.001, threads=1))
    q, v = (jnp.asarray(x[0].numpy()) for x in (model.initial_state.body_q, model.initial_state.body_v))

    def distance(speed):
        return rollout(q, v.at[0, 0].set(speed), steps=400).body_q[-1, 0, 0]

    where, slope = jax.vmap(jax.value_and_grad(distance))(jnp.array([0.5, 1.0]))
    speed = np.array([0.5, 1.0])  # v^2 / (2 mu g); the step's error is of first order
    np.testing.assert_allclose(where, speed**2 / (2 * 0.4 * 9.81), rtol=0.01)
    np.testing.assert_allclose(slope, speed / (0.4 * 9.81), rtol=0.01)


def test_single_precision_of_jax_keeps_its_type():
    simulator = scene()
    state = simulator.model.state()
    with jax.enable_x64(False):
        path = cj.simulate(simulator)(state.body_q[0].numpy(), state.body_v[0].numpy(), np.zeros((5, 1)))
    assert path.body_q.dtype == jnp.float32
    truth = simulator.rollout(state, torch.zeros(5, 1, 1, dtype=torch.float64)).body_q
    np.testing.assert_allclose(path.body_q, truth[:, 0], atol=1e-6)


def test_refusals():
    cost = cj.differentiable(costs, Smoothing(scale=0.1, samples=16))
    with pytest.raises(GradientError, match="has no second derivative"):
        jax.hessian(cost)(THETA[0])
    with pytest.raises(GradientError, match=r"give \[parameters\] or"):
        cost(np.zeros((2, 2, 2)))
    with pytest.raises(GradientError, match="give an integer or a key"):
        cost(THETA[0], 0.5)
    with pytest.raises(GradientError, match="give an instance"):
        cj.differentiable(costs, Smoothing)
    with pytest.raises(GradientError, match="seed is -1"):
        cj.differentiable(costs, Autodiff(), seed=-1)
    with pytest.raises(Exception, match="is not finite"):
        jax.block_until_ready(jax.grad(cj.differentiable(lambda x: x.sqrt().sum(-1), Autodiff()))(np.zeros(2)))
    simulator = scene()
    q, v = (x[0].numpy() for x in (simulator.model.state().body_q, simulator.model.state().body_v))
    rollout = cj.simulate(simulator)
    with pytest.raises(ModelError, match="neither control nor steps"):
        rollout(q, v)
    with pytest.raises(ModelError, match=r"give \[steps, actuators\]"):
        rollout(q, v, np.zeros(3))
    with pytest.raises(ModelError, match="there is no parameter 'mass'"):
        rollout(q[None], v[None], np.zeros((3, 1, 1)), {"mass": 1.0})
    with pytest.raises(GradientError, match="a rollout of the simulator has no second derivative"):
        jax.hessian(lambda u: rollout(q, v, u).body_q.sum())(np.zeros((3, 1)))


def test_shapes_are_refused_before_the_host_is_called():
    simulator = scene()
    q, v = (x[0].numpy() for x in (simulator.model.state().body_q, simulator.model.state().body_v))
    rollout, u = cj.simulate(simulator), np.zeros((3, 3, 1))
    for parameters in ({"gravity": -9.81}, {"body_mass": 1.0}, {"shape_friction": np.ones((2, 3))}):
        with pytest.raises(ModelError, match=r"has shape .*: give"):  # three worlds, and gravity is three numbers
            rollout(np.stack([q] * 3), np.stack([v] * 3), u, parameters)
    with pytest.raises(ModelError, match="control is missing"):
        rollout(q, v, steps=3)
    with pytest.raises(ModelError, match=r"give \[steps, actuators\] = \(steps, 1,\)"):
        rollout(q, v, np.zeros((3, 2)))
    with pytest.raises(ModelError, match="leave steps out"):
        rollout(q, v, np.zeros((3, 1)), steps=5)
    with pytest.raises(ModelError, match="body_q has shape"):
        rollout(q[:, :6], v, np.zeros((3, 1)))
    cost = cj.differentiable(costs, Autodiff())
    with pytest.raises(GradientError, match="seed is 4294967296"):
        cost(THETA[0], 2**32)
    with pytest.raises(GradientError, match="theta is complex"):
        cost(THETA[0] + 1j)
