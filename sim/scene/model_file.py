"""Models as files: arrays and names, nothing that is executed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..array_file import DAMAGED, read_arrays, write_arrays
from ..devices import check_device, check_dtype
from ..errors import ModelError
from ..state import State
from .convex_hull import ConvexMesh

__all__ = ["read_model", "write_model"]

VERSION = 1

_MESH_ARRAYS = ("vertices", "normals", "loop_start", "loop", "edges", "shares", "inertia", "size")
_PLAIN = ("device", "dtype", "worlds", "initial_state", "meshes")
_NAMES = ("body_names", "shape_names", "actuator_names")


def write_model(model: Any, path: str | Path) -> Path:
    """Write ``model`` to ``path`` (.npz, no pickles) in one step.

    Raises:
        ModelError: The file cannot be written.
    """
    entries: dict[str, Any] = {}
    entries["dtype"], entries["worlds"] = np.array(str(model.dtype)[6:]), np.array(model.worlds)
    for field in dataclasses.fields(model):
        if field.name not in _PLAIN:
            value = getattr(model, field.name)
            entries[field.name] = np.array(value, dtype=np.str_) if field.name in _NAMES else _array(value)
    entries["body_q"], entries["body_v"] = _array(model.initial_state.body_q), _array(model.initial_state.body_v)
    entries["mesh_count"] = np.array(len(model.meshes))
    for i, mesh in enumerate(model.meshes):
        entries |= {f"mesh{i}_{name}": getattr(mesh, name) for name in _MESH_ARRAYS}
        entries[f"mesh{i}_numbers"] = np.array([mesh.volume, mesh.rim])
    return write_arrays(path, "model", VERSION, entries, ModelError)


def read_model(cls: type, path: str | Path, device: str, dtype: str | torch.dtype | None) -> Any:
    """The model that ``write_model`` wrote.

    Raises:
        ModelError: There is no such file, it is no model or damaged, of another version, or its arrays do not fit one
            another.
    """
    found = read_arrays(path, "model", VERSION, ModelError)
    try:
        return _model(cls, found, device, dtype)
    except ModelError as error:
        raise ModelError(f"{path} is damaged: {error}") from None
    except DAMAGED as error:
        raise ModelError(f"{path} is damaged: {error}") from None


def _model(cls: type, found: dict[str, np.ndarray], device: str, dtype: str | torch.dtype | None) -> Any:
    place, real = check_device(device), check_dtype(str(found["dtype"]) if dtype is None else dtype)
    sizes = {letter: len(found[name]) for letter, name in zip("BSA", _NAMES, strict=True)}
    sizes["W"] = int(found["worlds"])

    def tensor(name: str, shape: tuple[int, ...]) -> torch.Tensor:
        array = found[name]
        if array.shape != shape or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ModelError(f"{name} is {array.dtype} {array.shape} instead of finite numbers {shape}")
        return torch.as_tensor(array, dtype=real, device=place)

    w, b, s, a = (sizes[letter] for letter in "WBSA")
    tensors = {
        "gravity": (w, 3), "body_mass": (w, b), "body_inertia": (w, b, 3, 3), "shape_size": (w, s, 3),
        **{f"shape_{name}": (w, s) for name in (
            "friction", "stiffness", "damping", "restitution", "rolling_resistance", "torsional_resistance",
        )},
        "actuator_stiffness": (w, a), "actuator_damping": (w, a),
    }  # fmt: skip
    arrays = {
        "shape_type": ("i", (s,)), "shape_body": ("i", (s,)), "shape_pose": ("f", (s, 7)),
        "pairs": ("i", (len(found["pairs"]), 2)), "body_free": ("b", (b, 6)), "body_com": ("f", (b, 3)),
        "actuator_body": ("i", (a,)), "actuator_axis": ("i", (a,)), "actuator_kind": ("i", (a,)),
        "shape_mesh": ("i", (s,)),
    }  # fmt: skip
    kept = {}
    for name, (kind, shape) in arrays.items():
        if found[name].shape != shape or found[name].dtype.kind != kind:
            raise ModelError(f"{name} is {found[name].dtype} {found[name].shape} instead of {shape}")
        kept[name] = found[name]
    meshes = tuple(_mesh(found, i) for i in range(int(found["mesh_count"])))
    for name, least, most in (
        ("shape_body", -1, b), ("pairs", 0, s), ("actuator_body", 0, b), ("actuator_axis", 0, 6),
        ("actuator_kind", 0, 3), ("shape_mesh", -1, len(meshes)), ("shape_type", 0, 5),
    ):  # fmt: skip
        if kept[name].size and not least <= kept[name].min() <= kept[name].max() < most:
            raise ModelError(f"{name} has numbers outside of {least} to {most - 1}")
    return cls(
        device=place, dtype=real, worlds=w,
        **{name: tuple(found[name].tolist()) for name in _NAMES},
        initial_state=State(tensor("body_q", (w, b, 7)), tensor("body_v", (w, b, 6))),
        **{name: tensor(name, shape) for name, shape in tensors.items()},
        **kept,
        meshes=meshes,
    )  # fmt: skip


def _mesh(found: dict[str, np.ndarray], i: int) -> ConvexMesh:
    arrays = {name: found[f"mesh{i}_{name}"] for name in _MESH_ARRAYS}
    vertices = len(arrays["vertices"])
    indices = (arrays["loop"], arrays["edges"][:, :2])
    if arrays["vertices"].shape != (vertices, 3) or any(
        x.size and not 0 <= x.min() <= x.max() < vertices for x in indices
    ):
        raise ModelError(f"mesh {i} names vertices that it does not have")
    volume, rim = found[f"mesh{i}_numbers"].tolist()
    return ConvexMesh(volume=volume, rim=rim, **arrays)


def _array(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
