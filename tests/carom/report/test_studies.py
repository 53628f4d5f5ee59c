"""The studies of a report, on objectives whose answers are known in closed form."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import carom
from carom.comparison.budget import Budget
from carom.comparison.studies.downhill_steps import downhill_steps
from carom.comparison.studies.gradient_field import gradient_field
from carom.comparison.studies.plan import plan_for
from carom.comparison.studies.single_samples import SCORE, single_samples
from carom.comparison.studies.sweep import Law, Truth, measure, sweep
from carom.gradients import Autodiff, CentralDifferences, GradientError, Mixed, Smoothing, Surrogate
from carom.gradients.core.backend_options import has_option, with_option
from carom.report.figures.all import KINDS

SLOPE = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
THETA = torch.zeros(4, dtype=torch.float64)


def linear(theta: torch.Tensor) -> torch.Tensor:
    return theta @ SLOPE.to(theta)


def step(theta: torch.Tensor) -> torch.Tensor:
    return (theta[:, 0] > 0.0).to(theta)


def exact(gradient: torch.Tensor) -> Truth:
    return Truth(gradient, torch.zeros_like(gradient))


def test_variance_falls_as_one_over_samples_by_the_closed_form() -> None:
    """Pairs on a linear cost: (d + 1) |a|^2 / pairs. 40 seeds of 4 numbers: 13 % each; 5 s.e. is passed by 1 - 6e-7."""
    counts = (16, 64, 256)
    found = sweep(
        THETA, {"zeroth": Smoothing(scale=0.1)}, counts, label="samples", unit="",
        objective=lambda value: linear, truth=lambda value: exact(SLOPE),
        backend_at=lambda backend, value: with_option(backend, "samples", round(value)),
        repeats=lambda backend: 40, seed=3, law=Law("1/samples", -1.0, each=True),
    )  # fmt: skip
    norm2 = float(SLOPE.square().sum())
    for count, point in zip(counts, found.points["zeroth"], strict=True):
        assert point is not None
        closed = 5.0 * norm2 / (count / 2)
        assert point.variance == pytest.approx(closed, rel=5 * math.sqrt(2 / (39 * 4)))
        assert point.bias < 4.0 * point.noise
        assert point.evaluations == count
    # one s.e. of the slope in logarithms over a factor of 16: 0.16 / ln 16 * sqrt(2) = 0.08
    assert found.slope("zeroth") == pytest.approx(-1.0, abs=0.35)


def test_variance_of_a_jump_falls_as_one_over_scale_squared() -> None:
    """The step at its edge scaled by s is the same problem with a gradient 1/s: the variance is exactly as 1/s^2."""
    scales = (0.05, 0.1, 0.4)
    found = sweep(
        THETA[:1], {"zeroth": Smoothing(samples=64)}, scales, label="noise", unit="",
        objective=lambda value: step,
        truth=lambda value: exact(torch.tensor([1.0 / (value * math.sqrt(2 * math.pi))], dtype=torch.float64)),
        backend_at=lambda backend, value: with_option(backend, "scale", value),
        repeats=lambda backend: 8, seed=0,
    )  # fmt: skip
    assert found.slope("zeroth") == pytest.approx(-2.0, abs=1e-6)
    assert all(p is not None and p.bias < 4.0 * p.noise for p in found.points["zeroth"])


def test_a_bias_is_told_from_noise() -> None:
    wrong = SLOPE + torch.tensor([0.0, 0.0, 0.0, 2.0], dtype=torch.float64)
    point = measure(Smoothing(scale=0.1, samples=512), linear, THETA, exact(wrong), repeats=8, seed=0)
    assert point.bias == pytest.approx(2.0, abs=4 * point.noise)
    alone = measure(Autodiff(), linear, THETA, exact(wrong), repeats=8, seed=0)
    assert (alone.repeats, alone.variance, alone.bias, alone.evaluations) == (1, 0.0, 2.0, 1)


def test_a_backend_that_refuses_leaves_a_note_and_the_others_stay() -> None:
    backends = {"fit": Surrogate(samples=64, steps=20), "zeroth": Smoothing()}
    found = sweep(
        THETA, backends, (8, 32), label="samples", unit="",
        objective=lambda value: linear, truth=lambda value: exact(SLOPE),
        backend_at=lambda backend, value: with_option(backend, "samples", round(value)),
        repeats=lambda backend: 2, seed=0,
    )  # fmt: skip
    assert [point is None for point in found.points["fit"]] == [True, False]
    assert all(found.points["zeroth"])
    assert len(found.notes) == 1
    assert found.notes[0].startswith("fit at 8: ")


def test_options_are_found_inside_backends_and_only_there() -> None:
    changed = with_option(Mixed(first=Smoothing(order="first"), zeroth=Smoothing()), "samples", 32)
    assert (changed.first.samples, changed.zeroth.samples, changed.first.order) == (32, 32, "first")  # type: ignore[union-attr]
    assert with_option(Autodiff(), "samples", 32) is None
    assert not has_option(Autodiff(), "samples")
    assert has_option(Surrogate(), "learning_rate")
    assert with_option(lambda: None, "samples", 3) is None  # type: ignore[arg-type]
    with pytest.raises(GradientError):
        with_option(Smoothing(), "samples", 7)


def test_arrows_are_the_gradient_in_the_plane_asked_for() -> None:
    def cost(theta: torch.Tensor) -> torch.Tensor:
        return theta[:, 1] * theta[:, 3] + theta[:, 0].pow(2)

    theta = torch.tensor([5.0, 1.0, 7.0, -2.0], dtype=torch.float64)
    scale = torch.tensor([1.0, 0.1, 1.0, 0.2], dtype=torch.float64)
    found = gradient_field(cost, theta, {"exact": Autodiff()}, (1, 3), scale, points=5, samples=4, seed=0)
    np.testing.assert_allclose(found.dx, 0.1 * np.linspace(-3, 3, 5))
    x, y = np.meshgrid(1.0 + found.dx.numpy(), -2.0 + found.dy.numpy())
    np.testing.assert_allclose(found.gradients["exact"][..., 0], y)
    np.testing.assert_allclose(found.gradients["exact"][..., 1], x)
    assert found.evaluations == {"exact": 1}


def test_single_samples_of_a_jump_have_the_closed_mean_and_the_exact_ones_are_all_zero() -> None:
    """f in {0, 1} at its edge: (f - 1/2) w / s = |w| / 2s, of mean 1 / (s sqrt(2 pi)). 4.5 s.e.: false alarm 7e-6."""
    scale = torch.tensor([0.2], dtype=torch.float64)
    truth = 1.0 / (0.2 * math.sqrt(2 * math.pi))

    class Step:
        name = "step"
        __call__ = staticmethod(step)

        def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return step(theta), torch.zeros_like(theta)

    found = single_samples(
        Step(), THETA[:1], {"exact": Autodiff()}, torch.tensor([truth]), scale, samples=4000, seed=1
    )  # fmt: skip
    x = found.samples[SCORE]
    assert abs(float(x.mean()) - truth) < 4.5 * float(x.std()) / math.sqrt(len(x))
    assert found.zero_share("exact") == 1.0
    assert found.zero_share(SCORE) == 0.0
    # |w|/2s is half-normal: kurtosis 3 + 8 (pi - 3) / (pi - 2)^2 = 3.869
    assert found.kurtosis(SCORE) == pytest.approx(3.869, abs=0.6)
    without = single_samples(step, THETA[:1], {"exact": Autodiff()}, torch.tensor([truth]), scale, samples=64, seed=1)
    assert list(without.samples) == [SCORE]
    assert "no exact gradient" in without.notes[0]


@pytest.mark.parametrize("rollouts", [12_000, 3000, 750, 187, 100])
def test_a_plan_is_possible_whatever_the_budget(rollouts: int) -> None:
    for samples in (16, 64, 256):
        plan = plan_for(Budget(rollouts), samples, 8)
        Smoothing(samples=plan.samples)
        CentralDifferences(samples=plan.reference_samples)
        assert plan.repeats >= 3
        assert plan.arrows % 2 == 1
    assert plan_for(Budget(12_000), 256, 1).repeats > plan_for(Budget(12_000), 256, 8).repeats


def test_studies_of_a_users_own_function() -> None:
    """One parameter, no exact gradient: what cannot be shown is named, the rest is there."""

    def edge(theta: torch.Tensor) -> torch.Tensor:
        return (theta[:, 0] > 0.5).to(theta)

    theta = torch.tensor([0.51], dtype=torch.float64)
    result = carom.compare(
        edge, theta, backends=["autodiff", "smoothing"], scale=0.1, samples=64, rollouts=400, studies=True
    )
    assert set(result.omitted) == {"scene", "bodies", "landscape", "field", "horizon", "stiffness", "growth"}
    assert all(len(reason.split()) > 4 for reason in result.omitted.values())
    assert {"singles", "samples", "scale", "curves"} <= set(result.figure_kinds)
    assert set(result.figure_kinds) | set(result.omitted) == {"compare", *KINDS}
    assert result.studies is not None
    assert result.race is not None
    assert list(result.race.failed) == ["autodiff"]  # it has no exact gradient
    assert result.advice.descend.backend == "smoothing"
    for kind in ("singles", "samples", "curves"):
        assert result.figure(kind).axes
    with pytest.raises(GradientError, match="at_horizon"):
        result.figure("horizon")
    with pytest.raises(GradientError, match="unknown figure"):
        result.figure("horison")


class Sliders:
    """Two bodies that end where the parameters say, the second twice as far; x of the first counts."""

    name = "sliders"

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        return theta[:, 0]

    def record(self, theta: torch.Tensor) -> SimpleNamespace:
        q = torch.zeros(2, len(theta), 2, 7)
        q[1, :, 0, :2], q[1, :, 1, :2] = theta, 2.0 * theta
        return SimpleNamespace(body_q=q.numpy(), body_names=("one", "two"))


def test_a_downhill_step_is_one_noise_scale_downhill_and_chance_goes_every_way() -> None:
    """Steepest descent in units of the noise: along (g s)/|g s| times s."""
    scale, theta = torch.tensor([0.1, 0.2], dtype=torch.float64), torch.tensor([1.0, -1.0], dtype=torch.float64)
    gradients = {"along": (5.0, 0.0), "both": (4.0, 1.5), "still": (0.0, 0.0)}
    found = downhill_steps(Sliders(), theta, gradients, scale, seed=0, chances=4000)
    np.testing.assert_allclose(found.moves["along"], [[-0.1, 0.0], [-0.2, 0.0]], atol=1e-6)
    np.testing.assert_allclose(found.moves["both"][0], [-0.1 * 0.8, -0.2 * 0.6], atol=1e-6)
    assert not found.moves["still"].any()
    # a random direction has half of its square in each parameter
    np.testing.assert_allclose(found.chance, math.sqrt(0.5 * (0.01 + 0.04)) * np.array([1.0, 2.0]), rtol=0.05)
