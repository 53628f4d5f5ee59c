"""Optimizers against closed forms, against torch and scipy called directly, and against themselves when killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import torch

from carom.cli import main
from carom.envs import make
from carom.envs.registry import TASKS
from carom.gradients import Autodiff, GradientError, Mixed, Smoothing, Softened
from carom.optimization import CMAES, LBFGS, MPPI, Adam, Problem, minimize
from carom.runs import RunError, RunFolder

CENTRE = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64)
WIDTH = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
START = torch.zeros(3, dtype=torch.float64)


class Bowl:
    """((x - centre) / 1)^2, 2 and 3 times as steep; notes how many rows it was asked for."""

    name = "bowl"
    smoothing_scale = 0.05

    def __init__(self) -> None:
        self.rows = 0

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        self.rows += len(theta)
        return (WIDTH.to(theta) * (theta - CENTRE.to(theta)).square()).sum(1)


ALL: list[tuple[Any, Any]] = [
    (Adam(), Smoothing(scale=0.05, samples=32)),
    (LBFGS(), Autodiff()),
    (CMAES(), None),
    (MPPI(), None),
]


def name(pair: Any) -> str:
    return type(pair[0]).__name__


@pytest.mark.parametrize(("pair", "far"), list(zip(ALL, (1e-5, 1e-10, 1e-5, 1e-4), strict=True)), ids=map(name, ALL))
def test_the_minimum_of_a_bowl(pair: Any, far: float) -> None:
    bowl = Bowl()
    result = minimize(bowl, START, pair[0], backend=pair[1], rollouts=3000)
    assert result.cost < far * result.start_cost
    assert result.cost == float(Bowl()(result.theta[None]))
    assert result.rollouts <= 3000
    assert result.forward == bowl.rows
    assert result.start_cost == float(Bowl()(START[None]))
    assert min(result.history["best_cost"]) == result.history["best_cost"][-1] == result.cost


@pytest.mark.parametrize("pair", ALL, ids=name)
def test_bounds_hold_and_the_bounded_minimum_is_found(pair: Any) -> None:
    """Of a separable bowl it is the centre, clipped. Every row within the bounds but those of smoothing's noise."""
    seen: list[torch.Tensor] = []

    class Noted(Bowl):
        parameter_bounds = (-0.1, 0.15)

        def __call__(self, theta: torch.Tensor) -> torch.Tensor:
            seen.append(theta.detach())
            return super().__call__(theta)

    result = minimize(Noted(), START, pair[0], backend=pair[1], rollouts=3000)
    best = CENTRE.clamp(-0.1, 0.15)
    least = float(Bowl()(best[None]))
    assert result.cost - least < 2e-3 * (result.start_cost - least)
    rows = torch.cat([rows for rows in seen if pair[1] is None or len(rows) == 1])
    assert bool(((rows >= -0.1) & (rows <= 0.15)).all())
    if pair[1] is not None:
        assert max(result.history["held"]) > 0


def test_adam_is_torchs() -> None:
    theta = START.clone().requires_grad_()
    adam = torch.optim.Adam([theta], lr=0.02, betas=(0.9, 0.99))
    path = []
    for _ in range(40):
        adam.zero_grad()
        cost = Bowl()(theta[None]).sum()
        path.append(cost.item())
        cost.backward()
        adam.step()
    result = minimize(Bowl(), START, Adam(0.02, final=1.0), backend=Autodiff(), iterations=40)
    assert result.history["cost"] == path


def rosenbrock(theta: torch.Tensor) -> torch.Tensor:
    x, y = theta[:, :-1], theta[:, 1:]
    return (100.0 * (y - x.square()).square() + (1.0 - x).square()).sum(1)


def test_lbfgs_is_scipys() -> None:
    start = torch.tensor([-1.2, 1.0, 0.5, 0.8], dtype=torch.float64)
    unit = 0.3
    path: list[float] = []

    def cost(x: np.ndarray) -> tuple[float, np.ndarray]:
        theta = start.numpy() + unit * x
        path.append(scipy.optimize.rosen(theta))
        return path[-1], unit * scipy.optimize.rosen_der(theta)

    options = {"maxcor": 7, "ftol": 1e-12, "gtol": 0.0}
    scipy.optimize.minimize(cost, np.zeros(4), jac=True, method="L-BFGS-B", options=options)
    optimizer = LBFGS(memory=7, first_step=unit, tolerance=1e-12)
    result = minimize(rosenbrock, start, optimizer, backend=Autodiff(), rollouts=10_000)
    assert len(path) > 30
    np.testing.assert_allclose(result.history["cost"], path, rtol=1e-6)  # the two rosenbrocks differ by rounding
    assert "converged" in result.stop
    assert result.rollouts == 1 + 3 * len(path)  # the start, then an evaluation and a backward pass that counts as two


def test_rollouts_are_counted_for_what_they_are() -> None:
    """Forward and backward rows of one estimate of each backend, from its definition."""
    task = make("box_pushing", T=3)
    theta = task.initial_parameters()
    for backend, forward, backward in (
        (Autodiff(), 1, 1),
        (Softened(), 1, 1),
        (Smoothing(samples=8), 8, 0),
        (Smoothing(samples=8, order="first"), 8, 8),
        (Mixed(Smoothing(samples=8, order="first"), Smoothing(samples=8)), 16, 8),
    ):
        problem = Problem(task, backend)
        problem.estimate(theta, 0)
        assert (problem.tally.forward, problem.tally.backward) == (forward, backward), backend
    problem = Problem(task, Autodiff())
    problem.estimate(theta, 0)
    assert problem.cost(theta) == float(task(theta[None])[0])
    assert problem.tally.forward == 1  # the rollout of the gradient serves for the cost


class StopHereError(Exception):
    """In the place of a SIGKILL."""


@pytest.mark.parametrize("pair", ALL, ids=name)
def test_killed_at_any_iteration_and_resumed_is_the_same_to_the_bit(pair: Any, tmp_path: Path) -> None:
    options: dict[str, Any] = {"backend": pair[1], "rollouts": 1200, "iterations": 20, "seed": 3}
    whole = minimize(Bowl(), START, pair[0], **options)
    for kill in (1, 7):

        def killer(now: Any, kill: int = kill) -> None:
            if now.iteration == kill:
                raise StopHereError

        path = tmp_path / str(kill)
        with RunFolder.create(path, "optimize", {}) as folder, pytest.raises(StopHereError):
            minimize(Bowl(), START, pair[0], folder=folder, report=killer, **options)
        with RunFolder.resume(path, "optimize") as folder:
            again = minimize(Bowl(), START, pair[0], folder=folder, **options)
        assert again.history == whole.history
        assert torch.equal(again.theta, whole.theta)
        assert (again.rollouts, again.forward, again.stop) == (whole.rollouts, whole.forward, whole.stop)


def test_an_exact_gradient_of_zero_ends_the_run_at_once() -> None:
    result = minimize(make("grazing_push"), make("grazing_push").initial_parameters(), Adam(), backend=Autodiff())
    assert result.iterations == 5
    assert "exactly zero" in result.stop
    assert result.cost == result.start_cost


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (
            lambda t: torch.where(t[:, 0] > 0.05, torch.nan, -t[:, 0]),
            r"stopped in iteration 1: .*cost.*not finite.*row 0",
        ),
        (
            lambda t: torch.where(t < 0.121, (0.121 - t).sqrt(), 0.0).sum(1),
            r"stopped in iteration 1.: the gradient of .*not finite",
        ),
    ],
    ids=["cost", "gradient"],
)
def test_nan_stops_where_it_begins(function: Any, words: str, tmp_path: Path) -> None:
    """A step of 0.1, and a cost that is nan beyond 0.05; steps of 0.01, and a slope that is nan beyond 0.121."""
    with RunFolder.create(tmp_path / "run", "optimize", {}) as folder:
        rate = 0.1 if "cost" in words else 0.01
        with pytest.raises(RunError, match=words):
            minimize(function, START, Adam(rate, final=1.0), backend=Autodiff(), folder=folder)
        kept = folder.load()
        assert kept is not None
        assert bool(torch.isfinite(kept["state"]["theta"]).all())
        assert kept["iteration"] >= 1


@pytest.mark.parametrize(
    ("make_it", "words"),
    [
        (lambda: Adam(learning_rate=-1.0), "learning_rate is -1"),
        (lambda: Adam(final=0.0), "final is 0"),
        (lambda: MPPI(samples=1), "samples is 1"),
        (lambda: CMAES(scale=float("nan")), "scale is nan"),
        (lambda: LBFGS(tolerance=0.0), "tolerance is 0"),
        (lambda: minimize(Bowl(), START, Adam()), "Adam follows a gradient: give a backend"),
        (lambda: minimize(Bowl(), START[None], MPPI()), "an optimization begins at one theta"),
        (lambda: minimize(Bowl(), START, MPPI(), rollouts=0), "rollouts is 0"),
        (lambda: minimize(Bowl(), START[:1], CMAES()), "at least two parameters"),
    ],
)
def test_bad_input(make_it: Any, words: str) -> None:
    with pytest.raises(GradientError, match=words):
        make_it()


class Bare:
    """The least that a task has."""

    name, description = "bare", "a bowl of two parameters"

    def initial_parameters(self) -> torch.Tensor:
        return torch.zeros(2, dtype=torch.float64)

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        return (theta - 0.3).square().sum(1)


@pytest.mark.parametrize("command", ["compare", "optimize", "train"])
def test_a_task_that_has_the_least_there_is_runs(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "bare", Bare)
    arguments = {
        "compare": ["bare", "--no-report", "--samples", "32", "--rollouts", "200"],
        "optimize": ["bare", "--rollouts", "60", "--samples", "8"],
        "train": ["search", "--options", "objective=bare", "--steps", "64"],
    }[command]
    main([command, *arguments, "--out", str(tmp_path / "out")])
    assert (tmp_path / "out" / "results.json").exists()


@pytest.mark.parametrize("optimizer", [Adam(), LBFGS(), CMAES(), MPPI()])
def test_a_scale_for_each_parameter_starts_every_optimizer(optimizer: Any) -> None:
    objective = Bowl()
    objective.smoothing_scale = (0.05, 0.1, 0.15)  # type: ignore[assignment]
    backend = Autodiff() if optimizer.needs_gradient else None
    assert minimize(objective, START, optimizer, backend=backend, rollouts=200).cost < float(Bowl()(START[None])[0])
