"""Poses, contacts and forces of every step of a run, written to one file and read back."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...short_text import counted
from ..array_file import read_arrays, write_arrays
from ..errors import RecordingError, StateError
from ..state import State, Trajectory
from ..stepping import checks
from .consistency import recording_fault

if TYPE_CHECKING:
    from ..stepping.simulator import Simulator

__all__ = ["Recording", "join_recordings", "record"]

VERSION = 2

_CONTACT = ("shape", "body", "point", "normal", "gap", "force", "torque")

_MISMATCH = 0.02
"""Part of a step's impulses that the solver's tolerance cannot explain; see ``_check_balance``."""
_ROUNDING = 64.0
"""Part of the momentum that rounding cannot explain, in the precision's epsilon."""


@dataclass(frozen=True, eq=False)
class Recording:
    """A run of T steps of W worlds with B bodies, S shapes, A actuators; N contacts over all steps and worlds.

    Arrays are NumPy's, in the precision of the simulation. A contact is kept in the steps in which it carries a force
    or its gap is not positive. Forces are means over a step: that of step t acts from ``times[t]`` to ``times[t + 1]``,
    on the contact geometry at ``times[t]``. Forces that hold locked axes are not recorded.
    """

    step_size: float
    """[s]"""
    body_q: np.ndarray
    """Poses of the centres of mass: position [m], unit quaternion (x, y, z, w); [T + 1, W, B, 7]."""
    body_v: np.ndarray
    """Velocities: linear [m/s], angular [rad/s], world axes; [T + 1, W, B, 6]."""
    actuator_force: np.ndarray
    """Along or about the actuator's axis [N or N m], [T, W, A]."""
    contact_start: np.ndarray
    """The contacts of step t and world w begin at entry t W + w, int [T W + 1]; see ``contacts``."""
    contact_shape: np.ndarray
    """The two shapes (a, b), int [N, 2]."""
    contact_body: np.ndarray
    """Their bodies, int [N, 2]; -1 for static geometry."""
    contact_point: np.ndarray
    """World frame [m], [N, 3]."""
    contact_normal: np.ndarray
    """Unit vector from a to b, [N, 3]."""
    contact_gap: np.ndarray
    """Signed distance at the start of the step [m], [N]."""
    contact_force: np.ndarray
    """Force on b, and its opposite on a, world axes [N], [N, 3]."""
    contact_torque: np.ndarray
    """Moment on b about the contact point, and its opposite on a, world axes [N m], [N, 3]: friction of a flat
    face acts beside its corners, and there may be rolling and torsional resistance."""
    body_names: tuple[str, ...]
    shape_names: tuple[str, ...]
    actuator_names: tuple[str, ...]
    actuator_body: np.ndarray
    """Int [A]."""
    actuator_axis: np.ndarray
    """0..2 along, 3..5 about the world axes, int [A]."""
    shape_type: np.ndarray
    """See ``ShapeType``, int [S]."""
    shape_body: np.ndarray
    """Body of each shape, int [S]; -1 for static shapes."""
    shape_pose: np.ndarray
    """Pose of each shape in its body's frame, [S, 7]."""
    shape_size: np.ndarray
    """See ``ShapeType``, [W, S, 3], m; one row where all worlds are alike."""
    shape_mesh: np.ndarray
    """Number of each shape's mesh, int [S]; -1 for shapes that have none."""
    mesh_start: np.ndarray
    """Mesh m has the vertices ``mesh_start[m]`` to ``mesh_start[m + 1]``, int [meshes + 1]."""
    mesh_vertices: np.ndarray
    """In the frames of the shapes [m], [vertices, 3]."""

    def __repr__(self) -> str:
        return (
            f"Recording of {counted(self.steps, 'step')} of {self.step_size:g} s, {counted(self.worlds, 'world')}, "
            f"{counted(len(self.body_names), 'body')} ({', '.join(self.body_names)}); "
            f"{counted(len(self.contact_gap), 'contact')} in all"
        )

    @property
    def steps(self) -> int:
        """T."""
        return len(self.body_q) - 1

    @property
    def worlds(self) -> int:
        """W."""
        return self.body_q.shape[1]

    @property
    def times(self) -> np.ndarray:
        """Times of the states [s], [T + 1]."""
        return np.arange(self.steps + 1) * self.step_size

    def contacts(self, step: int, world: int = 0) -> slice:
        """Slice of the ``contact_...`` arrays that holds the contacts of a step (counted from 0) and world."""
        if not (0 <= step < self.steps and 0 <= world < self.worlds):
            raise IndexError(
                f"no contacts of step {step}, world {world}: there are {self.steps} steps and {self.worlds} worlds"
            )
        row = step * self.worlds + world
        return slice(int(self.contact_start[row]), int(self.contact_start[row + 1]))

    def contact_wrench(self) -> np.ndarray:
        """Sum of the contact forces on each body: force [N], torque about its centre of mass [N m]; [T, W, B, 6]."""
        shape = (self.steps, self.worlds, len(self.body_names), 6)
        total = np.zeros((shape[0] * shape[1], *shape[2:]), dtype=self.contact_force.dtype)
        centres = self.body_q[:-1, ..., :3].reshape(-1, shape[2], 3)
        row = np.repeat(np.arange(len(total)), np.diff(self.contact_start))
        for side, sign in ((0, -1.0), (1, 1.0)):
            body = self.contact_body[:, side]
            moves = body >= 0
            r, b = row[moves], body[moves]
            force = sign * self.contact_force[moves]
            torque = np.cross(self.contact_point[moves] - centres[r, b], force) + sign * self.contact_torque[moves]
            np.add.at(total, (r, b), np.concatenate([force, torque], axis=1))
        return total.reshape(shape)

    def save(self, path: str | Path) -> Path:
        """Write the recording to ``path`` (.npz, no pickles) in one step: a reader finds all of it or nothing.

        Raises:
            RecordingError: The file cannot be written.
        """
        entries: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            entries[field.name] = np.array(value, dtype=np.str_) if isinstance(value, tuple) else np.asarray(value)
        return write_arrays(path, "recording", VERSION, entries, RecordingError)

    @classmethod
    def load(cls, path: str | Path) -> Recording:
        """Read a recording that ``save`` wrote.

        Raises:
            RecordingError: There is no such file, it is no recording or damaged, of another version, or its arrays do
                not fit one another.
        """
        found = read_arrays(path, "recording", VERSION, RecordingError)
        values: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            if field.name not in found:
                raise RecordingError(f"recording {path} is damaged: {field.name!r} is missing")
            value: Any = found[field.name]
            if field.name.endswith("_names"):
                value = tuple(np.atleast_1d(value).tolist())
            values[field.name] = _scalar(value) if field.name == "step_size" else value
        recording = cls(**values)
        fault = recording_fault(vars(recording))
        if fault is not None:
            raise RecordingError(f"recording {path} is damaged: {fault}. Record it anew")
        return recording


@torch.no_grad()
def record(
    simulator: Simulator,
    trajectory: Trajectory,
    control: torch.Tensor | None = None,
    parameters: Mapping[str, torch.Tensor] | None = None,
) -> Recording:
    """The contacts and forces of a finished rollout, found again at its stored states.

    Contacts are not stored in a rollout: they follow from its states, as in the backward pass. So the forces are those
    of the run (to rounding where bodies turn freely), and the run itself costs no more for being recorded.

    Args:
        simulator: The simulator of the rollout.
        trajectory: Result of ``Simulator.rollout(..., record=True)``.
        control: The rollout's controls, [T, W, A].
        parameters: The rollout's parameters.

    Raises:
        StateError: The trajectory has no states or no steps, or is not one of this simulator with these controls and
            parameters: its momentum does not change by the forces found.
    """
    if trajectory.body_q is None or trajectory.body_v is None:
        raise StateError("the trajectory holds only its final state; pass record=True to Simulator.rollout")
    model = simulator.model
    q, v = trajectory.body_q.detach(), trajectory.body_v.detach()
    steps = q.shape[0] - 1
    if steps == 0:
        raise StateError("the trajectory has no steps: there is nothing to record")
    _, control, values = checks.rollout_inputs(model, State(q[0], v[0]), control, parameters or {}, steps)
    found = simulator.run_forces(q, v, control, values)
    meshes = [mesh.vertices for mesh in model.meshes]
    real = _numpy(q).dtype
    recording = Recording(
        step_size=simulator.step_size,
        body_q=_numpy(q),
        body_v=_numpy(v),
        **found,
        body_names=model.body_names,
        shape_names=model.shape_names,
        actuator_names=model.actuator_names,
        actuator_body=np.asarray(model.actuator_body),
        actuator_axis=np.asarray(model.actuator_axis),
        shape_type=np.asarray(model.shape_type),
        shape_body=np.asarray(model.shape_body),
        shape_pose=np.asarray(model.shape_pose).astype(real),
        shape_size=_numpy(model.shape_size),
        shape_mesh=np.asarray(model.shape_mesh),
        mesh_start=np.cumsum([0, *map(len, meshes)]),
        mesh_vertices=np.concatenate([np.zeros((0, 3)), *meshes]).astype(real),
    )
    if not simulator.options.quasi_dynamic:
        _check_balance(recording, model.body_free, {name: _numpy(value.detach()) for name, value in values.items()})
    return recording


def join_recordings(parts: Sequence[Recording]) -> Recording:
    """One recording of runs of the same scene, one after the other.

    Where a run does not start in the state in which the one before ended (a tool that was put elsewhere in between),
    the end stays and the start is dropped: a state is lost, no force.

    Raises:
        RecordingError: There are none, or they are not of the same scene, worlds and step.
    """
    if not parts:
        raise RecordingError("there are no recordings to join")
    first = parts[0]
    for number, part in enumerate(parts):
        alike = part.body_q.shape[1:] == first.body_q.shape[1:] and part.step_size == first.step_size
        if not alike or part.body_names != first.body_names or part.shape_names != first.shape_names:
            raise RecordingError(f"recording {number} is not of the scene, worlds and step of recording 0")
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("actuator_force", *(f"contact_{what}" for what in _CONTACT))
    }
    for name in ("body_q", "body_v"):
        joined[name] = np.concatenate([getattr(first, name), *(getattr(part, name)[1:] for part in parts[1:])])
    counts = np.concatenate([np.diff(part.contact_start) for part in parts])
    joined["contact_start"] = np.concatenate([[0], np.cumsum(counts)])
    return dataclasses.replace(first, **joined)


def _check_balance(recording: Recording, free: np.ndarray, values: dict[str, np.ndarray]) -> None:
    """Refuse forces that do not make the momentum change: those of another run."""
    h = recording.step_size
    mass = np.broadcast_to(values["body_mass"], recording.body_q.shape[1:3])[None, :, :, None].astype(np.float64)
    change = mass * np.diff(recording.body_v[..., :3].astype(np.float64), axis=0)
    weight = h * mass * values["gravity"][None, :, None, :]
    contact = h * recording.contact_wrench()[..., :3]
    actuator = np.zeros_like(change)
    for i, (body, axis) in enumerate(zip(recording.actuator_body, recording.actuator_axis, strict=True)):
        if axis < 3:
            actuator[:, :, body, axis] += h * recording.actuator_force[:, :, i]

    def norm(x: np.ndarray) -> np.ndarray:
        return np.sqrt((x * x * free[:, :3] / mass).sum(axis=(2, 3)))

    off = norm(change - weight - contact - actuator)
    speed = np.abs(recording.body_v[..., :3].astype(np.float64))
    momentum = norm(mass * np.maximum(speed[:-1], speed[1:]))
    rounding = _ROUNDING * np.finfo(recording.body_v.dtype).eps * momentum  # a small change of a large velocity
    bad = off > rounding + _MISMATCH * (norm(change) + norm(weight) + norm(contact) + norm(actuator))
    if bad.any():
        step, world = np.argwhere(bad)[0]
        raise StateError(
            f"the momentum of world {world} does not change by the forces found in step {step}: the trajectory was not "
            "made by this simulator with these controls and parameters. Pass the same control and parameters as to "
            "rollout"
        )


def _scalar(value: np.ndarray) -> float:
    return float(value) if value.ndim == 0 and value.dtype.kind in "fiu" else math.nan


def _numpy(value: torch.Tensor) -> np.ndarray:
    return value.detach().cpu().numpy().copy()
