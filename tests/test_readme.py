"""Code and results that the README and the examples show are run and checked."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)


def run(marker: str) -> dict:
    (block,) = [b for b in BLOCKS if marker in b]
    names: dict = {}
    exec(compile(block, "README.md", "exec"), names)
    return names


def test_one_interface():
    names = run('order="zeroth"')
    estimate = names["estimate"]
    # from apart the box is pushed by way-points farther ahead: every x derivative is negative, beyond its error
    along = slice(0, None, 2)
    assert (estimate.gradient[along] < 0).all()
    assert estimate.gradient[along].norm() > 3 * estimate.standard_error[along].norm()
    assert estimate.evaluations == 1024


def test_any_function():
    theta = run("differentiable")["theta"].detach()
    assert theta[0] > 0.3
    assert abs(theta[1]) < 0.3


def test_own_scene():
    names = run("ModelBuilder")
    ratio = names["speed"].detach() / torch.tensor([0.5, 1.0, 1.5])
    # slipping ends within the 1 s simulated; the step at which it ends shifts the speed by less than mu g h
    torch.testing.assert_close(ratio, torch.full((3,), 5 / 7, dtype=torch.float64), atol=0.02, rtol=0)
    gradient = names["state"].body_v.grad[:, 0, 0]
    torch.testing.assert_close(gradient, torch.full((3,), 5 / 7, dtype=torch.float64), atol=0.02, rtol=0)


def test_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    names = run("carom.animate")
    assert names["force"].shape == (5, 3)  # four corners and the pusher
    with Image.open(tmp_path / "push.gif") as film:
        frames = [film.seek(i) or film.info["duration"] for i in range(film.n_frames)]
    assert sum(frames[:-1]) == pytest.approx(2000 / 0.5, abs=40)  # milliseconds, without the last picture's rest


def test_commands_are_those_of_ci():
    readme, ci = (ROOT / "README.md").read_text(), (ROOT / ".ci" / "run").read_text()
    for part in ("python3 -m venv .venv", '-e ".[dev]"', ".venv/bin/pytest -n 2 --dist worksteal"):
        assert part in readme
        assert part in ci


def test_build_a_scene(capsys: pytest.CaptureFixture[str]):
    runpy.run_path(str(ROOT / "examples" / "build_a_scene.py"), run_name="__main__")
    for line in capsys.readouterr().out.splitlines():
        ours, closed = (float(x) for x in re.findall(r"(-?\d+\.\d+) (?:m|s)\b", line))
        assert ours == pytest.approx(closed, rel=0.01)


def test_distributed_smoothing(capsys: pytest.CaptureFixture[str]):
    """Alone here; what several processes give is tested in tests/gradients/test_distributed.py."""
    names = runpy.run_path(str(ROOT / "examples" / "distributed_smoothing.py"))
    estimate = names["main"](samples=256)
    assert "1 process(es), 256 rollouts" in capsys.readouterr().out
    task = names["carom"].envs.make("push", start="apart")
    expected = names["Smoothing"](scale=0.02, samples=256).estimate(task, task.initial_parameters(), seed=0)
    torch.testing.assert_close(estimate.gradient, expected.gradient)
    readme = (ROOT / "README.md").read_text()
    assert "torchrun --nproc-per-node 2 examples/distributed_smoothing.py" in readme


def test_choose_push():
    names = runpy.run_path(str(ROOT / "examples" / "choose_push.py"))
    cost, exact = names["make_cost"](), names["Enumeration"](categories=3)
    even = exact.estimate(cost, torch.zeros(12))
    relax = names["RELAX"](
        categories=3,
        samples=32,
        state=names["ControlVariateState"](),
        training=names["VarianceTraining"](rounds=1, steps=5),
    )
    for backend in (names["REINFORCE"](categories=3, samples=32), relax):
        logits = names["learn"](cost, backend, iterations=12)
        # the expected cost falls, most of the way from even odds (0.33) to the best of all 81 pushes (0.11)
        assert exact.estimate(cost, logits).value < 0.5 * (even.value + even.diagnostics["best_cost"])
