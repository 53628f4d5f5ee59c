"""``docs/tutorials/own_backend.md`` does what it says: its file, its use, its entry point and its commands."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import carom
from carom.cli import main
from carom.gradients import CentralDifferences, Estimate, backend_names, make_backend, registry

TEXT = (Path(__file__).parents[2] / "docs" / "tutorials" / "own_backend.md").read_text(encoding="utf-8")
FILE, USE = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
(TOML,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
(COMMANDS,) = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
SHORT = ("--options", "duration=0.2,step=0.02")
QUICK = {
    "compare": ("--samples", 32, "--rollouts", 100, "--reference-samples", 8, "--no-report", "--no-race", *SHORT),
    "optimize": ("--rollouts", 100, "--samples", 16, *SHORT),
    "train": ("--steps", 1, "--options", "horizon=2"),
    "variance": ("--repeats", 2, "--inputs", 1, "--samples", 64, "--distributions", "gaussian"),
    "diagnose": ("--samples", 32, *SHORT),
}
"""Options that make each command of the page short."""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The page's file as an installed package, with its entry point; the name of the backend."""
    (tmp_path / "my_backends.py").write_text(FILE)
    info = tmp_path / "my_backends-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my_backends\nVersion: 1.0\n")
    heading, entry = TOML.strip().splitlines()
    (group,) = re.fullmatch(r'\[project.entry-points."(.*)"\]', heading).groups()
    (info / "entry_points.txt").write_text(f"[{group}]\n{entry.replace(chr(34), '')}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "_added", {})
    monkeypatch.setattr(registry, "_asked", False)
    monkeypatch.delitem(sys.modules, "my_backends", raising=False)
    return entry.split(" ")[0]


def test_the_example_is_right(package):
    """Of a quadratic cost it has the exact mean; its error bar covers it; a batch equals single calls."""
    assert backend_names()[-1] == package
    theta = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64)
    matrix = torch.tensor([[2.0, 0.3, 0.0], [0.3, 1.0, -0.4], [0.0, -0.4, 0.5]], dtype=torch.float64)

    def bowl(rows):
        return 0.5 * torch.einsum("bi,ij,bj->b", rows, matrix, rows)

    backend = make_backend(package, scale=(0.1, 0.2, 0.05), samples=512)
    z = []
    for seed in range(400):
        estimate = backend.estimate(bowl, theta, seed=seed)
        z.append((estimate.gradient - matrix @ theta) / estimate.standard_error)
    z = torch.stack(z)
    assert float(z.mean(0).abs().max()) < 4.0 / 400**0.5
    assert 0.9 < float(z.square().mean().sqrt()) < 1.1
    batch = backend.estimate(bowl, torch.stack([theta, 2.0 * theta]), seed=3)
    single = backend.estimate(bowl, theta, seed=3)
    torch.testing.assert_close(batch.gradient[0], single.gradient, rtol=1e-12, atol=0.0)
    assert batch.evaluations == 2 * single.evaluations == 1024


def test_the_use_from_python(package, capsys):
    scope: dict = {}
    assert backend_names()[-1] == package
    exec(USE, scope)
    rows = scope["result"].comparison.rows
    assert [row.name for row in rows] == ["autodiff", "smoothing", "spsa"]
    assert rows[2].error is None
    assert rows[2].cosine > 0.5
    assert scope["found"].cost < scope["found"].start_cost - 0.002
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("line", COMMANDS.strip().splitlines(), ids=lambda line: line.split()[1])
def test_the_commands(package, line, tmp_path, capsys):
    command, *arguments = line.split()[1:]
    settings = [(a + ",worlds=2,window=1,hidden=(4,)" if "samples=32" in a else a) for a in arguments]
    out = () if command == "diagnose" else ("--out", tmp_path / "out")
    threads = torch.get_num_threads()
    main([str(part) for part in (command, *settings, *QUICK[command], *out)])
    torch.set_num_threads(threads)
    shown = capsys.readouterr().out
    assert package in shown
    if command == "diagnose":
        return
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    if command == "compare":
        row = next(row for row in found["backends"] if row["name"] == package)
        assert row["error"] is None
    elif command == "variance":
        (row,) = found["backends"]
        assert (row["name"], row["samples"], row["failure"]) == (package, 64, None)
        assert 0.0 < row["error"] < 2.0 * found["references"]["gaussian"]["theta_norm"]
    elif command == "optimize":
        assert found["backend"]["type"] == "SPSA"
        assert found["cost"] <= found["start_cost"]
    else:
        assert found["steps_simulated"] == 2 * 33  # worlds, and windows of one interval: 32 rollouts and one more


@pytest.mark.slow
def test_a_whole_report_with_twelve_backends(package, tmp_path):
    """Each in every figure that it belongs to; one fails, one is not finite, one takes no batches."""
    bowl = carom.envs.testbeds.Quadratic()
    theta = bowl.initial_parameters() + 0.1
    exact = carom.gradients.Autodiff()

    class Other:
        def __init__(self, change):
            self.change = change

        def estimate(self, objective, theta, *, seed=0):
            return self.change(exact.estimate(objective, theta, seed=seed))

    def single(estimate):
        if estimate.value.ndim:
            raise ValueError("one theta at a time")
        return estimate

    backends = {name: make_backend(name, scale=0.05, samples=32) for name in ("autodiff", "smoothing", package)}
    backends |= {
        "fails": Other(lambda estimate: 1 / 0),
        "not_finite": Other(lambda estimate: replace(estimate, gradient=estimate.gradient * float("nan"))),
        "single": Other(single),
    }
    backends |= {f"other{i}": Other(lambda e, i=i: replace(e, gradient=(1 + 0.2 * i) * e.gradient)) for i in range(6)}
    assert len(backends) == 12
    studies = ["field", "singles", "samples", "scale"]
    result = carom.compare(bowl, theta, backends=backends, scale=0.05, samples=32, rollouts=100, studies=studies)
    found = result.studies
    raced = result.race
    assert {*raced.by_name, *raced.failed} == {*backends}
    assert "ZeroDivisionError" in raced.failed["fails"]
    assert "not finite" in raced.failed["not_finite"]
    assert list(found.gradient_field.gradients) == [name for name in backends if name != "fails"]
    assert torch.equal(found.gradient_field.gradients["single"], found.gradient_field.gradients["autodiff"])
    assert set(found.sweeps["samples"].points) == {"smoothing", package}
    assert set(found.sweeps["scale"].points) == {"smoothing", package}
    folder = result.save(tmp_path / "out")
    page = (folder / "report.html").read_text()
    for name in backends:
        assert name in page


def test_one_that_fails_is_a_row_and_its_traceback_a_file(package, tmp_path, capsys):
    @carom.gradients.register("broken")
    class Broken:
        def estimate(self, objective, theta, *, seed=0):
            raise ZeroDivisionError("too bad")

    @carom.gradients.register("empty")
    class Empty:
        def estimate(self, objective, theta, *, seed=0):
            return Estimate(0.0, [], None, 0, 0.0)

    quick = ("--no-report", "--no-race", "--samples", "64", "--rollouts", "200", "--out", str(tmp_path / "out"))
    main(["compare", "gap_push", *quick])
    shown = " ".join(capsys.readouterr().out.split())
    assert "ZeroDivisionError: too bad (test_own_backend.py, line" in shown
    assert "a gradient of shape [0] for theta of shape [1]" in shown
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    rows = {row["name"]: row for row in found["backends"]}
    assert [name for name, row in rows.items() if row["error"]] == ["broken", "empty"]
    assert {*list(rows)[-3:]} == {package, "broken", "empty"}  # after carom's own
    trace = (tmp_path / "out" / "errors.txt").read_text()
    assert trace.startswith("broken\n\nTraceback (most recent call last):")
    assert 'raise ZeroDivisionError("too bad")' in trace
    assert "empty" not in trace
    # The same folder again, without it: the file of the traceback is gone.
    main(["compare", "gap_push", *quick, "--backends", "autodiff,spsa", "--overwrite"])
    assert not (tmp_path / "out" / "errors.txt").exists()
    with pytest.raises(SystemExit) as stop:
        main(["compare", "gap_push", "--backends", "autodiff,spas", "--out", str(tmp_path / "none")])
    assert stop.value.code == 2
    assert "unknown backend 'spas'. Did you mean 'spsa'?" in " ".join(capsys.readouterr().err.split())


def test_the_jacobian_of_a_backend_is_that_of_smoothing(package):
    """Plain samples by outputs, one seed for all, are the same numbers as those of the whole Jacobian at once."""
    from carom import variance
    from carom.gradients import Smoothing

    plain = Smoothing(scale=0.5, samples=64, antithetic=False, baseline="none")
    study = variance(
        distributions=["gaussian"], repeats=3, inputs=2, samples=64, reference_samples=1024,
        backends={"plain": plain, "broken": CentralDifferences(scale=(0.1, 0.1), samples=4)},
    )  # fmt: skip
    same = study.row("gaussian", "monte_carlo", antithetic=False, baseline="none")
    found, broken = study.backends
    assert found.error == pytest.approx(same.error, rel=1e-9)
    assert found.error_standard_error == pytest.approx(same.error_standard_error, rel=1e-9)
    assert broken.error is None
    assert "scale has 2 entries but theta has 3" in broken.failure
    with pytest.raises(carom.gradients.GradientError, match="add gaussian to distributions"):
        variance(distributions=["gumbel"], backends=[package])
