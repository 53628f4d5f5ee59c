"""The command from outside: files, exit codes, messages, and what is left on the disk."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

import carom
from carom.api import compare
from carom.files import output_folder

from ..conftest import Run, load, run_cli

FAST = ("--backends", "autodiff", "--reference-samples", "128", "--no-report", "--no-race")


def fails(*arguments: object) -> None:
    with pytest.raises(SystemExit) as stop:
        run_cli(*arguments)
    assert stop.value.code == 2


@pytest.mark.parametrize("kind", ["compare", "slice", "parameters", "scene", "landscape"])
def test_figures_show_something(push: Run, kind: str) -> None:
    picture = matplotlib.image.imread(push.folder / f"{kind}.png")
    height, width = picture.shape[:2]
    assert (width, height) >= (850, 500)
    assert picture[..., :3].std() > 0.03
    edge = np.concatenate([picture[0, :, :3], picture[-1, :, :3], picture[:, 0, :3], picture[:, -1, :3]])
    assert (edge == 1.0).all(), "something is cut off at the edge"
    drawing = (push.folder / f"{kind}.svg").read_text()
    assert drawing.count("<path") > 20
    assert drawing.rstrip().endswith("</svg>")


def test_every_backend_has_its_color_in_the_figure(push: Run) -> None:
    picture = (matplotlib.image.imread(push.folder / "compare.png")[..., :3] * 255).round().astype(int)
    for color in ("D55E00", "0072B2", "009E73"):
        wanted = [int(color[i : i + 2], 16) for i in (0, 2, 4)]
        assert (picture == wanted).all(-1).sum() > 100, color


def test_as_a_program_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "carom", "compare", "quadratic", "--out", "found", *FAST]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "reference" in done.stdout
    assert "autodiff" in done.stdout
    assert "Warp" not in done.stdout + done.stderr
    assert "reference slope" in done.stderr
    assert "gradient 1 of 1: autodiff" in done.stderr
    assert load(tmp_path / "found")["task"]["name"] == "quadratic"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["found"]


def test_import_is_quiet_and_loads_little() -> None:
    code = "import sys, carom; print(carom.__version__, 'torch' in sys.modules, 'matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == [carom.__version__, "False", "False"]
    assert done.stderr == ""


def test_public_names_lead_where_they_say() -> None:
    assert carom.compare is compare.compare
    assert {name for name in carom.__all__ if getattr(carom, name, None) is None} == set()
    with pytest.raises(AttributeError, match="nonsense"):
        carom.nonsense  # noqa: B018


def test_version_and_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    run_cli("--version")
    assert capsys.readouterr().out == f"carom {carom.__version__}\n"
    run_cli("tasks")
    listed = capsys.readouterr().out
    assert all(name in listed for name in carom.envs.tasks())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pusj",), ("pusj", "did you mean 'push'", "heaviside")),
        (("quadratic", "--backends", "smoothin"), ("smoothin", "Did you mean 'smoothing'", "autodiff", "surrogate")),
        (("quadratic", "--backends", ","), ("backend", "autodiff")),
        (("quadratic", "--samples", 7), ("samples is 7", "8")),
        (("quadratic", "--scale", -1), ("scale is -1",)),
        (("push", "--start", "behind"), ("behind", "touching", "apart")),
        (("quadratic", "--start", "apart"), ("quadratic", "start")),
        (("push", "--device", "cuda:99"), ("cuda:99",)),
        (("push", "--dtype", "float16"), ("float16", "float32")),
    ],
)
def test_bad_input_is_one_line_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple, words: tuple[str, ...]
) -> None:
    fails("compare", *arguments, "--out", tmp_path / "deep" / "out")
    shown = capsys.readouterr()
    last = shown.err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert all(word in last for word in words), last
    assert "Traceback" not in shown.err
    assert shown.out == ""
    assert list(tmp_path.iterdir()) == []


def test_unknown_option_and_command_exit_with_2() -> None:
    fails("compare", "quadratic", "--sampels", 3)
    fails("compair")


def test_folder_that_holds_something_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    before = (tmp_path / "thesis.tex").stat().st_mtime_ns
    fails("compare", "quadratic", "--out", tmp_path)
    message = capsys.readouterr().err
    assert str(tmp_path) in message
    assert "--overwrite" in message
    fails("compare", "quadratic", "--out", tmp_path, "--overwrite")
    assert "thesis.tex" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    assert (tmp_path / "thesis.tex").stat().st_mtime_ns == before


def test_overwrite_replaces_an_earlier_run(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_cli("compare", "quadratic", "--out", out, *FAST)
    (out / "scene.png").write_bytes(b"of an earlier push")
    run_cli("compare", "quadratic", "--out", out, *FAST, "--seed", 5, "--overwrite")
    assert load(out)["settings"]["seed"] == 5
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [
            "results.json",
            "table.csv",
            *(f"{kind}.{end}" for kind in ("compare", "parameters", "slice", "trust") for end in ("png", "svg")),
        ]
    )


def test_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    run_cli("compare", "quadratic", "--out", tmp_path / "empty", *FAST)
    assert load(tmp_path / "empty")["theta"] == [1.0, -0.5]


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_folder_that_cannot_be_is_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr(compare, "compare", lambda *a, **k: pytest.fail("computed"))
    fails("compare", "quadratic", "--out", tmp_path / "file" / below)
    assert "file is a file" in capsys.readouterr().err
    fails("compare", "quadratic", "--out", Path("/proc/carom-cannot") / below)
    assert "/proc/carom-cannot" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(("raised", "code"), [(KeyboardInterrupt, 130), (carom.sim.SimulationError, 2)])
def test_nothing_is_left_of_a_run_that_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: type[BaseException], code: int
) -> None:
    def stop(*arguments: object, **options: object) -> None:
        raise raised("stopped")

    monkeypatch.setattr(compare.CompareResult, "write", stop)
    with pytest.raises(SystemExit) as stopped:
        run_cli("compare", "quadratic", "--out", tmp_path / "new" / "out", *FAST)
    assert stopped.value.code == code
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_ours_keeps_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(compare.CompareResult, "write", fault)
    with pytest.raises(ZeroDivisionError):
        run_cli("compare", "quadratic", "--out", tmp_path / "out", *FAST)
    assert list(tmp_path.iterdir()) == []


def test_default_folder_takes_the_next_free_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_cli("compare", "quadratic", *FAST)
    run_cli("compare", "quadratic", *FAST)
    assert sorted(path.name for path in (tmp_path / "carom-runs").iterdir()) == ["quadratic-1", "quadratic-2"]


def test_results_are_kept_if_the_folder_appears_meanwhile(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def work() -> None:
        with output_folder.output_folder(out) as staging:
            (staging / "results.json").write_text("{}")
            out.mkdir()
            (out / "theirs").write_text("theirs")

    with pytest.raises(output_folder.OutputError) as failure:
        work()
    assert [path.name for path in out.iterdir()] == ["theirs"]
    assert (Path(str(failure.value).split("They are in ")[1]) / "results.json").read_text() == "{}"


def test_new_folder_has_ordinary_permissions(push: Run, tmp_path: Path) -> None:
    (tmp_path / "ordinary").mkdir()
    assert push.folder.stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_precision_and_device_of_a_plain_objective(tmp_path: Path) -> None:
    run_cli("compare", "quadratic", "--device", "cpu", "--dtype", "float32", "--out", tmp_path / "out", *FAST)
    settings = load(tmp_path / "out")["settings"]
    assert (settings["device"], settings["dtype"]) == ("cpu", "float32")


def test_interrupt_by_the_user(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "carom", "compare", "push", "--out", "new/out", "--reference-samples", "100000"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "reference" in line:
                process.send_signal(signal.SIGINT)
                break
        assert process.wait(timeout=60) == 130
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()  # hours of rollouts would be left
    assert list(tmp_path.iterdir()) == []
