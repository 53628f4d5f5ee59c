"""Learned dynamics of a system with a closed form: values, gradients through time, errors, files."""

from __future__ import annotations

import math

import pytest
import torch

from carom.gradients import Box, Cloud, GradientError, Smoothing
from carom.gradients.learned import fit_dynamics, load_dynamics
from carom.gradients.learned.step_model import StepModel, initialise, mlp

STEPS = 6


class Pendulum:
    """theta'' = -sin theta + u, a step of 0.3 s by semi-implicit Euler; cost of the final angle and speed."""

    name = "pendulum"
    parameter_names = tuple(f"u{i}" for i in range(STEPS))

    def start(self, count):
        return torch.tensor([1.0, 0.0]).expand(count, 2)

    def actions(self, theta):
        return theta.T[..., None]

    def cost(self, final, theta):
        return final[:, 0].square() + 0.1 * final[:, 1].square() + 0.01 * theta.square().sum(1)

    def simulate(self, theta):
        path = [self.start(len(theta)).to(theta)]
        for u in self.actions(theta):
            angle, speed = path[-1].unbind(1)
            speed = speed + 0.3 * (u[:, 0] - torch.sin(angle))
            path.append(torch.stack([angle + 0.3 * speed, speed], 1))
        return torch.stack(path)

    def distance(self, a, b):
        return (a[..., 0] - b[..., 0]).abs()

    def model(self, seed):
        return PendulumModel(seed)

    def __call__(self, theta):
        return self.cost(self.simulate(theta)[-1], theta)


class PendulumModel(StepModel):
    def __init__(self, seed):
        super().__init__(changes=2)
        self.network = mlp([3, 32, 32, 2])
        initialise(self.network, seed)

    def change(self, state, action, after):
        return after - state

    def apply_change(self, state, action, change):
        return state + change

    def predict(self, state, action):
        return self.network(torch.cat([state, action], 1))


REGION = Box((-1.0,) * STEPS, (1.0,) * STEPS)
QUICK = {"episodes": 200, "steps": 600, "batch": 128}


@pytest.fixture(scope="module")
def fitted():
    return fit_dynamics(Pendulum(), REGION, **QUICK)


def thetas(count, width=0.7):
    return width * (2 * torch.rand(count, STEPS, generator=torch.Generator().manual_seed(3)) - 1).double()


def test_gradient_through_time(fitted):
    theta = thetas(20).requires_grad_()
    costs = Pendulum()(theta)
    (truth,) = torch.autograd.grad(costs.sum(), theta)
    estimate = fitted.estimate(Pendulum(), theta.detach())
    off = (estimate.gradient - truth).norm(dim=1).mean() / truth.norm(dim=1).mean()
    assert off < 0.1
    assert estimate.evaluations == 0
    assert estimate.diagnostics["inside_data"].all()
    assert not fitted.inside(3 + 0 * theta).any()
    spread = float((estimate.value - costs.detach()).square().mean().sqrt() / costs.detach().std())
    assert spread < 0.1


def test_errors_are_those_on_new_episodes_and_beat_the_baselines(fitted):
    one_step, multi_step = fitted.errors.relative
    assert one_step < 0.1
    assert multi_step < 0.15
    pendulum = Pendulum()
    fresh = pendulum.simulate(REGION.draw(77, "fresh", 500))
    path = fitted.rollout(REGION.draw(77, "fresh", 500))
    again = float(pendulum.distance(path[-1].double(), fresh[-1]).square().mean().sqrt())
    # root mean square of 30 held-out episodes and two models against 500 and one
    assert 0.4 * again < fitted.errors.multi_step < 2.5 * again
    still = float((fresh[-1, :, 0] - fresh[0, :, 0]).square().mean().sqrt())
    assert fitted.errors.multi_step_nothing_moves == pytest.approx(still, rel=0.3)
    moves = (fresh[1:] - fresh[:-1]).flatten(0, 1)
    # the mean change is that of the training data: what is left is the deviation
    assert fitted.errors.one_step_mean_change == pytest.approx(float(moves[:, 0].std()), rel=0.2)


def test_value_and_gradient_agree_with_differences(fitted):
    theta = thetas(3)
    values, gradients = fitted.value_and_gradient(theta)
    torch.testing.assert_close(values, fitted(theta))
    for axis in range(STEPS):
        step = torch.zeros(STEPS, dtype=torch.float64)
        step[axis] = 2e-2
        # float32 models: rounding 1e-6 / 2e-2, and third derivatives (a few) * 4e-4 / 6
        difference = (fitted(theta + step) - fitted(theta - step)) / 4e-2
        torch.testing.assert_close(difference, gradients[:, axis], atol=2e-3, rtol=5e-3)


def test_longer_windows_make_better_rollouts():
    one = fit_dynamics(Pendulum(), REGION, episodes=40, steps=400, batch=64)
    long = fit_dynamics(Pendulum(), REGION, episodes=40, steps=400, batch=64, unroll=STEPS)
    assert long.errors.multi_step < 1.2 * one.errors.multi_step


def test_a_seed_repeats_and_progress_is_told():
    events = []
    options = {"episodes": 30, "steps": 60, "batch": 32}
    first = fit_dynamics(Pendulum(), REGION, **options, chunk=20, progress=events.append)
    again = fit_dynamics(Pendulum(), REGION, **options)
    other = fit_dynamics(Pendulum(), REGION, **options, seed=1)
    theta = thetas(2)
    assert torch.equal(first(theta), again(theta))
    assert not torch.equal(first(theta), other(theta))
    assert [e.done for e in events if e.phase == "rollouts"] == [0, 20, 30]
    fits = [e for e in events if e.phase == "fit"]
    assert len(fits) == 2 * 3  # two models, every 20 steps
    assert fits[2].validation_error < fits[0].validation_error


def test_files(fitted, tmp_path):
    path = tmp_path / "dynamics.npz"
    fitted.save(path)
    loaded = load_dynamics(path, Pendulum())
    assert torch.equal(loaded(thetas(3)), fitted(thetas(3)))
    assert loaded.errors == fitted.errors
    assert loaded.region == REGION

    class Other(Pendulum):
        name = "other"

    with pytest.raises(GradientError, match="its name: 'pendulum', here: 'other'"):
        load_dynamics(path, Other())

    class Wider(Pendulum):
        def model(self, seed):
            model = PendulumModel(seed)
            model.network = mlp([3, 33, 32, 2])
            return model

    with pytest.raises(GradientError, match=r"has shape \[32, 3\], the task's model asks for \[33, 3\]"):
        load_dynamics(path, Wider())
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(GradientError, match="damaged"):
        load_dynamics(path, Pendulum())


def test_refusals(fitted):
    class Still(Pendulum):
        def simulate(self, theta):
            return torch.zeros(STEPS + 1, len(theta), 2)

    class Broken(Pendulum):
        def simulate(self, theta):
            return Pendulum.simulate(self, theta) / 0.0

    for task, region, options, words in [
        (Still(), REGION, {}, "state never changes"),
        (Broken(), REGION, {}, "are not finite"),
        (Pendulum(), Cloud((0.0, 0.0)), {}, "region has 2 parameters, the task 'pendulum' 6"),
        (Pendulum(), REGION, {"episodes": 10}, "at least 20"),
        (Pendulum(), REGION, {"unroll": 7}, "an episode of 'pendulum' has 6 steps"),
        (Pendulum(), REGION, {"ensemble": 1}, "one model has no spread"),
        (Pendulum(), REGION, {"validation": 0.0}, "validation is 0.0"),
    ]:
        with pytest.raises(GradientError, match=words):
            fit_dynamics(task, region, **({"episodes": 20, "steps": 5} | options))
    with pytest.raises(GradientError, match="fitted to another objective"):
        fitted.estimate(lambda theta: theta.sum(1), thetas(1))
    with pytest.raises(GradientError, match=r"takes \[batch, 6\]"):
        fitted.value_and_gradient(torch.zeros(2, 3))
    assert math.isfinite(float(Smoothing(scale=0.1, order="first").estimate(fitted, thetas(1)[0]).value))
