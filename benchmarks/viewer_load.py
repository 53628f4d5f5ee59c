"""How long the viewer takes to open a large run, and to follow its slider, in a headless Chromium.

The run is made up: pieces of 24 corners each, all different and all moving, with a hundred contacts a step.

    python benchmarks/viewer_load.py --pieces 100 --frames 400

Needs viser, Playwright and Debian's Chromium, which draws on the CPU: a machine with a GPU is faster.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from carom.kernels.core.shape_types import ShapeType
from carom.sim import Recording
from carom.viewer import view

_OPTIONS = ["--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
_CORNERS, _CONTACTS = 24, 100


def scattered(pieces: int, frames: int, seed: int = 0) -> Recording:
    """Pieces of about 3 cm on a table, each on a small circle."""
    rng = np.random.default_rng(seed)
    corners = rng.normal(size=(pieces, _CORNERS, 3))
    corners *= 0.015 / np.linalg.norm(corners, axis=2, keepdims=True)
    side = int(np.ceil(np.sqrt(pieces)))
    home = np.array([[i % side, i // side, 0.0] for i in range(pieces)]) * 0.05 + [0.0, 0.0, 0.015]
    angle = np.linspace(0.0, 4.0 * np.pi, frames + 1)
    pose = np.zeros((frames + 1, 1, pieces, 7))
    pose[:, 0, :, :3] = home + 0.01 * np.stack([np.cos(angle), np.sin(angle), 0.0 * angle], axis=1)[:, None]
    pose[:, 0, :, 5], pose[:, 0, :, 6] = np.sin(0.5 * angle)[:, None], np.cos(0.5 * angle)[:, None]
    body = rng.integers(0, pieces, size=frames * _CONTACTS)
    count = len(body)
    here = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    return Recording(
        step_size=0.01, body_q=pose, body_v=np.zeros((frames + 1, 1, pieces, 6)),
        actuator_force=np.zeros((frames, 1, 0)), contact_start=np.arange(frames + 1) * _CONTACTS,
        contact_shape=np.stack([np.zeros(count, dtype=int), 1 + body], axis=1),
        contact_body=np.stack([np.full(count, -1), body], axis=1), contact_point=home[body] * [1.0, 1.0, 0.0],
        contact_normal=np.tile([0.0, 0.0, 1.0], (count, 1)), contact_gap=np.zeros(count),
        contact_force=rng.uniform(0.1, 1.0, size=(count, 3)), contact_torque=np.zeros((count, 3)),
        body_names=tuple(f"piece{i}" for i in range(pieces)),
        shape_names=("table", *(f"piece{i}" for i in range(pieces))), actuator_names=(),
        actuator_body=np.zeros(0, dtype=int), actuator_axis=np.zeros(0, dtype=int),
        shape_type=np.array([ShapeType.PLANE, *[ShapeType.CONVEX] * pieces], dtype=int),
        shape_body=np.arange(-1, pieces), shape_pose=np.tile(here, (pieces + 1, 1)),
        shape_size=np.full((1, pieces + 1, 3), 0.015), shape_mesh=np.arange(-1, pieces),
        mesh_start=np.arange(pieces + 1) * _CORNERS, mesh_vertices=corners.reshape(-1, 3),
    )  # fmt: skip


def drawn(page: Page, pieces: int) -> None:
    """Wait until every piece is in the scene and two pictures were drawn since."""
    page.wait_for_function(
        "n => { const r = window.__viserMutable?.nodeRefFromName; if (!r) return false;"
        " for (let i = 0; i < n; i++) if (!r[`/runs/0/bodies/${i}`]) return false; return true; }",
        arg=pieces,
    )
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def place(page: Page) -> float:
    """Where the client has the first piece, x [m]."""
    return float(page.evaluate("window.__viserMutable.nodeRefFromName['/runs/0/bodies/0'].position.x"))


def follow(page: Page, key: str) -> float:
    """Time from a key on the slider to the piece's new pose in the client [s]."""
    before, start = place(page), time.perf_counter()
    page.get_by_role("slider").first.press(key)
    page.wait_for_function(
        "x => window.__viserMutable.nodeRefFromName['/runs/0/bodies/0'].position.x !== x", arg=before, polling=5
    )
    return time.perf_counter() - start


def processor_time() -> float:
    """CPU time of the processes below this one [s]: the browser's, on a machine that has other work to do as well."""
    fields = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            after = entry.read_text().rpartition(")")[2].split()
            fields[int(entry.parent.name)] = (int(after[1]), int(after[11]) + int(after[12]))
    ours, grown = {os.getpid()}, True
    while grown:
        found = {number for number, (parent, _) in fields.items() if parent in ours} - ours
        ours, grown = ours | found, bool(found)
    return sum(fields[number][1] for number in ours if number in fields and number != os.getpid()) / os.sysconf(
        "SC_CLK_TCK"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pieces", type=int, default=100)
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--port", type=int, default=8099)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        path = scattered(given.pieces, given.frames).save(Path(folder) / "large.npz")
        start = time.perf_counter()
        with view(path, port=given.port) as viewer:
            print(f"opened by the server in {time.perf_counter() - start:.2f} s; load average {os.getloadavg()[0]:.1f}")
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=_OPTIONS)
            for repeat in range(given.repeats):
                page = browser.new_page(viewport={"width": 1000, "height": 700})
                page.set_default_timeout(120000)
                start, worked = time.perf_counter(), processor_time()
                page.goto(viewer.url)
                drawn(page, given.pieces)
                taken, worked = time.perf_counter() - start, processor_time() - worked
                print(f"load {repeat}: {taken:.2f} s from goto to drawn, {worked:.2f} s of CPU time in the browser")
                delays = [follow(page, key) for key in ["ArrowRight"] * 5 + ["ArrowLeft"] * 5]
                print(f"slider {repeat}: {1e3 * np.median(delays):.0f} ms to the new poses, median of {len(delays)}")
                page.close()
            browser.close()


if __name__ == "__main__":
    main()
