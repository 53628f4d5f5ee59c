"""The carrot pile for MuJoCo: pieces, pile, blade and controls are read off the task, so that both simulate the same.

What differs is the contact: MuJoCo's is soft and its friction a pyramid, with all its defaults; a hull against a hull
gives it up to four contacts (``multiccd`` off: one), ours a polygon's corners.
"""

from __future__ import annotations

import mujoco
import mujoco.rollout
import numpy as np
import torch

from carom.envs import make
from carom.envs.carrots import Carrots

__all__ = ["MujocoPile", "lyapunov", "pile"]


def pile(pieces: int, step: float = 0.005, **options: object) -> Carrots:
    """The task: one push through the middle of a settled pile to the target."""
    task = make("carrots", pieces=pieces, step=step, **options)
    assert isinstance(task, Carrots)
    return task


def _numbers(values: object) -> str:
    return " ".join(f"{float(v):.17g}" for v in np.ravel(np.asarray(values, dtype=np.float64)))


def _quaternion(q: np.ndarray) -> str:
    return _numbers([q[3], q[0], q[1], q[2]])


def mjcf(task: Carrots, timestep: float, multiccd: bool) -> str:
    """The scene as MJCF. The blade's joint coordinates are x, y, z in the world and the yaw."""
    model, blade = task.model, task.blade
    q = task.pile_state().body_q[0].cpu().double().numpy()
    masses, inertias = model.body_mass[0].cpu().double().numpy(), model.body_inertia[0].cpu().double().numpy()
    friction = f'friction="{task.model.shape_friction[0, 0]:.9g} 0 0" condim="3"'
    assets, bodies = [], []
    for i in range(task.piece_count):
        shape = int(np.flatnonzero(model.shape_body == i)[0])
        mesh, pose, tensor = model.meshes[model.shape_mesh[shape]], model.shape_pose[shape], inertias[i]
        full = [tensor[0, 0], tensor[1, 1], tensor[2, 2], tensor[0, 1], tensor[0, 2], tensor[1, 2]]
        assets.append(f'<mesh name="piece{i}" vertex="{_numbers(mesh.vertices)}"/>')
        bodies.append(
            f'<body pos="{_numbers(q[i, :3])}" quat="{_quaternion(q[i, 3:])}"><freejoint/>'
            f'<inertial pos="0 0 0" mass="{masses[i]:.17g}" fullinertia="{_numbers(full)}"/>'
            f'<geom type="mesh" mesh="piece{i}" pos="{_numbers(pose[:3])}" quat="{_quaternion(pose[3:])}" {friction}/>'
            "</body>"
        )
    inertia = np.diag(inertias[task.blade_body])
    actuators = [
        f'<position joint="{name}" kp="{model.actuator_stiffness[0, i]:.9g}" kv="{model.actuator_damping[0, i]:.9g}"/>'
        for i, name in enumerate(("x", "y", "z", "yaw"))
    ]
    return f"""
<mujoco>
  <option timestep="{timestep:.17g}" gravity="{_numbers(model.gravity[0].cpu())}" integrator="implicitfast">
    <flag multiccd="{"enable" if multiccd else "disable"}"/>
  </option>
  <size memory="200M"/>
  <asset>{"".join(assets)}</asset>
  <worldbody>
    <geom name="table" type="plane" size="5 5 0.1" contype="1" conaffinity="1" {friction}/>
    {"".join(bodies)}
    <body name="blade">
      <inertial pos="0 0 0" mass="{masses[task.blade_body]:.17g}" diaginertia="{_numbers(inertia)}"/>
      <joint name="x" type="slide" axis="1 0 0"/>
      <joint name="y" type="slide" axis="0 1 0"/>
      <joint name="z" type="slide" axis="0 0 1"/>
      <joint name="yaw" type="hinge" axis="0 0 1"/>
      <geom name="blade" type="box" size="{_numbers(blade.half_extents)}" {friction}/>
    </body>
  </worldbody>
  <contact><exclude body1="world" body2="blade"/></contact>
  <actuator>{"".join(actuators)}</actuator>
</mujoco>"""


class MujocoPile:
    """The push of one world in MuJoCo.

    Args:
        task: The task, for all numbers of the scene.
        timestep: MuJoCo's step [s].
        multiccd: Whether hulls that touch get several contacts.
    """

    def __init__(self, task: Carrots, timestep: float, multiccd: bool = False):
        self.task = task
        clock = pile(task.piece_count, timestep, dtype="float64")
        theta = task.initial_parameters().double()
        self.control = np.ascontiguousarray(clock.controls(theta[None])[:, 0].numpy()[None])
        self.duration = clock.push_steps * timestep
        self.model = mujoco.MjModel.from_xml_string(mjcf(task, timestep, multiccd))
        self.data = mujoco.MjData(self.model)
        pose = clock.blade.start_pose(clock.actions(theta[None])[:, 0])[0].numpy()
        self.data.qpos[-4:] = [*pose[:3], 2.0 * np.arctan2(pose[5], pose[6])]
        kind = mujoco.mjtState.mjSTATE_FULLPHYSICS
        start = np.zeros(mujoco.mj_stateSize(self.model, kind))
        mujoco.mj_getState(self.model, self.data, start, kind)
        self.start = start[None]
        self.states = np.empty((1, self.control.shape[1], start.size))
        self.pool = mujoco.rollout.Rollout(nthread=0)

    def run(self) -> np.ndarray:
        """Simulate; final positions of the pieces [n, 3] [m]."""
        self.pool.rollout([self.model], [self.data], self.start, self.control, state=self.states)
        n = self.task.piece_count
        return self.states[0, -1, 1 : 1 + 7 * n].reshape(n, 7)[:, :3]


def lyapunov(task: Carrots, positions: np.ndarray) -> float:
    """The task's cost of final positions of the pieces [n, 3] [m]."""
    return float(task.loss(torch.from_numpy(np.ascontiguousarray(positions[:, :2])).reshape(1, -1).to(task.dtype)))
