"""The scene of the task ``push`` for MuJoCo: every number is read off the task, so that both simulate the same thing.

What cannot be the same is the contact itself. MuJoCo's is soft by a constraint impedance (``solimp``, ``solref``) and a
regularized friction (``impratio``). ``DEFAULT`` leaves all of it as MuJoCo has it; ``REFERENCE`` is the setting that
``docs/performance.md`` finds to be the converged answer of a rigid box with Coulomb friction.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import mujoco
import mujoco.rollout
import numpy as np
import torch

from carom.envs import make
from carom.envs.tasks.push import Push

__all__ = ["DEFAULT", "ELLIPTIC", "REFERENCE", "MujocoPush", "Setting", "push", "random_way_points"]


@dataclass(frozen=True)
class Setting:
    """MuJoCo options that bear on the contact; None is MuJoCo's default."""

    timestep: float = 0.002
    cone: str | None = None
    solimp: str | None = None
    solref: str | None = None
    impratio: float | None = None
    noslip: int | None = None
    integrator: str | None = None

    def at(self, timestep: float) -> Setting:
        """The same with another time step [s]."""
        return replace(self, timestep=timestep)

    def option(self) -> str:
        """The attributes of MJCF's ``option`` element."""
        names = {"cone": self.cone, "impratio": self.impratio, "noslip_iterations": self.noslip}
        names["integrator"] = self.integrator
        return " ".join(f'{name}="{value}"' for name, value in names.items() if value is not None)

    def pair(self) -> str:
        """The attributes of MJCF's ``pair`` element."""
        names = {"solimp": self.solimp, "solref": self.solref}
        return " ".join(f'{name}="{value}"' for name, value in names.items() if value is not None)


DEFAULT = Setting()
"""MuJoCo as it comes: pyramidal cone, an impedance that jumps at contact, 2 ms."""

ELLIPTIC = Setting(cone="elliptic", solimp="0 0.95 0.001")
"""A round friction cone and an impedance that grows from zero at contact, 2 ms."""

REFERENCE = replace(ELLIPTIC, timestep=0.0005)
"""The same at 0.5 ms: what poses are compared with."""


def push(offset: float = 0.01, step: float = 0.005, **options: object) -> Push:
    """The task, pusher touching the box, ``offset`` [m] off the line through its centre."""
    task = make("push", start="touching", offset=offset, step=step, **options)
    assert isinstance(task, Push)
    return task


def random_way_points(task: Push, worlds: int, seed: int = 0, scale: float | None = None) -> torch.Tensor:
    """Way-points [worlds, parameters] around the task's initial ones, with its own scale of noise or another [m]."""
    noise = torch.from_numpy(np.random.default_rng(seed).standard_normal((worlds, len(task.parameter_names))))
    theta = task.initial_parameters().cpu().double() + (task.smoothing_scale if scale is None else scale) * noise
    return theta.to(device=task.device, dtype=task.dtype)


def _numbers(values: object) -> str:
    return " ".join(f"{float(v):.17g}" for v in np.ravel(np.asarray(values, dtype=np.float64)))


def mjcf(task: Push, setting: Setting) -> str:
    """The scene as MJCF. The pusher's joint coordinates are its world coordinates."""
    inertia = np.diag(task.model.body_inertia[0, task.model.body("box")].cpu().double().numpy())
    gravity, half = task.model.gravity[0].cpu().double().numpy(), task.box_half_extents
    friction = f'condim="3" friction="{_numbers([task.friction] * 2)} 0 0 0" {setting.pair()}'
    return f"""
<mujoco>
  <option timestep="{setting.timestep:.17g}" gravity="{_numbers(gravity)}" {setting.option()}/>
  <worldbody>
    <geom name="table" type="plane" size="5 5 0.1" contype="0" conaffinity="0"/>
    <body name="box" pos="0 0 {half[2]}">
      <freejoint/>
      <inertial pos="0 0 0" mass="{task.box_mass}" diaginertia="{_numbers(inertia)}"/>
      <geom name="box" type="box" size="{_numbers(half)}" contype="0" conaffinity="0"/>
    </body>
    <body name="pusher" pos="0 0 {half[2]}">
      <inertial pos="0 0 0" mass="{task.pusher_mass}" diaginertia="1e-4 1e-4 1e-4"/>
      <joint name="x" type="slide" axis="1 0 0"/>
      <joint name="y" type="slide" axis="0 1 0"/>
      <geom name="pusher" type="sphere" size="{task.pusher_radius}" contype="0" conaffinity="0"/>
    </body>
  </worldbody>
  <contact>
    <pair geom1="table" geom2="box" {friction}/>
    <pair geom1="box" geom2="pusher" {friction}/>
  </contact>
  <actuator>
    <position joint="x" kp="{task.stiffness}" kv="{task.damping}"/>
    <position joint="y" kp="{task.stiffness}" kv="{task.damping}"/>
  </actuator>
</mujoco>"""


class MujocoPush:
    """The push in MuJoCo, worlds spread over ``threads`` threads by ``mujoco.rollout``.

    Args:
        task: The task, for all numbers of the scene and for the controls; its step size does not matter.
        setting: MuJoCo's options.
        theta: Way-points [worlds, parameters].
        threads: Threads of the rollout.
    """

    def __init__(self, task: Push, setting: Setting, theta: torch.Tensor, threads: int = 1):
        self.task, self.setting = task, setting
        duration = task.steps * task.simulator.step_size
        clock = make(
            "push", start=task.start, offset=-task.pusher_start[1], step=setting.timestep, duration=duration,
            way_points=task.way_point_count, dtype="float64",
        )  # fmt: skip
        assert isinstance(clock, Push)
        control = clock.controls(theta.detach().cpu().double())  # the targets at the end of each of MuJoCo's steps
        self.control = np.ascontiguousarray(control.transpose(0, 1).numpy())
        self.steps, self.worlds = clock.steps, theta.shape[0]
        self.model = mujoco.MjModel.from_xml_string(mjcf(task, setting))
        self.data = [mujoco.MjData(self.model) for _ in range(threads)]
        data = self.data[0]
        data.qpos[7:9] = task.pusher_start
        kind = mujoco.mjtState.mjSTATE_FULLPHYSICS
        start = np.zeros(mujoco.mj_stateSize(self.model, kind))
        mujoco.mj_getState(self.model, data, start, kind)
        self.start = np.tile(start, (self.worlds, 1))
        self.states = np.empty((self.worlds, self.steps, start.size))
        self.pool = mujoco.rollout.Rollout(nthread=threads if threads > 1 else 0)

    def run(self) -> np.ndarray:
        """Simulate; the box's final pose, x [m], y [m], yaw [rad]: [worlds, 3]."""
        self.pool.rollout([self.model] * self.worlds, self.data, self.start, self.control, state=self.states)
        final = self.states[:, -1]
        w, x, y, z = final[:, 4:8].T
        yaw = np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
        return np.stack([final[:, 1], final[:, 2], yaw], axis=1)


def box_pose(task: Push, theta: torch.Tensor) -> np.ndarray:
    """The box's final pose in carom, x [m], y [m], yaw [rad]: [worlds, 3]."""
    return task.outputs(theta)[:, :3].detach().cpu().double().numpy()


def difference(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance [mm] and angle [degrees] between poses [worlds, 3]."""
    turn = (a[:, 2] - b[:, 2] + np.pi) % (2.0 * np.pi) - np.pi
    return 1e3 * np.linalg.norm(a[:, :2] - b[:, :2], axis=1), np.degrees(np.abs(turn))
