"""A finished scene: bodies, shapes, actuators, and the physical parameters of every world."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ...plain import plain
from ...short_text import counted
from ..errors import StateError
from ..state import State
from .convex_hull import ConvexMesh
from .model_file import read_model, write_model

__all__ = ["PARAMETERS", "Model", "load_scene"]

PARAMETERS = (
    "gravity",
    "body_mass",
    "body_inertia",
    "shape_friction",
    "shape_stiffness",
    "shape_damping",
    "shape_restitution",
    "shape_rolling_resistance",
    "shape_torsional_resistance",
    "actuator_stiffness",
    "actuator_damping",
)
"""Names of the physical parameters that a rollout can be differentiated with respect to."""


@dataclass(frozen=True)
class Model:
    """A scene of B bodies, S shapes and A actuators in W worlds; made by ``ModelBuilder.finalize``.

    A body's frame is at its centre of mass. Tensors are on ``device`` in ``dtype``. Those with a leading W have one row
    a world, and may be replaced (``dataclasses.replace``) or overridden in a rollout.
    """

    device: str
    dtype: torch.dtype
    worlds: int
    body_names: tuple[str, ...]
    shape_names: tuple[str, ...]
    actuator_names: tuple[str, ...]
    initial_state: State
    """Poses and velocities that the builder was given, in every world."""
    shape_type: np.ndarray
    """Type of each shape, int [S]; see ``ShapeType``."""
    shape_body: np.ndarray
    """Body of each shape, int [S]; -1 for static shapes."""
    shape_pose: np.ndarray
    """Pose of each shape in its body's frame (position [m], quaternion xyzw), float [S, 7]."""
    pairs: np.ndarray
    """Pairs of shapes that may touch, int [P, 2], the lower type first."""
    body_free: np.ndarray
    """Whether each axis of each body (world x, y, z, then the rotations) is free, bool [B, 6]."""
    body_com: np.ndarray
    """Centre of mass in the frame in which the body was described to the builder [m], [B, 3]."""
    actuator_body: np.ndarray
    actuator_axis: np.ndarray
    actuator_kind: np.ndarray
    gravity: torch.Tensor
    """[W, 3], m/s^2."""
    body_mass: torch.Tensor
    """[W, B], kg."""
    body_inertia: torch.Tensor
    """About the centre of mass, in the body's frame, [W, B, 3, 3], kg m^2."""
    shape_size: torch.Tensor
    """[W, S, 3], m; see ``ShapeType`` for the meaning."""
    shape_friction: torch.Tensor
    """[W, S]; a pair has the harmonic mean of its two."""
    shape_stiffness: torch.Tensor
    """[W, S], N/m; -1: derived from mass and step."""
    shape_damping: torch.Tensor
    """[W, S], N s/m; -1: derived from mass and stiffness."""
    shape_restitution: torch.Tensor
    """[W, S], 0 to 1; a pair has the harmonic mean of its two."""
    shape_rolling_resistance: torch.Tensor
    """[W, S], m; a pair has the sum of its two."""
    shape_torsional_resistance: torch.Tensor
    """[W, S], m; a pair has the sum of its two."""
    actuator_stiffness: torch.Tensor
    """[W, A], N/m or N m/rad."""
    actuator_damping: torch.Tensor
    """[W, A], N s/m or N m s/rad."""
    shape_mesh: np.ndarray
    """Number of each shape's mesh, int [S]; -1 for shapes that have none."""
    meshes: tuple[ConvexMesh, ...]
    """The convex meshes, each once."""

    @property
    def bodies(self) -> int:
        """Number of bodies of a world."""
        return len(self.body_names)

    @property
    def shapes(self) -> int:
        """Number of shapes of a world."""
        return len(self.shape_names)

    @property
    def actuators(self) -> int:
        """Number of actuators of a world."""
        return len(self.actuator_names)

    def __repr__(self) -> str:
        dtype = str(self.dtype).removeprefix("torch.")
        parts = [
            f"{counted(len(names), what)} ({', '.join(names)})"
            for names, what in (
                (self.body_names, "body"), (self.shape_names, "shape"), (self.actuator_names, "actuator"),
            )
            if names
        ]  # fmt: skip
        return f"Model of {', '.join(parts) or 'nothing'}; {counted(self.worlds, 'world')}, {dtype} on {self.device}"

    def state(self, worlds: int | None = None) -> State:
        """A copy of the initial state, for ``worlds`` worlds where the model has one."""
        state = self.initial_state
        worlds = plain(worlds)
        if worlds is not None and (not isinstance(worlds, int) or worlds < 1):
            raise StateError(f"worlds must be an integer of at least 1, got {worlds!r}")
        if worlds is None or worlds == self.worlds:
            return State(state.body_q.clone(), state.body_v.clone())
        if self.worlds != 1:
            raise StateError(
                f"the model has {self.worlds} worlds; a state of {worlds} worlds needs a model of 1 or {worlds}"
            )
        return State(state.body_q.repeat(worlds, 1, 1), state.body_v.repeat(worlds, 1, 1))

    def save(self, path: str | Path) -> Path:
        """Write the model to ``path`` (.npz, no pickles) in one step: a reader finds all of it or nothing.

        Raises:
            ModelError: The file cannot be written.
        """
        return write_model(self, path)

    @classmethod
    def load(cls, path: str | Path, *, device: str = "cpu", dtype: str | torch.dtype | None = None) -> Model:
        """Read a model that ``save`` wrote; nothing in the file is executed.

        Args:
            path: The file.
            device: "cpu", "cuda:0", ...
            dtype: "float32" or "float64"; by default as it was saved.

        Raises:
            ModelError: There is no such file, it is no model or damaged, of another version, or its arrays do not fit
                one another.
            DeviceError: There is no such device.
        """
        return read_model(cls, path, device, dtype)

    def body(self, name: str) -> int:
        """Number of the body called ``name``."""
        if name not in self.body_names:
            raise KeyError(f"no body called {name!r}; there are {', '.join(self.body_names)}")
        return self.body_names.index(name)


def load_scene(path: str | Path, *, device: str = "cpu", dtype: str | torch.dtype | None = None) -> Model:
    """The model in a file that ``Model.save`` wrote; see ``Model.load``."""
    return Model.load(path, device=device, dtype=dtype)
