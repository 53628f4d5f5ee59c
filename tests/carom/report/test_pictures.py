"""Pictures from above: outlines against closed forms, arrows against forces, films against the clock."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.quiver import Quiver
from PIL import Image
from scenes import about, push, push_targets

import carom
from carom.files.output_folder import OutputError
from carom.render.topdown import TopDown
from carom.sim import RecordingError, Simulator, record

VIOLET = (122, 79, 163)


def area(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


@pytest.fixture(scope="module")
def pushed() -> carom.Recording:
    targets = push_targets(60)
    model = push().finalize(device="cpu", dtype="float64")
    simulator = Simulator(model)
    return record(simulator, simulator.rollout(model.state(), targets), targets)


def test_outlines_have_the_areas_of_the_shadows() -> None:
    """One shape a body, turned and shifted: disc, stadium, box on its edge, pyramid; and a static box."""
    b = carom.ModelBuilder(gravity=(0.0, 0.0, 0.0))
    b.add_ground(height=-1.0)
    tilt = about((1, 0, 0), math.pi / 6)
    for i in range(4):
        b.add_body(position=(0.5 * i, 0.0, 0.2), rotation=tilt, mass=1.0)
    b.add_sphere(0, 0.05)
    b.add_capsule(1, 0.02, 0.06)
    b.add_box(2, (0.05, 0.04, 0.03), position=(0.0, 0.0, 0.01))
    base = [(0.05, 0.05, 0.0), (0.05, -0.05, 0.0), (-0.05, 0.05, 0.0), (-0.05, -0.05, 0.0), (0.0, 0.0, 0.02)]
    b.add_convex(3, base)
    b.add_box(carom.sim.STATIC, (0.01, 0.02, 0.03), position=(0.0, 1.0, 0.0))
    model = b.finalize(device="cpu", dtype="float64")
    simulator = Simulator(model)
    recording = record(simulator, simulator.rollout(model.state(), steps=1))
    seen = TopDown(Figure().add_subplot(), recording).outlines(0)
    assert [body for body, _ in seen] == [0, 1, 2, 3, -1]
    polygon = math.sin(2 * math.pi / 40) * 40 / 2  # a circle is drawn with 40 corners
    shadows = (
        polygon * 0.05**2,
        polygon * 0.02**2 + 0.04 * 2 * 0.06 * math.sin(math.pi / 6),
        0.1 * (0.08 * math.cos(math.pi / 6) + 0.06 * math.sin(math.pi / 6)),
        0.1 * 0.1 * math.cos(math.pi / 6),
        0.02 * 0.04,
    )
    # the rims of a stadium's circles meet its straight sides between two corners
    for (_, one), shadow, tolerance in zip(seen, shadows, (1e-9, 0.005, 1e-9, 1e-9, 1e-9), strict=True):
        assert area(one.outline) == pytest.approx(shadow, rel=tolerance)
        up = sum(area(face) for face in one.faces)
        assert up == pytest.approx(shadow if len(one.faces) else 0.0, rel=tolerance)  # a convex body hides none of them
    assert [one.top for _, one in seen[:2]] == pytest.approx([0.25, 0.2 + 0.06 * math.cos(math.pi / 6) + 0.02])
    np.testing.assert_allclose(seen[0][1].outline.mean(axis=0), [0.0, 0.0], atol=1e-12)
    assert seen[4][1].outline.min(axis=0) == pytest.approx([-0.01, 0.98])


def test_shapes_are_drawn_where_they_are_and_the_highest_last(pushed: carom.Recording) -> None:
    axes = Figure().add_subplot()
    scene = TopDown(axes, pushed, goal=np.array([[0.3, 0.0], [0.4, 0.0], [0.4, 0.1]]))
    scene.show(60)
    (shapes,) = (c for c in axes.collections if isinstance(c, PolyCollection))
    drawn = [path.vertices[:-1] for path in shapes.get_paths()]
    np.testing.assert_allclose(drawn[-1].mean(axis=0), 100.0 * pushed.body_q[60, 0, 0, :2], atol=1e-9)  # the box
    assert area(drawn[-1]) == pytest.approx(100.0, rel=1e-3)  # 10 cm by 10 cm, hardly tilted
    np.testing.assert_allclose(drawn[0].mean(axis=0), 100.0 * pushed.body_q[60, 0, 1, :2], atol=1e-9)
    assert axes.get_xlim()[1] > 40.0  # the goal is in view


def test_arrows_are_the_forces_on_the_box(pushed: carom.Recording) -> None:
    axes = Figure().add_subplot()
    scene = TopDown(axes, pushed, forces=True)
    scene.show(40)
    (arrows,) = (c for c in axes.collections if isinstance(c, Quiver) and c.get_visible())
    total = np.array([arrows.U.sum(), arrows.V.sum()])
    force = pushed.contact_wrench()[40, 0, 0, :2]
    key = next(child for child in axes.get_children() if type(child).__name__ == "QuiverKey")
    newtons = float(key.label.split(" N")[0])
    np.testing.assert_allclose(total / key.U * newtons, force, rtol=1e-9)
    assert len(arrows.U) == pushed.contacts(40).stop - pushed.contacts(40).start


def test_a_film_takes_as_long_as_the_run_and_shows_the_pusher(pushed: carom.Recording, tmp_path: Path) -> None:
    path = carom.animate(pushed, tmp_path / "run.gif", fps=20, size=320, forces=False)
    with Image.open(path) as film:
        assert film.width == 320
        times, violet = [], []
        for number in range(film.n_frames):
            film.seek(number)
            times.append(film.info["duration"])
            pixels = np.asarray(film.convert("RGB")).astype(int)
            assert (pixels[0, 0] == 255).all()
            rows, columns = np.nonzero(np.abs(pixels - VIOLET).max(axis=2) < 12)
            violet.append((columns.mean(), len(rows)))
    # 60 steps of 5 ms, a picture every 50 ms, the last one for 0.8 s
    assert times == [50] * 6 + [800]
    moved = pushed.body_q[-1, 0, 1, 0] - pushed.body_q[0, 0, 1, 0]
    # what is violet is the disc, 4 cm across less its outline: it gives the scale of the picture
    scale = 2.0 * math.sqrt(violet[0][1] / math.pi) / 0.04
    assert (violet[-1][0] - violet[0][0]) / scale == pytest.approx(moved, rel=0.1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.gif"]


def test_a_fast_film_is_shorter_and_ends_with_the_end(pushed: carom.Recording, tmp_path: Path) -> None:
    with Image.open(carom.animate(pushed, tmp_path / "fast.gif", fps=50, speed=4.0, size=200)) as film:
        film.seek(film.n_frames - 1)
        assert film.n_frames == 5  # at 0, 80, 160, 240 ms, and the end at 300 ms


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fps": 0.0}, "fps"),
        ({"fps": 60.0}, "1 to 50"),
        ({"fps": float("nan")}, "fps"),
        ({"speed": -1.0}, "speed"),
        ({"world": 1}, "worlds 0 to 0"),
        ({"size": 10}, "100 to 4000"),
    ],
)
def test_what_cannot_be_drawn_is_refused(pushed: carom.Recording, tmp_path: Path, options: dict, words: str) -> None:
    with pytest.raises(RecordingError, match=words):
        carom.animate(pushed, tmp_path / "run.gif", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_film_that_cannot_be_written(pushed: carom.Recording, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"\.gif"):
        carom.animate(pushed, tmp_path / "run.avi")
    with pytest.raises(OutputError, match="cannot write"):
        carom.animate(pushed, tmp_path / "none" / "run.gif")
