"""The scene of the carrot pile: pieces on a table and, where wanted, a blade on position controllers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...sim import ModelBuilder
from .blade import Blade
from .cutting import Piece

__all__ = ["DENSITY", "build_scene"]

DENSITY = 1000.0
"""Density of a carrot [kg/m^3]."""


def build_scene(pieces: Sequence[Piece], poses: np.ndarray, friction: float, blade: Blade | None) -> ModelBuilder:
    """Bodies 0 to n - 1 are the pieces at ``poses`` [n, 7] (position [m], quaternion xyzw), body n the blade, if any.

    The table is the plane z = 0. Shape 0 is the table, shape i + 1 that of body i. The blade stands at the origin and
    passes through the table.
    """
    builder = ModelBuilder()
    table = builder.add_ground(friction=friction, name="table")
    for i, (piece, pose) in enumerate(zip(pieces, poses, strict=True)):
        body = builder.add_body(position=pose[:3], rotation=pose[3:], name=f"piece{i}")
        builder.add_convex(body, piece.vertices, density=DENSITY, friction=friction, name=f"piece{i} ({piece.kind})")
    if blade is not None:
        body = builder.add_body(mass=blade.mass, locked=("rx", "ry"), name="blade")
        shape = builder.add_box(body, blade.half_extents, friction=friction, name="blade")
        builder.exclude(table, shape)
        for axis in ("x", "y"):
            builder.add_actuator(body, axis, "position", stiffness=blade.stiffness, damping=blade.damping)
        builder.add_actuator(body, "z", "position", stiffness=blade.stiffness_z, damping=blade.damping_z)
        builder.add_actuator(body, "rz", "position", stiffness=blade.stiffness_yaw, damping=blade.damping_yaw)
    return builder
