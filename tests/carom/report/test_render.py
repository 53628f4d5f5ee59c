"""Films against the camera's own geometry, computed here a second time, and against the clock."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.path import Path as Polygon
from PIL import Image
from recordings import moving_boxes
from scipy.spatial import ConvexHull

import carom
from carom.kernels.raycast import LIGHT
from carom.render.camera import Camera, looking_at
from carom.render.perspective import Perspective

from ..conftest import run_cli

ORANGE, BLUE = "#e08040", "#4060e0"
HALF = 0.05
CORNERS = HALF * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
FRONT, TOP = np.array([0.0, HALF, 0.0]), np.array([0.0, 0.0, HALF])
TEXT = np.array([0.0, 28.0])  # the picture of a film lies below a line of text
PATH = np.linspace([-0.2, 0.0, HALF], [0.2, 0.1, HALF], 41)[:, None, None]  # 0.4 s in steps of 10 ms


def seen_at(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Columns and rows [n, 2] from homogeneous matrices: look-at, then a frustum, then the viewport."""
    z = camera.position - camera.target
    z = z / np.linalg.norm(z)
    x = np.cross([0.0, 0.0, 1.0], z)
    x /= np.linalg.norm(x)
    view = np.eye(4)
    view[:3, :3] = [x, np.cross(z, x), z]
    view[:3, 3] = -view[:3, :3] @ camera.position
    f = 1.0 / np.tan(0.5 * camera.fov)
    frustum = np.array([[f * camera.height / camera.width, 0, 0, 0], [0, f, 0, 0], [0, 0, -1, 0], [0, 0, -1, 0]])
    clip = np.c_[points, np.ones(len(points))] @ (frustum @ view).T
    place = clip[:, :2] / clip[:, 3:]
    return np.c_[(0.5 + 0.5 * place[:, 0]) * camera.width - 0.5, (0.5 - 0.5 * place[:, 1]) * camera.height - 0.5]


def is_orange(picture: np.ndarray) -> np.ndarray:
    r, g, b = np.moveaxis(picture.astype(int), -1, 0)
    return (r > g + 20) & (g > b + 20)


def test_a_box_covers_the_pixels_that_its_corners_span() -> None:
    scene = Perspective(moving_boxes(PATH), width=320, colors={"box0": ORANGE})
    for step in (0, 17, 40):
        shown = is_orange(scene.picture(step))
        outline = seen_at(scene.camera, PATH[step, 0] + CORNERS)
        rows, columns = np.indices(shown.shape)
        inside = Polygon(outline[ConvexHull(outline).vertices]).contains_points(np.c_[columns.ravel(), rows.ravel()])
        expected = inside.reshape(shown.shape)
        assert expected.sum() > 500
        differ = (shown != expected).sum()
        assert differ < 0.25 * np.sqrt(expected.sum()) * 4  # a quarter of a pixel along its rim


def test_what_is_nearer_hides_what_is_behind() -> None:
    where = np.array([[0.0, 0.0, HALF], [0.0, 0.12, HALF]])
    camera = Camera(np.array([0.0, -1.0, 0.3]), np.array([0.0, 0.0, 0.05]), 0.5, 200, 200)
    for path in (where, where[::-1]):  # whichever is listed first
        orange = int(np.argmin(path[:, 1]))
        scene = Perspective(
            moving_boxes(np.repeat(path[None, None], 2, axis=0)), camera=camera,
            colors={f"box{orange}": ORANGE, f"box{1 - orange}": BLUE},
        )  # fmt: skip
        picture = scene.picture(0)
        (column, row), _ = seen_at(camera, where - FRONT).round().astype(int)
        assert is_orange(picture)[row, column]
        behind = picture[seen_at(camera, where[1:] + TOP).round().astype(int)[0, 1], column]
        assert behind[2] > behind[0] + 20


def test_shadows_fall_away_from_the_light_and_the_goal_lies_on_the_ground() -> None:
    goal = np.array([[0.15, -0.2], [0.25, -0.2], [0.25, -0.1], [0.15, -0.1]])
    recording = moving_boxes(np.repeat([[[[0.0, 0.0, HALF]]]], 2, axis=0))
    camera = Camera(np.array([0.0, -1.0, 1.0]), np.array([0.0, 0.0, 0.0]), 0.7, 400, 300)
    picture = Perspective(recording, goal=goal, camera=camera).picture(0).astype(int)

    def at(point: Any) -> np.ndarray:
        column, row = seen_at(camera, np.atleast_2d(point)).round().astype(int)[0]
        return picture[row, column]

    top = np.array([0.0, 0.0, 2 * HALF])
    reach = top - 2 * HALF / LIGHT[2] * np.array(LIGHT)  # where the middle of the box's upper face casts its shadow
    corner = reach + 0.9 * np.array([HALF, HALF, 0.0])  # beyond what the box itself hides
    mirrored = corner * [-1.0, -1.0, 1.0]
    assert at(corner).max() < 215  # 0.8 of white
    assert at(mirrored).min() > 215
    np.testing.assert_allclose(at([0.2, -0.15, 0.0]), [0xF7, 0xEF, 0xC2], atol=2)
    assert at([0.3, -0.15, 0.0]).min() > 215


def test_the_camera_sees_all_of_its_box_and_is_near() -> None:
    bounds = np.array([[-0.3, 0.1, 0.0], [0.5, 0.4, 0.2]])
    camera = looking_at(bounds, 400, 250)
    corners = np.array([[bounds[i, 0], bounds[j, 1], bounds[k, 2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    off = np.abs(seen_at(camera, corners) / [199.5, 124.5] - 1.0).max()
    assert 0.9 < off < 0.925
    assert np.isnan(camera.project(camera.position[None] + camera.position - camera.target)).all()


@pytest.mark.parametrize("ending", ["mp4", "gif"])
def test_a_film_is_as_long_as_the_run_and_shows_each_moment(tmp_path: Path, ending: str) -> None:
    """0.4 s at half speed and 25 pictures a second: 21 pictures, one each 20 ms of the run."""
    recording = moving_boxes(PATH)
    path = carom.animate(
        recording, tmp_path / f"run.{ending}", camera="perspective", fps=25.0, speed=0.5, size=241, forces=False,
        colors={"box0": ORANGE},
    )  # fmt: skip
    if ending == "mp4":
        reader = pytest.importorskip("imageio_ffmpeg").read_frames(path)
        about = next(reader)
        width, height = about["size"]
        assert (width, height) == (242, 192)  # even, with the line of text
        assert about["fps"] == 25.0
        assert about["duration"] == pytest.approx(21 / 25.0, abs=0.01)
        frames = [np.frombuffer(frame, dtype=np.uint8).reshape(height, width, 3) for frame in reader]
    else:
        with Image.open(path) as film:
            durations, frames = [], []
            for i in range(film.n_frames):
                film.seek(i)
                durations.append(film.info["duration"])
                frames.append(np.asarray(film.convert("RGB")))
        assert durations == [40] * 20 + [800]
    assert len(frames) == 21
    camera = Perspective(recording, width=241).camera
    for i in (0, 10, 20):
        rows, columns = np.nonzero(is_orange(frames[i]))
        outline = seen_at(camera, PATH[2 * i, 0] + CORNERS) + TEXT
        np.testing.assert_allclose([columns.min(), columns.max()], [outline[:, 0].min(), outline[:, 0].max()], atol=2.5)
        np.testing.assert_allclose([rows.min(), rows.max()], [outline[:, 1].min(), outline[:, 1].max()], atol=2.5)


def test_forces_are_drawn_from_their_points_along_their_direction(tmp_path: Path) -> None:
    """One force of the typical size, straight up, under a box: black pixels along its projection, over the box."""
    recording = moving_boxes(np.repeat([[[[0.0, 0.0, HALF]]]], 3, axis=0), force=(0.0, 0.0, 10.0))
    path = carom.animate(recording, tmp_path / "up.gif", camera="perspective", size=400, colors={"box0": ORANGE})
    scene = Perspective(recording, width=400)
    ends = seen_at(scene.camera, np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.15 * scene.size]])) + TEXT
    with Image.open(path) as film:
        black = np.asarray(film.convert("L"))[28:] < 60
    rows, columns = np.nonzero(black)
    assert abs(columns - ends[0, 0]).max() < 6
    np.testing.assert_allclose([rows.min() + 28, rows.max() + 28], [ends[1, 1], ends[0, 1]], atol=2.5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--out", "film.avi"), "with the ending .gif or .mp4"),
        (("--out", "none/film.mp4"), "cannot write none/film.mp4: No such file"),
        (("--out", "folder.mp4"), "it is a folder"),
        (("--out", "film.gif", "--fps", 99), "1 to 50"),
        (("--out", "film.mp4", "--fps", 0), "1 to 240"),
        (("--out", "film.gif", "--speed", -1), "speed must be positive"),
        (("--out", "film.gif", "--size", 10), "100 to 4000"),
        (("--out", "film.gif", "--world", 1), "worlds 0 to 0"),
        (("--out", "film.gif", "--recording", "two"), "is one of: run"),
        (("--out", "film.gif", "--device", "cuda:7"), "no device 'cuda:7'"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, arguments: tuple, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.mp4").mkdir()
    moving_boxes(PATH).save(tmp_path / "run.npz")
    with pytest.raises(SystemExit) as stop:
        run_cli("render", "run.npz", *arguments)
    assert stop.value.code == 2
    assert words in capsys.readouterr().err.strip().splitlines()[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.mp4", "run.npz"]


def test_without_imageio_ffmpeg_the_way_out_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    path = moving_boxes(PATH).save(tmp_path / "run.npz")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(SystemExit):
        run_cli("render", path, "--out", tmp_path / "film.mp4")
    assert "pip install 'carom[video]'" in capsys.readouterr().err
