"""``carom compare carrots`` on a pile of three: the map against rollouts of its own, the pictures, the budget."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch

import carom
from carom.report.figures.all import draw

from ..conftest import load, run_cli


@pytest.fixture(scope="module")
def pile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "pile"
    options = ("--options", "pieces=3,step=0.01", "--rollouts", 100, "--reference-samples", 8, "--samples", 16)
    run_cli(
        "compare", "carrots", "--out", folder, *options, "--backends", "autodiff,smoothing", "--no-report", "--no-race"
    )
    return folder


def test_the_map_is_the_cost_over_the_end_of_the_push(pile: Path) -> None:
    results = load(pile)
    plane, theta = results["landscape"], torch.tensor(results["theta"])
    assert [results["task"]["parameter_names"][i] for i in plane["axes"]] == ["x1_0", "y1_0"]
    assert results["settings"]["options"] == {"pieces": 3, "step": 0.01}
    assert plane["scale"] == [0.01, 0.01]
    task = carom.envs.make("carrots", **results["settings"]["options"])
    cost = np.array(plane["hard"]["cost"])
    picked = [(0, 0), (4, 4), (2, 7)]  # row by y, column by x; the middle of 9 is theta
    rows = theta.double().repeat(len(picked), 1)
    for number, (row, column) in enumerate(picked):
        rows[number, 2] += plane["hard"]["dx"][column]
        rows[number, 3] += plane["hard"]["dy"][row]
    assert cost.shape == (9, 9)
    assert [cost[at] for at in picked] == task(rows.to(theta.dtype)).tolist()
    assert cost[4, 4] == float(task(theta[None])[0])


def test_pictures_of_the_pile_are_whole(pile: Path) -> None:
    for kind in ("compare", "scene", "landscape"):
        picture = matplotlib.image.imread(pile / f"{kind}.png")[..., :3]
        edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert (edge == 1.0).all(), f"something is cut off at the edge of {kind}.png"
        assert picture.std() > 0.03


def test_before_and_after_show_where_the_pieces_are() -> None:
    """The drawn outlines lie around the simulated centres, at the start on the left and at the end on the right."""
    task = carom.envs.make("carrots", pieces=3, step=0.01)
    result = carom.compare(task, backends=("autodiff",), reference_samples=4, rollouts=100, race=False)
    before, after = draw(result, "scene").axes[:2]
    path = task.rollout(result.theta[None]).body_q[:, 0, :3, :2].numpy()
    assert np.linalg.norm(path[-1] - path[0], axis=1).max() > 0.05  # it was pushed
    for axes, centres in ((before, path[0]), (after, path[-1])):
        (shapes,) = (c for c in axes.collections if type(c).__name__ == "PolyCollection")
        bodies = [p for p in shapes.get_paths() if len(p.vertices) > 4]  # outlines; faces are triangles
        for centre in centres:
            assert any(outline.contains_point(100.0 * centre) for outline in bodies)
    assert before.get_xlim() == after.get_xlim()
