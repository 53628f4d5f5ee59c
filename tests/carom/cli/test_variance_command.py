"""``carom variance``: tables, figure and numbers of the comparison of variance reduction."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.image
import pytest
import torch

from carom import variance
from carom.gradients import GradientError

from ..conftest import run_cli

QUICK = ("--repeats", "3", "--inputs", "2", "--samples", "256")


def test_tables_figure_and_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    run_cli("variance", "sorting", "--distributions", "gaussian,gumbel", "--out", tmp_path / "v", *QUICK)
    torch.set_num_threads(threads)
    shown = capsys.readouterr().out
    for word in ("gaussian noise", "gumbel noise", "cartesian_rqmc", "216, 250", "latin_hypercube", "l-o-o"):
        assert word in shown
    found = json.loads((tmp_path / "v" / "results.json").read_text())
    rows = {(r["distribution"], r["sampling"], r["antithetic"], r["baseline"]): r for r in found["rows"]}
    assert len(rows) == len(found["rows"]) == 6 * 6 - 3 + 6 * 3  # no pairs of a mirrored grid, nor of skewed noise
    assert rows["gaussian", "qmc", False, "none"]["error_standard_error"] is None
    best = rows["gaussian", "cartesian_rqmc", False, "leave_one_out"]["error"]
    assert best < rows["gaussian", "monte_carlo", False, "leave_one_out"]["error"]
    assert best < rows["gaussian", "monte_carlo", False, "none"]["error"]
    for reference in found["references"].values():
        assert reference["theta_standard_error"] < 0.01 * reference["theta_norm"]
    picture = matplotlib.image.imread(tmp_path / "v" / "variance.png")
    assert picture[..., :3].std() > 0.03
    # Antithetic pairs: every baseline cancels from theta's derivative, but not from the scale's.
    pairs = [rows["gaussian", "monte_carlo", True, baseline] for baseline in ("none", "value", "leave_one_out")]
    assert pairs[0]["error"] == pytest.approx(pairs[2]["error"], rel=1e-9)
    assert pairs[0]["scale_error"] != pytest.approx(pairs[2]["scale_error"], rel=1e-3)


def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (("sort",), "Did you mean 'sorting'"),
        (("--distributions", "gaussan"), "Did you mean 'gaussian'"),
        (("--samples", "3"), "samples is 3"),
        (("--size", "1"), "size is 1"),
    ):
        with pytest.raises(SystemExit) as stop:
            run_cli("variance", *arguments, "--out", tmp_path / "v")
        assert stop.value.code == 2
        assert words in " ".join(capsys.readouterr().err.split())
        assert not (tmp_path / "v").exists()
    # Sixteen inputs: a grid has at least 65,536 points, and is left out.
    study = variance(
        "shortest-path", size=4, samples=64, repeats=2, inputs=1, distributions=["cauchy"], reference_samples=1024
    )
    assert {row.sampling for row in study.rows} == {"monte_carlo", "qmc", "rqmc", "latin_hypercube"}
    with pytest.raises(GradientError, match="repeats"):
        variance(repeats=1)
