"""The viewer in a real browser: bodies where the recording has them, on the screen and in the client's scene."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import browser, needs_browser, picture, watched  # noqa: F401
from recordings import moving_boxes

from carom.files.results import write_json
from carom.files.run_folder import load_run, recording_entry

from ..conftest import run_cli

pytest.importorskip("viser", reason="viser is not installed: pip install 'carom[viewer]'")

from carom.viewer import Viewer, ViewerError
from carom.viewer.server import start_server

STEPS = 100
LEFT = np.linspace([-0.3, -0.2, 0.05], [0.3, -0.2, 0.05], STEPS + 1)[:, None, None]  # a box that moves along x
AHEAD = np.linspace([-0.3, 0.2, 0.05], [0.1, 0.2, 0.05], STEPS + 1)[:, None, None]  # one beside it, slower
ORANGE = "#e08040"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    path.mkdir()
    moving_boxes(LEFT, step=0.1).save(path / "left.npz")
    moving_boxes(AHEAD, step=0.1).save(path / "ahead.npz")
    points = [[0.0, -0.2], [0.3, -0.2]]
    listed = [
        recording_entry("autodiff", "left.npz", 0.5, points, {"autodiff": [[1, 0], [0, 1]]}, [[0, 2.0], [100, 1.0]]),
        recording_entry("smoothing", "ahead.npz", 0.7),
    ]
    write_json(path / "results.json", {"format": 1, "recordings": listed, "scene": {"colors": {"box0": ORANGE}}})
    return path


@pytest.fixture(scope="module")
def page(browser: Any, folder: Path) -> Iterator[Any]:  # noqa: F811
    with (
        Viewer([load_run(folder)], port=free_port()) as viewer,
        watched(browser, 1300, 600) as page,
    ):  # wide: the panel hides nothing
        page.set_default_timeout(60000)
        page.goto(viewer.url)
        page.wait_for_function("window.__viserMutable?.nodeRefFromName?.['/runs/1/bodies/0'] !== undefined")
        page.get_by_text("Contact forces").wait_for()
        settle(page)
        yield page


def settle(page: Any) -> None:
    """Let the client draw what it was sent."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def matrices(page: Any, run: int, body: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pose of a body in the viewer's world, and the matrix from there to the screen, as the client has them."""
    read = page.evaluate(
        """name => { const m = window.__viserMutable, refs = m.nodeRefFromName, node = refs[name];
        node.updateWorldMatrix(true, false); m.camera.updateMatrixWorld();
        return [node, refs['']].map(n => n.matrixWorld.elements).concat(
            [m.camera.matrixWorldInverse.elements, m.camera.projectionMatrix.elements]); }""",
        f"/runs/{run}/bodies/{body}",
    )
    node, root, camera, projection = (np.array(entries).reshape(4, 4).T for entries in read)
    return np.linalg.inv(root) @ node, projection @ camera @ root


def centre(page: Any, run: int) -> np.ndarray:
    return matrices(page, run)[0][:3, 3]


def wait_for(page: Any, run: int, expected: np.ndarray) -> None:
    for _ in range(1200):
        if np.abs(centre(page, run) - expected).max() < 1e-4:
            return settle(page)
        page.wait_for_timeout(25)
    np.testing.assert_allclose(centre(page, run), expected, atol=1e-4)


def colour_at(page: Any, point: np.ndarray) -> np.ndarray:
    """Mean colour of the few pixels where a point of the world is on the screen."""
    x = matrices(page, 0)[1] @ [*point, 1.0]
    image = picture(page).astype(float)
    height, width = image.shape[:2]
    column, row = (0.5 + 0.5 * x[0] / x[3]) * width, (0.5 - 0.5 * x[1] / x[3]) * height
    assert 3 < column < width - 3, column
    assert 3 < row < height - 3, row
    return image[int(row) - 2 : int(row) + 3, int(column) - 2 : int(column) + 3].mean(axis=(0, 1))


def is_orange(colour: np.ndarray) -> bool:
    return bool(colour[0] > colour[1] + 15.0 and colour[1] > colour[2] + 15.0)


@needs_browser
def test_the_slider_moves_the_bodies_in_the_scene_and_on_the_screen(page: Any) -> None:
    top = np.array([0.03, -0.02, 0.05])  # on the box's upper face, away from the arrow of its force
    page.get_by_role("slider").first.press("Home")
    wait_for(page, 0, LEFT[0, 0, 0])
    assert is_orange(colour_at(page, LEFT[0, 0, 0] + top))
    assert not is_orange(colour_at(page, LEFT[-1, 0, 0] + top))
    page.get_by_role("slider").first.press("End")
    wait_for(page, 0, LEFT[-1, 0, 0])
    wait_for(page, 1, AHEAD[-1, 0, 0])
    assert is_orange(colour_at(page, LEFT[-1, 0, 0] + top))
    assert not is_orange(colour_at(page, LEFT[0, 0, 0] + top))
    page.get_by_role("slider").first.press("Home")
    for _ in range(10):
        page.get_by_role("slider").first.press("ArrowRight")
    wait_for(page, 0, LEFT[10, 0, 0])


@needs_browser
def test_recordings_are_overlaid_as_ghosts_or_side_by_side(page: Any) -> None:
    page.get_by_role("slider").first.press("Home")
    wait_for(page, 1, AHEAD[0, 0, 0])
    top = np.array([0.03, -0.02, 0.0495])
    ghost = colour_at(page, AHEAD[0, 0, 0] + top)
    assert ghost[2] > ghost[0] + 15.0, ghost  # the blue of smoothing
    page.get_by_role("combobox", name="Recordings").click()
    page.get_by_role("option", name="side by side").click()
    page.wait_for_function("window.__viserMutable.nodeRefFromName['/runs/1'].position.x > 0.1")
    settle(page)
    apart = centre(page, 1) - centre(page, 0) - (AHEAD - LEFT)[0, 0, 0]
    assert apart[0] > 0.8  # the scene is 0.77 m wide
    np.testing.assert_allclose(apart[1:], 0.0, atol=1e-6)
    page.get_by_role("combobox", name="Recordings").click()
    page.get_by_role("option", name="overlaid").click()
    wait_for(page, 1, AHEAD[0, 0, 0])


@needs_browser
def test_play_goes_on_in_time_and_pause_holds(page: Any) -> None:
    page.get_by_role("slider").first.press("Home")
    wait_for(page, 0, LEFT[0, 0, 0])
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("window.__viserMutable.nodeRefFromName['/runs/0/bodies/0'].position.x > -0.28")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Play").wait_for()
    page.wait_for_timeout(500)
    step = round(float(page.get_by_role("slider").first.get_attribute("aria-valuenow")) / 0.1)
    assert 3 < step <= STEPS
    wait_for(page, 0, LEFT[step, 0, 0])  # the slider's time is that of the picture
    shown = centre(page, 0)
    page.wait_for_timeout(300)
    np.testing.assert_array_equal(centre(page, 0), shown)


def test_a_pause_while_a_picture_is_drawn_leaves_the_slider_at_its_time(folder: Path) -> None:
    with Viewer([load_run(folder)], port=free_port()) as viewer:
        show, shown = viewer.scene.show, []
        paused = threading.Event()

        def and_pause(steps: list[int], world: int) -> None:
            show(steps, world)
            shown.append(steps[0])
            if shown[-1] >= 3 and not paused.is_set():
                viewer._note(viewer._toggle)
                paused.set()

        viewer.scene.show = and_pause  # type: ignore[method-assign]
        viewer._note(viewer._toggle)
        assert paused.wait(20.0)
        drawn = len(shown)
        for _ in range(200):
            if len(shown) > drawn:
                break
            time.sleep(0.01)
        assert shown[-1] == shown[drawn - 1]
        assert round(viewer._time.value / 0.1) == shown[-1]


def test_only_what_moved_is_sent(folder: Path) -> None:
    """A step of 200 boxes of which one moves takes a small part of the bytes of one in which all do."""
    viser = pytest.importorskip("viser")
    still = np.zeros((3, 1, 200, 3))
    still[..., 0], still[..., 2] = np.arange(200) * 0.2, 0.05
    still[1:, 0, 7, 1] = 0.1
    still[2, 0, :, 1] += 0.1
    path = folder.parent / "many.npz"
    moving_boxes(still).save(path)
    with Viewer([load_run(path)], port=free_port()) as viewer:
        sent = []
        for step in (1, 2):
            server = viewer.scene._server
            assert isinstance(server, viser.ViserServer)
            sent.append(messages(server, lambda step=step: viewer.scene.show([step], 0)))  # type: ignore[misc]
    assert sent[0]["SetPositionMessage"] == 1
    assert sent[1]["SetPositionMessage"] == 200
    assert "SetOrientationMessage" not in sent[0]


def test_a_world_is_shown_by_its_poses_and_one_that_is_not_there_is_hidden(folder: Path) -> None:
    two = np.concatenate([LEFT, LEFT + np.array([0.0, 0.5, 0.0])], axis=1)
    path = moving_boxes(two).save(folder.parent / "two.npz")
    with Viewer([load_run(path), load_run(folder / "left.npz")], port=free_port()) as viewer:
        assert viewer.scene.worlds == 2
        batch, single = viewer.scene.views
        viewer.scene.show([30, 30], 1)
        np.testing.assert_allclose(batch._meshes[0].position, two[30, 1, 0], atol=1e-6)
        assert batch._frame.visible
        assert not single._frame.visible
        viewer.scene.show([30, 30], 0)
        np.testing.assert_allclose(batch._meshes[0].position, two[30, 0, 0], atol=1e-6)
        assert single._frame.visible


def messages(server: Any, act: Any) -> dict[str, int]:
    """How many messages of each kind ``act`` has the server send."""
    counted: dict[str, int] = {}
    queue = server._websock_server.queue_message

    def count(message: Any) -> None:
        counted[type(message).__name__] = counted.get(type(message).__name__, 0) + 1
        queue(message)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server._websock_server, "queue_message", count)
        act()
    return counted


def test_addresses_that_cannot_be_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ViewerError, match=f"port {port} of 127.0.0.1 is in use.*--port"):
            start_server("127.0.0.1", port)
    with pytest.raises(ViewerError, match=r"no address 'nowhere\.invalid'"):
        start_server("nowhere.invalid", port)
    with pytest.raises(ViewerError, match=r"cannot listen at 203\.0\.113\.1"):  # an address for documentation
        start_server("203.0.113.1", port)
    with pytest.raises(ViewerError, match="1 to 65535"):
        start_server("127.0.0.1", 0)
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(ViewerError, match=r"pip install 'carom\[viewer\]'"):
        start_server("127.0.0.1", port)


def test_the_command_serves_on_the_loopback_alone_until_ctrl_c(folder: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "carom", "view", str(folder), "--port", str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.strip() == f"viewer at http://127.0.0.1:{port}, until Ctrl-C"
            with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=60) as answer:
                assert answer.status == 200
            with socket.socket() as other, pytest.raises(ConnectionRefusedError):
                other.connect(("127.0.0.2", port))  # another address of this machine
            process.send_signal(signal.SIGINT)
            rest, fault = process.communicate(timeout=60)
        finally:
            process.kill()  # else a failure would wait for it forever
    assert process.returncode == 0
    assert rest.strip().splitlines()[-1] == "viewer ended"
    assert "Traceback" not in fault


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name at least one"),
        (("nowhere",), "there is no run nowhere"),
        (("{folder}", "--port", 70000), "1 to 65535"),
    ],
)
def test_bad_input_is_one_line(folder: Path, capsys: Any, arguments: tuple, words: str) -> None:
    with pytest.raises(SystemExit) as stop:
        run_cli("view", *(str(argument).format(folder=folder) for argument in arguments))
    assert stop.value.code == 2
    assert words in capsys.readouterr().err.strip().splitlines()[-1]
