"""A scene of one's own: the push written with it is the push, and each of its parts against differences."""

from __future__ import annotations

import math
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

import carom
from carom.envs import Push, Scene, TaskError, WayPoints, make
from carom.envs.planar import pose_cost
from carom.gradients import Autodiff, GradientError, Smoothing
from carom.sim import ModelBuilder, State, rotations


def block(kind="position"):
    b = ModelBuilder()
    b.add_ground(friction=0.4)
    box = b.add_body(position=(0.0, 0.0, 0.05), mass=1.0, name="box")
    b.add_box(box, half_extents=(0.05, 0.05, 0.05), friction=0.5, name="box")
    gains = {"stiffness": 500.0, "damping": 20.0} if kind == "position" else {}
    for axis in "xy":
        b.add_actuator(box, axis, kind, **gains)
    return b


def place(end, theta):
    return (end["box"].position[:, 0] - 0.1).square() + 0.1 * theta.square().sum(-1)


def test_the_push_written_as_a_scene_is_the_push():
    push = Push(start="touching", duration=0.6, dtype="float64")

    def cost(end, theta):
        return pose_cost(end["box"].planar, theta.new_tensor(push.goal), 0.1) + push.effort_term(theta)

    scene = Scene(push._scene(), cost, controls=WayPoints(4), duration=0.6, dtype="float64", scale=0.01)
    theta = push.initial_parameters() + 0.01 * torch.randn(3, 8, generator=torch.Generator().manual_seed(0)).double()
    assert torch.equal(scene(theta), push(theta))
    for mine, theirs in zip(scene.value_and_gradient(theta), push.value_and_gradient(theta), strict=True):
        assert torch.equal(mine, theirs)
    assert torch.equal(scene.at_horizon(50)(theta), push.at_horizon(50)(theta))
    torch.testing.assert_close(scene.stepwise(10)(theta), push(theta), rtol=1e-12, atol=0)
    assert torch.equal(scene.way_points(theta), push.way_points(theta))
    assert scene.parameter_names[:3] == ("pusher.x 0", "pusher.y 0", "pusher.x 1")
    assert torch.equal(scene.initial_parameters()[:2], push.model.initial_state.body_q[0, 1, :2])
    softened = [task.softened("softplus", 0.004).value_and_gradient(theta)[1] for task in (scene, push)]
    assert torch.allclose(softened[0], softened[1], rtol=1e-3) is False  # all shapes, not the pusher alone
    mine = Scene(push._scene(), cost, controls=WayPoints(4), duration=0.6, dtype="float64", softened_shapes=["pusher"])
    assert torch.equal(mine.softened("softplus", 0.004)(theta), push.softened("softplus", 0.004)(theta))


def test_start_physical_parameters_and_running_cost_have_their_gradients():
    """Theta is a speed [m/s], a friction and a force [N]; the box slides and stops."""

    def start(theta):
        state = task.model.state(len(theta))
        speed = torch.cat([theta[:, :1], torch.zeros(len(theta), 5, dtype=theta.dtype)], dim=1)
        return State(state.body_q, speed[:, None])

    def physical(theta):
        return {"shape_friction": theta[:, 1:2].expand(-1, 2)}

    def controls(theta):
        return torch.stack([theta[:, 2], 0.0 * theta[:, 2]], dim=1).expand(40, -1, -1)

    def running(bodies, theta):
        assert bodies["box"].position.shape == (40, len(theta), 3) or bodies["box"].position.shape == (1, len(theta), 3)
        return bodies["box"].velocity[..., 0].square() * theta[:, 0]

    task = Scene(
        block("force"), place, duration=0.4, step=0.01, controls=controls, start=start, physical=physical,
        running_cost=running, initial=[1.0, 0.4, 0.5], dtype="float64", threads=1,
    )  # fmt: skip
    theta = torch.tensor([[1.0, 0.4, 0.5], [0.7, 0.3, -0.8]], dtype=torch.float64)
    value, gradient = task.value_and_gradient(theta)
    e = 1e-6
    for i in range(3):
        ahead, behind = theta.clone(), theta.clone()
        ahead[:, i] += e
        behind[:, i] -= e
        torch.testing.assert_close(gradient[:, i], (task(ahead) - task(behind)) / (2 * e), rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(task.stepwise(1)(theta), value, rtol=1e-12, atol=0)
    path = task.rollout(theta)
    speed = path.body_v[:-1, :, 0, 0]
    paid = 0.01 * (speed.square() * theta[:, 0]).sum(0)
    torch.testing.assert_close(value, place(task.bodies(path.final), theta) + paid, rtol=1e-12, atol=0)


def test_a_cost_written_for_numpy_has_values_and_no_exact_gradient():
    def cost(end, theta):
        return np.square(end["box"].position.detach().numpy()[:, 0] - 0.1)

    def same(end, theta):
        return (end["box"].position[:, 0] - 0.1).square()

    options = {"controls": WayPoints(1), "duration": 0.1, "dtype": "float64"}
    theta = torch.tensor([0.05, 0.0], dtype=torch.float64)
    found, right = (
        Smoothing(scale=0.01, samples=8).estimate(Scene(block(), one, **options), theta) for one in (cost, same)
    )
    torch.testing.assert_close(found.gradient, right.gradient)
    with pytest.raises((GradientError, TaskError), match="NumPy array, which has no exact gradient"):
        Autodiff().estimate(Scene(block(), cost, **options), theta)


def test_backends_and_recordings_take_it():
    task = Scene(block(), place, controls=WayPoints(1), duration=0.2, dtype="float64", name="slide")
    theta = task.initial_parameters()
    for backend in (Autodiff(), Smoothing(scale=0.01, samples=8)):
        assert backend.estimate(task, theta, seed=0).gradient.shape == (2,)
    recording = task.record(theta[None])
    assert recording.body_names == ("box",) or list(recording.body_names) == ["box"]
    assert task.unroll(theta[None]).steps == task.steps


@pytest.mark.parametrize(("change", "message"), [
    ({"cost": lambda end, theta: end["bax"].position[:, 0]}, "there is no body 'bax'; did you mean 'box'"),
    ({"cost": lambda end, theta: end["box"].position}, r"cost\(end, theta\) gave \(2, 3\): give a tensor \[batch\]"),
    ({"controls": lambda theta: theta}, r"controls\(theta\) gave \(2, 2\) .* actuators\] = \(40, 2, 2\)"),
    ({"start": lambda theta: None}, r"start\(theta\) gave NoneType"),
    ({"running_cost": lambda bodies, theta: theta.sum()}, r"running_cost\(bodies, theta\) gave \(\)"),
])  # fmt: skip
def test_functions_that_return_something_else_are_named(change, message):
    task = Scene(block(), **{"cost": place, "controls": WayPoints(1), "duration": 0.2, "initial": [0.0, 0.0], **change})
    with pytest.raises(TaskError, match=message):
        task(torch.zeros(2, 2))


@pytest.mark.parametrize(("change", "message"), [
    ({"duration": 0.0}, "at least one step"),
    ({"cost": 3}, "cost is a int: give a function"),
    ({"scene": 3}, "the scene is a int: give a ModelBuilder or a Model"),
    ({"controls": None}, "initial is missing"),
    ({"controls": WayPoints(0)}, r"WayPoints\(count=0\)"),
    ({"initial": [math.nan]}, "finite numbers"),
    ({"parameter_names": ("x",)}, "1 parameter_names for 2 parameters"),
    ({"scene": block("force")}, "'box.x' is of another kind"),
])  # fmt: skip
def test_arguments_that_do_not_fit_are_named(change, message):
    options = {"scene": block(), "cost": place, "controls": WayPoints(1), "duration": 0.2, **change}
    scene, cost = options.pop("scene"), options.pop("cost")
    with pytest.raises(TaskError, match=message):
        Scene(scene, cost, **options)


FILE = """
import torch

class Bowl:
    name = "bowl"
    def __init__(self, height: float = 0.0):
        self.height = height
    def __call__(self, theta):
        return theta.square().sum(-1) + self.height
    def initial_parameters(self):
        return torch.ones(2, dtype=torch.float64)

def bowl(height: float = 1.0):
    return Bowl(height)

fixed = Bowl(2.0)

def plain(theta):
    return theta.square().sum(-1)

number = 3
"""


def test_tasks_come_from_files(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(FILE)
    zero = torch.zeros(1, 2, dtype=torch.float64)
    for name, options, value in (
        ("Bowl", {}, 0.0), ("Bowl", {"height": 4.0}, 4.0), ("bowl", {}, 1.0), ("bowl", {"height": 5.0}, 5.0),
        ("fixed", {}, 2.0), ("plain", {}, 0.0),
    ):  # fmt: skip
        assert float(make(f"{file}:{name}", **options)(zero)) == value
    for name, options, message in (
        ("Bowll", {}, "did you mean 'Bowl'"),
        ("number", {}, "is a int: give a class"),
        ("fixed", {"height": 1.0}, "takes no options"),
        ("Bowl", {"hight": 1.0}, "did you mean 'height'"),
    ):
        with pytest.raises(TaskError, match=message):
            make(f"{file}:{name}", **options)
    with pytest.raises(TaskError, match="there is no file"):
        make(f"{tmp_path / 'other.py'}:Bowl")
    found = carom.optimize(f"{file}:fixed", rollouts=400)
    assert found.cost < found.start_cost


def test_rotations_turn_vectors_as_matrices_do():
    q = rotations.euler(0.3, -0.5, 1.1)
    c, s = math.cos, math.sin
    rx = torch.tensor([[1, 0, 0], [0, c(0.3), -s(0.3)], [0, s(0.3), c(0.3)]])
    ry = torch.tensor([[c(0.5), 0, -s(0.5)], [0, 1, 0], [s(0.5), 0, c(0.5)]])
    rz = torch.tensor([[c(1.1), -s(1.1), 0], [s(1.1), c(1.1), 0], [0, 0, 1]])
    turned = rotations.rotate(torch.tensor(q), (1.0, 2.0, 3.0))
    torch.testing.assert_close(turned, rz @ ry @ rx @ torch.tensor([1.0, 2.0, 3.0]), rtol=1e-6, atol=1e-6)
    assert rotations.yaw(0.4) == pytest.approx((0, 0, math.sin(0.2), math.cos(0.2)))
    assert rotations.axis_angle((0, 0, 5.0), 0.4) == pytest.approx(rotations.yaw(0.4))
    assert rotations.yaw(np.array([0.3, 0.4])) == pytest.approx(np.array([rotations.yaw(0.3), rotations.yaw(0.4)]))
    angle = torch.tensor([0.2, 0.7], dtype=torch.float64, requires_grad=True)
    x = rotations.rotate(rotations.yaw(angle), (1.0, 0.0, 0.0))[:, 0]
    torch.testing.assert_close(x, angle.cos())
    torch.testing.assert_close(torch.autograd.grad(x.sum(), angle)[0], -angle.sin())
    with pytest.raises(carom.sim.ModelError, match="give finite numbers"):
        rotations.yaw(math.nan)
    with pytest.raises(carom.sim.ModelError, match="not all zero"):
        rotations.axis_angle((0, 0, 0), 0.4)


def test_example_of_a_scene_of_ones_own(capsys):
    runpy.run_path(str(Path(__file__).parents[2] / "examples" / "own_scene.py"), run_name="__main__")
    assert "the bracket ends at x 0.100 m, y 0.020 m, yaw 0.50 rad" in capsys.readouterr().out
