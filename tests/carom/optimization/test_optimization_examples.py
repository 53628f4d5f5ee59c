"""The examples that optimize, held against published numbers, closed forms and each other."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch

import carom

EXAMPLES = Path(__file__).parents[3] / "examples"
IDLE = 112.01
"""Published cost of box pushing before optimization: (40 + 10) states of a box that never moves."""


def load(name: str) -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


def start_cost(**options: Any) -> float:
    task = carom.envs.make("push", **options)
    return float(task(task.initial_parameters()[None])[0])


def test_adam_with_any_backend() -> None:
    optimize = load("optimize_adam")["optimize"]
    start = start_cost(start="apart")
    assert optimize("autodiff", iterations=3) == start
    assert optimize("softened", iterations=15) < 0.5 * start


def test_lbfgs_finds_the_minimum_that_cmaes_finds() -> None:
    """0.0032066 is where CMA-ES ends, which asks for costs alone (3,000 rollouts in single precision)."""
    before, after, evaluations = load("optimize_lbfgs")["optimize"]()
    assert before == pytest.approx(start_cost(), rel=1e-4)
    assert after == pytest.approx(0.0032066, abs=2e-6)
    assert evaluations < 60


def test_cmaes_finds_the_box_from_afar() -> None:
    best, rollouts = load("optimize_cmaes")["optimize"](generations=40)
    assert rollouts == 400
    assert best < 0.5 * start_cost(start="apart")


def test_mppi_moves_the_box() -> None:
    idle, acted = load("optimize_mppi")["control"](horizon=12, samples=48)
    assert idle == pytest.approx(IDLE, abs=0.01)
    assert acted < 0.9 * IDLE


def test_ilqr_moves_the_box_on_bundles_only() -> None:
    optimize = load("ilqr_bundles")["optimize"]
    task = carom.envs.make("box_pushing", dtype="float64")
    assert optimize("exact", iterations=1, task=task) == pytest.approx([IDLE, IDLE], abs=0.01)
    for kind in ("first", "zeroth"):
        costs = optimize(kind, iterations=2, samples=20, task=task)
        assert costs[0] == pytest.approx(IDLE, abs=0.01)
        assert min(costs) < 0.85 * IDLE, kind


PENDULUM = [1856.154405579, 1202.105657290, 699.799149066, 423.583298697, 357.476396871, 357.296508880]
"""Published costs by iteration of the exact model; both bundles were at 357.46 after eight."""


def test_on_the_smooth_pendulum_all_models_agree() -> None:
    optimize = load("ilqr_pendulum")["optimize"]
    assert optimize("exact", iterations=5) == pytest.approx(PENDULUM, rel=1e-9)
    for kind in ("first", "zeroth"):
        assert optimize(kind, iterations=6)[-1] == pytest.approx(PENDULUM[-1], rel=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["first", "zeroth"])
def test_ilqr_about_halves_the_cost(kind: str) -> None:
    """Published: 112.01 to 49.2. Here 59.9 and 60.0; nothing tried on this reading of the problem went below 58.7."""
    assert min(load("ilqr_bundles")["optimize"](kind)) < 62.0


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    names = load("optimizer_table")
    mean, half = names["interval"]([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert half == pytest.approx(4.302653 / 3**0.5, rel=1e-6)  # Student's t of 2 degrees of freedom, from a table
    task = carom.envs.make("quadratic")
    found = names["table"](task, ["adam:autodiff", "adam:smoothing", "mppi"], rollouts=400, seeds=2)
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 5
    assert [len(costs) for costs in found.values()] == [1, 2, 2]
    start = float(task(task.initial_parameters()[None].double())[0])
    assert all(cost < start for costs in found.values() for cost in costs)
    best, last, _ = names["run"](
        task, "adam:autodiff", 30, 0, {"samples": 32, "iterations": 1000, "learning_rate": 30.0}
    )
    assert best == start < last  # every step goes too far
    torch.testing.assert_close(
        torch.tensor(float(rows[4].split("|")[2].split("±")[0])),
        torch.tensor(found["mppi"]).mean(),
        rtol=1e-3,
        atol=0.0,
    )
