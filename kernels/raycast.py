"""Pictures by ray casting, on the CPU or a GPU, without a window or a graphics library.

A ray through each pixel meets the nearest triangle (Warp's mesh query) or the ground. The point that it meets is lit by
one distant light (Lambert's law) with its shadow, and by ambient light. Pixels that differ from a neighbour are then
cast again with rays in a regular grid, and averaged.
"""

from typing import Any

import numpy as np
import warp as wp

from ..kernel_cache import start_warp

__all__ = ["AMBIENT", "LIGHT", "cast_picture"]

wp.set_module_options({"enable_backward": False})  # pictures are not differentiated

LIGHT = (-0.37, -0.45, 0.81)
"""Direction of the light, a unit vector towards it."""
AMBIENT = 0.5
"""Part of the light that is ambient."""
_SHADOW = 0.8
"""Of the ground's colour, in shadow."""
_FAR = 1.0e6
"""[m]"""
_DIFFERENT = 0.04
"""Neighbours that differ more than this in a colour, of 1, are cast again."""
_FINE = 3
"""Rays along each side of such a pixel."""


@wp.struct
class _Ground:
    height: float
    cell: float  # spacing of the lines, <= 0: no ground
    centre: wp.vec2
    reach: float  # where the lines have faded
    goal: wp.array(dtype=wp.vec2)
    goal_face: wp.vec3
    goal_edge: wp.vec3


@wp.struct
class _Camera:
    position: wp.vec3
    right: wp.vec3  # across one pixel, at the distance of `ahead`
    down: wp.vec3
    ahead: wp.vec3  # to the middle of the picture's upper left corner pixel


@wp.func
def _ground_color(ground: _Ground, p: wp.vec3, pixel: float):
    """Of a point on the ground; lines are as wide as about a pixel there."""
    r = wp.length(wp.vec2(p[0], p[1]) - ground.centre)
    fade = wp.clamp(2.0 - 2.0 * r / ground.reach, 0.0, 1.0)
    u = wp.abs(p[0] / ground.cell - wp.round(p[0] / ground.cell)) * ground.cell
    v = wp.abs(p[1] / ground.cell - wp.round(p[1] / ground.cell)) * ground.cell
    line = wp.clamp(1.0 - wp.min(u, v) / pixel, 0.0, 1.0)
    color = wp.vec3(1.0, 1.0, 1.0) * (1.0 - 0.13 * line * fade)
    inside = int(0)
    nearest = float(_FAR)
    n = ground.goal.shape[0]
    for i in range(n):
        a = ground.goal[i]
        b = ground.goal[(i + 1) % n]
        x = wp.vec2(p[0], p[1])
        if (a[1] > x[1]) != (b[1] > x[1]):
            if x[0] < a[0] + (x[1] - a[1]) / (b[1] - a[1]) * (b[0] - a[0]):
                inside = 1 - inside
        edge = b - a
        along = wp.clamp(wp.dot(x - a, edge) / wp.max(wp.dot(edge, edge), 1.0e-12), 0.0, 1.0)
        nearest = wp.min(nearest, wp.length(x - a - along * edge))
    if nearest < 1.5 * pixel:
        color = ground.goal_edge
    elif inside == 1:
        color = ground.goal_face
    return color


@wp.func
def _seen(
    mesh: wp.uint64,
    normals: wp.array(dtype=wp.vec3),
    faces: wp.array2d(dtype=int),
    colors: wp.array(dtype=wp.vec3),
    ground: _Ground,
    camera: _Camera,
    light: wp.vec3,
    x: float,
    y: float,
):
    """Colour of the picture at a place in pixels."""
    ray = camera.ahead + x * camera.right + y * camera.down
    pixel = wp.length(camera.right) / wp.length(ray)
    ray = wp.normalize(ray)
    color = wp.vec3(1.0, 1.0, 1.0)
    hit = wp.mesh_query_ray(mesh, camera.position, ray, _FAR)
    distance = float(_FAR)
    if hit.result:
        distance = hit.t
        n = (
            hit.u * normals[faces[hit.face, 0]]
            + hit.v * normals[faces[hit.face, 1]]
            + (1.0 - hit.u - hit.v) * normals[faces[hit.face, 2]]
        )
        n = wp.normalize(n)
        lit = wp.max(wp.dot(n, light), 0.0)
        if lit > 0.0:
            start = camera.position + distance * ray + 1.0e-4 * distance * n
            shadow = wp.mesh_query_ray(mesh, start, light, _FAR)
            if shadow.result:
                lit = 0.0
        color = colors[hit.face] * (AMBIENT + (1.0 - AMBIENT) * lit)
    if ground.cell > 0.0 and ray[2] < 0.0:
        t = (ground.height - camera.position[2]) / ray[2]
        if t > 0.0 and t < distance:
            p = camera.position + t * ray
            color = _ground_color(ground, p, pixel * t / wp.max(-ray[2], 0.2))
            shadow = wp.mesh_query_ray(mesh, p + wp.vec3(0.0, 0.0, 1.0e-4 * t), light, _FAR)
            if shadow.result:
                color = color * _SHADOW
    return color


@wp.kernel
def _cast_kernel(
    mesh: wp.uint64,
    normals: wp.array(dtype=wp.vec3),
    faces: wp.array2d(dtype=int),
    colors: wp.array(dtype=wp.vec3),
    ground: _Ground,
    camera: _Camera,
    light: wp.vec3,
    picture: wp.array2d(dtype=wp.vec3),
):
    row, column = wp.tid()
    picture[row, column] = _seen(mesh, normals, faces, colors, ground, camera, light, float(column), float(row))


@wp.kernel
def _refine_kernel(
    mesh: wp.uint64,
    normals: wp.array(dtype=wp.vec3),
    faces: wp.array2d(dtype=int),
    colors: wp.array(dtype=wp.vec3),
    ground: _Ground,
    camera: _Camera,
    light: wp.vec3,
    where: wp.array2d(dtype=int),
    picture: wp.array2d(dtype=wp.vec3),
):
    i = wp.tid()
    row = where[i, 0]
    column = where[i, 1]
    total = wp.vec3(0.0, 0.0, 0.0)
    for a in range(_FINE):
        for b in range(_FINE):
            x = float(column) - 0.5 + (float(a) + 0.5) / float(_FINE)
            y = float(row) - 0.5 + (float(b) + 0.5) / float(_FINE)
            total += _seen(mesh, normals, faces, colors, ground, camera, light, x, y)
    picture[row, column] = total / float(_FINE * _FINE)


def cast_picture(
    vertices: np.ndarray,
    normals: np.ndarray,
    faces: np.ndarray,
    colors: np.ndarray,
    camera: dict[str, np.ndarray],
    ground: dict[str, Any] | None,
    width: int,
    height: int,
    device: str = "cpu",
) -> np.ndarray:
    """A picture of triangles over a ground, float32 [height, width, 3], colours from 0 to 1.

    Args:
        vertices: World frame [m], [n, 3].
        normals: Unit normals at the vertices, between which those of the faces are interpolated, [n, 3].
        faces: Int [m, 3].
        colors: Of the faces, 0 to 1, [m, 3].
        camera: ``position`` [m]; ``right`` and ``down``, from one pixel to the next at some distance; ``ahead``, from
            the camera to the centre of the upper left pixel at that distance; [3] each.
        ground: ``height`` [m], ``cell`` (spacing of its lines [m]), ``centre`` [2] and ``reach`` [m] (where they
            fade), ``goal`` [n, 2] (an outline [m], of no points for none), ``goal_face`` and ``goal_edge`` (colours);
            None for no ground.
        width: [pixels]
        height: [pixels]
        device: Where to compute.
    """
    start_warp()
    with wp.ScopedDevice(device):
        points = wp.array(np.ascontiguousarray(vertices, dtype=np.float32), dtype=wp.vec3)
        corners = np.ascontiguousarray(faces, dtype=np.int32)
        mesh = wp.Mesh(points=points, indices=wp.array(corners.reshape(-1), dtype=int))
        seen = _Camera()
        for name in ("position", "right", "down", "ahead"):
            setattr(seen, name, wp.vec3(*map(float, camera[name])))
        inputs = [
            mesh.id,
            wp.array(np.ascontiguousarray(normals, dtype=np.float32), dtype=wp.vec3),
            wp.array(corners, dtype=int),
            wp.array(np.ascontiguousarray(colors, dtype=np.float32), dtype=wp.vec3),
            _ground_struct(ground),
            seen,
            wp.vec3(*LIGHT),
        ]
        picture = wp.zeros((height, width), dtype=wp.vec3)
        wp.launch(_cast_kernel, dim=(height, width), inputs=inputs, outputs=[picture])
        where = np.argwhere(_uneven(picture.numpy())).astype(np.int32)
        if len(where):
            repeat = [*inputs, wp.array(where, dtype=int)]
            wp.launch(_refine_kernel, dim=len(where), inputs=repeat, outputs=[picture])
        return picture.numpy()  # type: ignore[no-any-return]


def _ground_struct(ground: dict[str, Any] | None) -> "_Ground":
    made = _Ground()
    given = ground or {}
    made.height, made.cell = float(given.get("height", 0.0)), float(given.get("cell", 0.0))
    made.centre, made.reach = wp.vec2(*given.get("centre", (0.0, 0.0))), float(given.get("reach", 1.0))
    made.goal = wp.array(
        np.asarray(given.get("goal", np.zeros((0, 2))), dtype=np.float32).reshape(-1, 2), dtype=wp.vec2
    )
    made.goal_face, made.goal_edge = (wp.vec3(*given.get(name, (1.0, 1.0, 1.0))) for name in ("goal_face", "goal_edge"))
    return made


def _uneven(picture: np.ndarray) -> np.ndarray:
    """Pixels that differ from a neighbour, bool [height, width]."""
    found = np.zeros(picture.shape[:2], dtype=bool)
    across = np.abs(np.diff(picture, axis=1)).max(axis=2) > _DIFFERENT
    down = np.abs(np.diff(picture, axis=0)).max(axis=2) > _DIFFERENT
    found[:, 1:] |= across
    found[:, :-1] |= across
    found[1:] |= down
    found[:-1] |= down
    return found
