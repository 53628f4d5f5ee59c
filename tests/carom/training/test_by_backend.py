"""Training by a backend of gradients: the cost that it differentiates, its count of rollouts, and that it learns."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from point_task import PointTask

from carom.envs.control import make_control
from carom.gradients import Autodiff, Estimate, Smoothing, register, registry
from carom.training import ActorCritic, Analytic, ByBackend, Policy, TrainingError, by_backend, train
from carom.training.analytic import expected_cost
from carom.training.by_backend import WindowCost
from carom.training.modules import seeded
from carom.training.policy import critic_network
from carom.training.registry import make_method, methods
from carom.training.window import Setting, Window


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_added", {})
    monkeypatch.setattr(registry, "_asked", True)


@dataclass(frozen=True)
class Signs:
    """Simultaneous perturbation (Spall 1992): differences along random signs."""

    scale: float = 0.05
    samples: int = 32

    def estimate(self, objective, theta, *, seed=0):
        generator = torch.Generator().manual_seed(seed % 2**63)
        signs = 2 * torch.randint(0, 2, (self.samples // 2, len(theta)), generator=generator).to(theta) - 1
        ends = theta + self.scale * torch.cat([signs, -signs])
        with torch.no_grad():
            plus, minus = objective(ends).view(2, -1, 1)
        slopes = (plus - minus) / (2.0 * self.scale) * signs
        return Estimate((plus + minus).mean() / 2, slopes.mean(0), slopes.std(0) / len(slopes) ** 0.5, len(ends), 0.0)


def make(task, worlds: int, *, length: int = 3):
    with seeded(1):
        policy, critic = Policy.of(task, (8, 8)), critic_network(task, (8,))
    with torch.no_grad():
        policy.network[-1].weight.mul_(10.0)  # a policy that reacts
    critic.requires_grad_(False)
    setting = Setting(task, length, 0.95, 0.3, lambda cost: (cost + 1e-2).sqrt())
    return setting, policy, Window(task.reset(worlds, seed=3), lambda seen: critic(seen)[:, 0], 7)


@pytest.mark.parametrize("task", [PointTask(), "push"], ids=["point", "push"])
def test_each_row_costs_what_its_policy_costs_alone(task, monkeypatch):
    task = make_control("push", dtype="float64", threads=1) if task == "push" else task
    setting, policy, window = make(task, 3, length=2)
    cost, vector = (
        WindowCost(setting, policy, window),
        torch.nn.utils.parameters_to_vector(policy.parameters()).detach(),
    )
    rows = vector + 0.1 * torch.randn(5, len(vector), dtype=vector.dtype, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        together = cost(rows)
        monkeypatch.setattr(by_backend, "_WORLDS", 6)  # two policies at once
        torch.testing.assert_close(cost(rows), together, rtol=1e-9, atol=0.0)
        for row, found in zip(rows, together, strict=True):
            torch.nn.utils.vector_to_parameters(row, policy.parameters())
            torch.testing.assert_close(found, expected_cost(setting, policy, window)[0], rtol=1e-9, atol=0.0)
    assert len(set(together.tolist())) == 5


def test_its_exact_gradient_is_the_analytic_one():
    setting, policy, window = make(PointTask(), 5)
    parts, played, _ = ByBackend(Autodiff()).estimate(setting, policy, window, {})
    expected, same, _ = Analytic().estimate(setting, policy, window, {})
    for one, other in zip(parts, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    assert torch.equal(played.observations, same.observations)
    assert torch.equal(played.costs, same.costs)


def test_intervals_are_counted_as_the_backend_spends_them():
    task = PointTask()
    assert ByBackend(Smoothing(scale=0.1, samples=32)).windows(10) == 33
    assert ByBackend(Autodiff()).windows(10) == 2
    plain = ActorCritic(worlds=4, window=3, hidden=(8,))
    method = replace(plain, gradient=ByBackend(Signs(samples=16)))
    assert method.steps(task) == 17 * plain.steps(task)
    before = torch.random.get_rng_state()
    replace(method, gradient=ByBackend(Signs(samples=8))).steps(task)
    assert torch.equal(torch.random.get_rng_state(), before)

    class Broken:
        def estimate(self, objective, theta, *, seed=0):
            raise ZeroDivisionError("no")

    with pytest.raises(TrainingError, match=r"Broken gives no gradient by the policy's 65 parameters: ZeroDivision"):
        ByBackend(Broken()).windows(65)


def test_a_registered_backend_trains_a_policy():
    with pytest.raises(TrainingError, match="unknown gradient 'signs'"):
        make_method("signs")
    register("signs", Signs)
    assert "signs" in methods()
    options = {"worlds": 4, "window": 3, "hidden": (8,), "learning_rate": 0.1, "average": 0.3}
    method = make_method("signs", samples=32, scale=0.1, **options)
    assert method.gradient == ByBackend(Signs(0.1, 32))
    with pytest.raises(TrainingError, match="there is no setting 'sample'; did you mean 'samples'"):
        make_method("signs", sample=64)
    task = PointTask()
    before = train(task, method, steps=1, seed=2, evaluations=1)
    after = train(task, method, steps=12 * method.steps(task), seed=2, evaluations=1)
    assert after.evaluation.cost < 0.6 * before.evaluation.cost
    assert after.history["steps"][-1] == 12 * 33 * 4 * 3
