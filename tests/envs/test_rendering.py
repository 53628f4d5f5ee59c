"""Pictures of environments: the goal and the bodies are where the camera says, and what gymnasium needs to know."""

from __future__ import annotations

from itertools import pairwise

import gymnasium
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

import carom.envs.gym
from carom.envs import TaskError
from carom.envs.gym import ENVIRONMENTS
from carom.envs.gym.rendering import picture_of
from carom.render.camera import looking_at
from carom.render.colors import GOAL
from carom.render.meshes import surface
from carom.render.outlines import solids
from carom.render.painter import Painter
from carom.render.still import still
from carom.sim import ModelBuilder

SMALL = {"carom/Carrots-v0": {"pieces": 2}}
BODIES = ("carom/Push-v0", "carom/PushT-v0", "carom/BoxPushing-v0")


def has_color(picture: np.ndarray, color: str, place: np.ndarray) -> bool:
    """Whether a pixel within 2 of a place (column, row) is of a colour."""
    column, row = (round(float(x)) for x in place)
    near = picture[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3].reshape(-1, 3).astype(int)
    return bool((np.abs(near - np.round(255 * np.array(to_rgb(color)))) <= 12).all(axis=1).any())


@pytest.mark.parametrize("name", BODIES)
def test_the_goal_is_where_the_camera_sees_it(name):
    """Its corners are projected here by the pinhole formula; away from the bodies its face is seen."""
    env = gymnasium.make(name, render_mode="rgb_array", threads=1)
    scale = env.unwrapped.task.length_scale
    goal = np.array([2.2 * scale, -0.8 * scale, 0.3])
    env.reset(seed=0, options={"goal": goal})
    picture = env.render()
    assert picture.shape == (336, 480, 3)
    assert picture.dtype == np.uint8
    task, state = env.unwrapped.task, env.unwrapped.state
    np.testing.assert_allclose(state.goal[0], goal, rtol=1e-6)
    outline = np.array(task.scene.outline)
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    corners = outline @ turn.T + goal[:2]
    painter = env.unwrapped._picture._painter
    height = painter.height

    def at(points: np.ndarray) -> np.ndarray:  # twice as fine within the painter
        camera = painter.camera
        ahead = (camera.target - camera.position) / np.linalg.norm(camera.target - camera.position)
        right = np.cross(ahead, [0, 0, 1]) / np.linalg.norm(np.cross(ahead, [0, 0, 1]))
        x = np.column_stack([points, np.full(len(points), height)]) - camera.position
        tangent = np.tan(0.5 * camera.fov)
        u, v = x @ right / (x @ ahead) / tangent, x @ np.cross(ahead, right) / (x @ ahead) / tangent
        return np.column_stack([0.5 * 480 + u * 0.5 * 336, 0.5 * 336 + v * 0.5 * 336])

    for place in at(corners):
        assert 0 <= place[0] < 480
        assert 0 <= place[1] < 336
        assert has_color(picture, GOAL[1], place)
    inside = outline[np.argmax(outline[:, 0])] * np.array([0.9, 0.0])  # in the T's stem, or near the box's face
    assert has_color(picture, GOAL[0], at((inside @ turn.T + goal[:2])[None])[0])


@pytest.mark.parametrize("name", BODIES)
def test_pictures_follow_the_state_under_one_camera(name):
    """A step changes the picture, the same state gives the same one; the camera of drawn goals is always the same."""
    env = gymnasium.make(name, render_mode="rgb_array", threads=1)
    env.reset(seed=0)
    first = env.render()
    np.testing.assert_array_equal(first, env.render())
    camera = env.unwrapped._picture._painter.camera
    for _ in range(2):
        env.step(env.unwrapped.action_space.high)
    assert (env.render() != first).any()
    for seed in range(3, 20):
        env.reset(seed=seed)
        env.render()
        assert env.unwrapped._picture._painter.camera is camera
    env.reset(seed=0)
    np.testing.assert_array_equal(first, env.render())


def test_a_batch_draws_its_worlds_as_single_environments_do():
    batch = gymnasium.make_vec("carom/PushT-v0", num_envs=3, render_mode="rgb_array", threads=1)
    batch.reset(seed=5)
    frames = batch.render()
    assert isinstance(frames, tuple)
    for i, frame in enumerate(frames):
        single = gymnasium.make("carom/PushT-v0", render_mode="rgb_array", threads=1)
        single.reset(seed=5 + i)
        np.testing.assert_array_equal(frame, single.render())


@pytest.mark.parametrize(
    "name", [n if n != "carom/Carrots-v0" else pytest.param(n, marks=pytest.mark.slow) for n in ENVIRONMENTS]
)
def test_every_environment_is_drawn(name):
    """Something is in the picture: more than the colour of the paper; and what has a goal shows it."""
    env = gymnasium.make(name, render_mode="rgb_array", render_width=240, **SMALL.get(name, {}))
    env.reset(seed=1)
    picture = env.render()
    assert picture.shape == (168, 240, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 3
    objective = env.unwrapped.task.objective
    if env.unwrapped.task.goal_names or getattr(objective, "goal_outline", None) is not None:
        edge = np.round(255 * np.array(to_rgb(GOAL[1])))
        assert (np.abs(picture.astype(int) - edge) <= 40).all(axis=2).any()


def test_the_nearer_body_hides_the_farther_one():
    """Random boxes and balls that do not touch: each pixel shows the body that a ray through it meets first."""
    rng = np.random.default_rng(4)
    colors = ["#ff0000", "#00ff00", "#0000ff", "#ffff00", "#ff00ff", "#00ffff"]
    shades = np.array([to_rgb(color) for color in colors])
    missed = total = 0
    for _ in range(12):
        builder, places = ModelBuilder(gravity=(0.0, 0.0, 0.0)), []
        while len(places) < 6:
            place = rng.uniform([-0.3, -0.3, 0.15], [0.3, 0.3, 0.4])
            if all(np.linalg.norm(place - other) > 0.2 for other in places):
                places.append(place)
                body = builder.add_body(position=place.tolist(), mass=1.0)
                if len(places) % 2:
                    builder.add_box(body, (0.11, 0.03, 0.03))
                else:
                    builder.add_sphere(body, 0.09)
        model = builder.finalize(dtype="float64")
        poses = model.state(1).body_q[0].numpy().copy()
        turn = rng.normal(size=(6, 4))
        poses[:, 3:] = turn / np.linalg.norm(turn, axis=1, keepdims=True)
        scene = still(model, poses[None])
        camera = looking_at(np.array([[-0.35, -0.35, 0.0], [0.35, 0.35, 0.5]]), 120, 84, direction=(0.0, -0.5, 0.866))
        found = solids(scene)
        picture = Painter(found, [colors[s.body] for s in found], camera, 0.0, 0.2).picture(poses)
        right, down, ahead = camera.axes()
        for row in range(2, 84, 6):
            for column in range(2, 120, 6):
                ray = camera.focal * ahead + (column - 59.5) * right + (row - 41.5) * down
                depths = [first_hit(camera.position, ray, s, poses[s.body]) for s in found]
                shown = picture[row, column].astype(float) / 255
                saturated = shown.max() - shown.min() > 0.2
                if np.isfinite(depths).any() and saturated:
                    hue = np.argmin(np.linalg.norm(shades - shown / shown.max(), axis=1))
                    total += 1
                    missed += hue != found[int(np.argmin(depths))].body
    assert total > 200
    assert missed <= 0.04 * total  # pixels at an edge, whose colour is a mixture


def first_hit(origin: np.ndarray, ray: np.ndarray, solid, pose: np.ndarray) -> float:
    """Where a ray meets a sphere or the planes of a box, in units of the ray; inf where it does not."""
    if solid.radius > 0.0:
        off = origin - pose[:3]
        a, b, c = ray @ ray, 2 * off @ ray, off @ off - solid.radius**2
        root = b * b - 4 * a * c
        return np.inf if root < 0 else (-b - np.sqrt(root)) / (2 * a)
    vertices, _ = surface(solid)
    x, y, z, w = pose[3:]
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    start, along, half = turn.T @ (origin - pose[:3]), turn.T @ ray, np.abs(vertices).max(axis=0)
    first = np.sort(np.stack([(-half - start) / along, (half - start) / along]), axis=0)
    enter, leave = first[0].max(), first[1].min()
    return enter if enter < leave else np.inf


def test_what_gymnasium_reads():
    """Limits, rates, and refusals."""
    for options, limit in (({}, 40), ({"horizon": 60}, 60), ({"max_episode_steps": 7}, 7)):
        env = gymnasium.make("carom/Push-v0", render_mode="rgb_array", threads=1, **options)
        assert env.spec.max_episode_steps == limit
        batch = gymnasium.make_vec("carom/Push-v0", num_envs=2, threads=1, **options)
        assert batch.spec.max_episode_steps == limit
        env.reset(seed=0)
        cut = [env.step(np.zeros(2, dtype=np.float32))[3] for _ in range(limit)]
        assert cut == [False] * (limit - 1) + [True]
    assert env.metadata == {"render_modes": ["rgb_array"], "render_fps": 10}
    assert gymnasium.make("carom/Push-v0", interval=0.05, threads=1).metadata["render_fps"] == 20
    assert gymnasium.make("carom/TentMap-v0").metadata["render_fps"] == 4
    timed = gymnasium.wrappers.TimeAwareObservation(gymnasium.make("carom/Push-v0", horizon=60, threads=1))
    timed.reset(seed=0)
    assert timed.step(np.zeros(2, dtype=np.float32))[0][-1] == 1.0
    again = gymnasium.make(env.spec)
    assert again.spec.max_episode_steps == 7
    with pytest.raises(gymnasium.error.UnsupportedMode, match="render_mode is 'ansi': give 'rgb_array' or None"):
        carom.envs.gym.CaromEnv("push", render_mode="ansi")
    with pytest.raises(TaskError, match="render_width is 10: give the width of pictures, 64 to 4096 pixels"):
        gymnasium.make_vec("carom/Push-v0", num_envs=1, render_width=10)
    fresh = carom.envs.gym.CaromEnv("push", render_mode="rgb_array", threads=1)
    with pytest.raises(gymnasium.error.ResetNeeded, match="push: call reset before render"):
        fresh.render()
    silent = carom.envs.gym.CaromEnv("push", threads=1)
    silent.reset(seed=0)
    with pytest.warns(UserWarning, match="give make render_mode='rgb_array'"):
        assert silent.render() is None


def test_a_film_of_an_episode():
    """Gymnasium's list of frames, which RecordVideo keeps in the same way: one for the reset and one for each step."""
    env = gymnasium.make("carom/Push-v0", render_mode="rgb_array_list", max_episode_steps=3, threads=1)
    env.reset(seed=0)
    for _ in range(3):
        env.step(env.unwrapped.action_space.high)
    frames = env.render()
    assert len(frames) == 4
    assert all((a != b).any() for a, b in pairwise(frames))


def test_goals_of_a_reset():
    """They hold for the episodes that begin; a batch takes one or one a world; those that cannot be change nothing."""
    batch = gymnasium.make_vec("carom/Push-v0", num_envs=3, threads=1)
    other, _ = batch.reset(seed=2)
    own = batch.unwrapped.state.goal.clone()
    goals = np.array([[0.1, 0.0, 0.2], [0.05, 0.02, 0.0], [0.3, -0.1, 1.0]])
    seen, _ = batch.reset(seed=2, options={"goal": goals})
    np.testing.assert_allclose(batch.unwrapped.state.goal, goals, rtol=1e-6)
    single = gymnasium.make("carom/Push-v0", threads=1)
    for i in range(3):
        np.testing.assert_array_equal(single.reset(seed=2 + i, options={"goal": goals[i]})[0], seen[i])
    assert (seen != other).any()
    mask = np.array([False, True, False])
    batch.reset(options={"goal": goals[0], "reset_mask": mask})
    np.testing.assert_allclose(batch.unwrapped.state.goal, goals[[0, 0, 2]], rtol=1e-6)
    state = batch.unwrapped.state
    for goal, message in (
        ([0.1, 0.0], r"the goal must be x \[m\], y \[m\], yaw \[rad\], of shape \(3,\) for all worlds, or \(3, 3\)"),
        ([0.1, np.nan, 0.0], "is not finite"),
        ("there", "must be the numbers"),
    ):
        with pytest.raises(TaskError, match=message):
            batch.reset(options={"goal": goal})
        assert batch.unwrapped.state is state
    batch.reset(seed=2)
    assert torch.equal(batch.unwrapped.state.goal, own)
    with pytest.raises(TaskError, match="search: there is no goal to choose"):
        gymnasium.make("carom/TentMap-v0").reset(options={"goal": [1.0]})


def test_normalized_actions():
    """-1 and 1 are the task's bounds, also where these are not symmetric."""
    env = gymnasium.make_vec("carom/Push-v0", num_envs=2, normalize_actions=True, threads=1)
    plain = gymnasium.make_vec("carom/Push-v0", num_envs=2, threads=1)
    assert env.single_action_space == gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
    env.reset(seed=0)
    plain.reset(seed=0)
    actions = np.array([[1.0, -1.0], [0.5, 0.0]], dtype=np.float32)
    for a, b in zip(env.step(actions)[:2], plain.step(0.02 * actions)[:2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    with pytest.raises(gymnasium.error.InvalidAction, match=r"'dy' of world 1 is 1\.5, out of bounds \[-1, 1\]"):
        env.step(np.array([[0.0, 0.0], [0.0, 1.5]], dtype=np.float32))


def test_renderer_is_named_only():
    """The environments do without drawing until a picture is asked for."""
    env = carom.envs.gym.CaromEnv("push", render_mode="rgb_array", threads=1)
    env.reset(seed=0)
    assert env._picture is None
    drawn = picture_of(env.task, 480)(env.state, 0)
    np.testing.assert_array_equal(drawn, env.render())
