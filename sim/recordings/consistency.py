"""Check that the arrays of a recording fit one another, since a file can hold anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...kernels.core.shape_types import ShapeType

__all__ = ["recording_fault"]

_SHAPES = {
    "body_q": "t W B 7",
    "body_v": "t W B 6",
    "actuator_force": "T W A",
    "contact_start": "starts",
    "contact_shape": "N 2",
    "contact_body": "N 2",
    "contact_point": "N 3",
    "contact_normal": "N 3",
    "contact_gap": "N",
    "contact_force": "N 3",
    "contact_torque": "N 3",
    "actuator_body": "A",
    "actuator_axis": "A",
    "shape_type": "S",
    "shape_body": "S",
    "shape_pose": "S 7",
    "shape_size": "sizes S 3",
    "shape_mesh": "S",
    "mesh_start": "meshes",
    "mesh_vertices": "vertices 3",
}
"""Letters are as in ``Recording``, t for T + 1; words are for any length."""
_WHOLE = (
    "contact_start", "contact_shape", "contact_body", "actuator_body", "actuator_axis", "shape_type", "shape_body",
    "shape_mesh", "mesh_start",
)  # fmt: skip


def recording_fault(arrays: Mapping[str, Any]) -> str | None:
    """Text on the first array that does not fit the others, None if all fit; ``arrays`` are a recording's fields."""
    for name in ("body_names", "shape_names", "actuator_names"):
        if not all(isinstance(entry, str) for entry in arrays[name]):
            return f"{name} are not names"
    return _shape_fault(arrays) or _number_fault(arrays) or _index_fault(arrays)


def _shape_fault(arrays: Mapping[str, Any]) -> str | None:
    if arrays["body_q"].ndim != 4 or arrays["body_q"].shape[0] < 2 or arrays["body_q"].shape[1] < 1:
        return f"body_q has the shape {arrays['body_q'].shape}, not [steps + 1, worlds, bodies, 7]"
    frames, worlds = arrays["body_q"].shape[:2]
    size = {
        "t": frames, "T": frames - 1, "W": worlds, "B": len(arrays["body_names"]), "S": len(arrays["shape_names"]),
        "A": len(arrays["actuator_names"]), "N": len(arrays["contact_gap"]) if arrays["contact_gap"].ndim else 0,
        "starts": (frames - 1) * worlds + 1,
    }  # fmt: skip
    for name, letters in _SHAPES.items():
        array = arrays[name]
        expected = [int(letter) if letter.isdigit() else size.get(letter) for letter in letters.split()]
        fits = array.ndim == len(expected)
        if not fits or any(e is not None and n != e for n, e in zip(array.shape, expected, strict=True)):
            wanted = ", ".join("any" if e is None else str(e) for e in expected)
            return f"{name} has the shape {array.shape} where the scene asks for ({wanted})"
        if array.dtype.kind not in ("iu" if name in _WHOLE else "f"):
            return f"{name} holds entries of type {array.dtype}"
    if len(arrays["shape_size"]) not in (1, worlds):
        return f"shape_size has {len(arrays['shape_size'])} rows, and the recording {worlds} worlds"
    return None


def _number_fault(arrays: Mapping[str, Any]) -> str | None:
    if not (np.isfinite(arrays["step_size"]) and arrays["step_size"] > 0.0):
        return f"step_size is {arrays['step_size']}"
    for name in _SHAPES:
        array = arrays[name]
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return f"{name} holds numbers that are not finite"
    for name in ("body_q", "shape_pose"):
        length = np.linalg.norm(arrays[name][..., 3:].astype(float), axis=-1)
        if (np.abs(length - 1.0) > 1e-2).any():
            return f"{name} holds quaternions that are not of length 1"
    return None


def _index_fault(arrays: Mapping[str, Any]) -> str | None:
    bodies, shapes = len(arrays["body_names"]), len(arrays["shape_names"])
    starts, meshes = arrays["contact_start"], arrays["mesh_start"]
    if starts[0] != 0 or starts[-1] != len(arrays["contact_gap"]) or (np.diff(starts) < 0).any():
        return f"contact_start does not count up from 0 to the {len(arrays['contact_gap'])} contacts"
    if not len(meshes) or meshes[0] != 0 or meshes[-1] != len(arrays["mesh_vertices"]) or (np.diff(meshes) < 4).any():
        return f"mesh_start does not count up from 0 to the {len(arrays['mesh_vertices'])} vertices"
    for name, low, high in (
        ("contact_body", -1, bodies),
        ("contact_shape", 0, shapes),
        ("actuator_body", 0, bodies),
        ("actuator_axis", 0, 6),
        ("shape_body", -1, bodies),
        ("shape_mesh", -1, len(meshes) - 1),
    ):
        array = arrays[name]
        if ((array < low) | (array >= high)).any():
            return f"{name} holds entries outside of {low} to {high - 1}"
    if not np.isin(arrays["shape_type"], [int(kind) for kind in ShapeType]).all():
        return "shape_type holds types that are not known"
    if (arrays["shape_mesh"][arrays["shape_type"] == ShapeType.CONVEX] < 0).any():
        return "a convex shape has no mesh"
    if (arrays["shape_size"] < 0.0).any():
        return "shape_size holds negative lengths"
    return None
