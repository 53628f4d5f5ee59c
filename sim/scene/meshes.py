"""Triangle meshes: files read with trimesh, checks, and the decomposition of concave meshes into convex parts."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ModelError, SimulationWarning

if TYPE_CHECKING:
    import trimesh

__all__ = ["check_closed", "check_filled", "check_size", "check_wound", "convex_parts", "load_mesh"]

LARGE = 10.0
"""Length [m] above which a mesh without a given scale is assumed to be in millimetres."""

FILLED = 0.05
"""Part of its volume that the hull of a mesh may add without a warning: the roughness of a scan, a chamfer."""


def load_mesh(source: Any, scale: float, name: str) -> trimesh.Trimesh:
    """One triangle mesh [m] from a file or an object of trimesh; the meshes of a scene are joined.

    Args:
        source: Path of an OBJ, STL, PLY or GLB file, a ``trimesh.Trimesh`` or a ``trimesh.Scene``.
        scale: Metres per unit of the mesh.
        name: Of the shape, for messages.

    Raises:
        ModelError: No such file, a file that trimesh cannot read, no faces, vertices that are not finite.
    """
    import trimesh

    where = ""
    if isinstance(source, (str, Path)):
        path = Path(source)
        where = f" {str(path)!r}"
        if not path.is_file():
            raise ModelError(f"shape {name!r}: there is no mesh file{where}")
        if path.stat().st_size == 0:
            raise ModelError(f"shape {name!r}: the mesh file{where} is empty")
        try:
            source = trimesh.load(path, process=False)  # processing would drop vertices that are not finite
        except Exception as error:  # trimesh's readers raise the errors of their parsers
            raise ModelError(
                f"shape {name!r}: trimesh cannot read{where} ({type(error).__name__}: {error}); "
                "give an OBJ, STL, PLY or GLB file"
            ) from error
    if isinstance(source, trimesh.Scene):
        parts = [g for g in source.dump() if isinstance(g, trimesh.Trimesh)]
        source = trimesh.util.concatenate(parts) if parts else trimesh.Trimesh()
    if isinstance(source, trimesh.PointCloud):
        raise ModelError(f"shape {name!r}: the mesh{where} has points and no faces; give its points to add_convex")
    if not isinstance(source, trimesh.Trimesh):
        raise ModelError(
            f"shape {name!r}: expected a path or an object of trimesh, got {type(source).__name__}; "
            "for bare points use add_convex"
        )
    if len(source.vertices) == 0 or len(source.faces) == 0:
        raise ModelError(f"shape {name!r}: the mesh{where} has no faces; is the file whole, and a mesh?")
    mesh = trimesh.Trimesh(np.asarray(source.vertices, dtype=np.float64) * scale, source.faces, process=False)
    bad = ~np.isfinite(mesh.vertices).all(axis=1)
    if bad.any():
        raise ModelError(
            f"vertices of shape {name!r} must be finite; vertex {np.flatnonzero(bad)[0]} of the mesh is not"
        )
    mesh.merge_vertices()  # STL files repeat a vertex in every face
    return mesh


def check_closed(mesh: trimesh.Trimesh, name: str, way_out: str) -> None:
    """Raise a ModelError if an edge of the mesh does not have exactly two faces."""
    if mesh.is_watertight:
        return
    _, faces = np.unique(mesh.edges_sorted, axis=0, return_counts=True)
    one, many = int((faces == 1).sum()), int((faces > 2).sum())
    if one:
        more = f", and {many} more than two" if many else ""
        raise ModelError(
            f"the mesh of shape {name!r} is open: {one} of its {len(faces)} edges have one face{more}. Close it "
            f"(trimesh.repair.fill_holes closes small holes), or {way_out}"
        )
    raise ModelError(
        f"the mesh of shape {name!r} has no holes, but {many} of its {len(faces)} edges have more than two faces: "
        "several bodies that touch each other, walls inside, or faces given twice. Add the closed bodies one by one "
        f"(mesh.split() of trimesh returns them, {len(mesh.split())} here), remove the surplus faces, or {way_out}"
    )


def check_size(mesh: trimesh.Trimesh, name: str) -> None:
    """Warn of a mesh without a given scale that is so large that its file is likely in millimetres."""
    size = np.ptp(mesh.vertices, axis=0)
    if size.max() > LARGE:
        warnings.warn(
            f"the mesh of shape {name!r} is {size.max():.4g} m long ({' x '.join(f'{x:.4g}' for x in size)} m), in "
            "metres. Mesh files are mostly in millimetres: pass scale=1e-3, or scale=1.0 if metres are meant",
            SimulationWarning,
            stacklevel=4,
        )


def check_filled(mesh: trimesh.Trimesh, name: str, hull: float) -> None:
    """Warn if the hull of a closed mesh, of volume ``hull`` [m^3], fills hollows of the mesh."""
    if not mesh.is_watertight:
        return
    if not mesh.is_winding_consistent:
        warnings.warn(
            f"the faces of the mesh of shape {name!r} do not all wind the same way round, so its volume is unknown, "
            "and whether its hull fills hollows; trimesh.repair.fix_normals(mesh) repairs that",
            SimulationWarning,
            stacklevel=4,
        )
        return
    volume = abs(float(mesh.volume))
    if hull > (1.0 + FILLED) * volume:
        warnings.warn(
            f"the mesh of shape {name!r} is concave, and the shape is its convex hull: hollows are filled, "
            f"{1e6 * hull:.4g} cm^3 instead of {1e6 * volume:.4g} cm^3, in contact and in mass. Use "
            "add_decomposed_mesh for convex parts, or, if the hull is meant, add_convex with the mesh's vertices",
            SimulationWarning,
            stacklevel=4,
        )


def check_wound(mesh: trimesh.Trimesh, name: str) -> None:
    """Raise a ModelError if the winding of a closed mesh does not define its inside."""
    if not mesh.is_winding_consistent or mesh.volume <= 0.0:
        fault = "do not all wind the same way round" if not mesh.is_winding_consistent else "wind inside out"
        raise ModelError(
            f"the faces of the mesh of shape {name!r} {fault} (its volume comes out as {1e6 * mesh.volume:.4g} cm^3), "
            "so there is no inside to cut into parts; trimesh.repair.fix_normals(mesh) repairs that"
        )


def convex_parts(
    mesh: trimesh.Trimesh, name: str, *, threshold: float, max_parts: int | None, max_vertices: int, seed: int
) -> list[np.ndarray]:
    """Vertices of convex parts that make up a closed mesh [m], by CoACD (Wei et al., SIGGRAPH 2022, arXiv:2205.02961).

    Raises:
        ModelError: The package ``coacd`` is not installed, or finds no parts.
    """
    try:
        import coacd
    except ImportError:
        raise ModelError(
            f"shape {name!r}: cutting a mesh into convex parts needs the package coacd; "
            "pip install 'carom[decomposition]' (or coacd), or add convex parts one by one with add_convex"
        ) from None
    coacd.set_log_level("error")
    parts = coacd.run_coacd(
        coacd.Mesh(np.asarray(mesh.vertices, dtype=np.float64), np.asarray(mesh.faces, dtype=np.int32)),
        threshold=threshold, max_convex_hull=max_parts or -1, max_ch_vertex=max_vertices, decimate=True, seed=seed,
    )  # fmt: skip
    if not parts:
        raise ModelError(f"shape {name!r}: coacd found no convex parts; is the mesh a closed surface?")
    return [np.asarray(vertices, dtype=np.float64) for vertices, _ in parts]
