"""A scene in perspective by polygons, the farther ones first: milliseconds a picture, with no kernel to compile.

For pictures while something runs; ``perspective`` casts rays, which takes longer and makes shadows on bodies too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image, ImageDraw

from ..kernels.raycast import AMBIENT, LIGHT
from .camera import Camera
from .colors import GOAL
from .meshes import surface
from .outlines import Solid, rotate

__all__ = ["Painter"]

_FINE = 2
"""Pixels drawn along each side of one that is shown."""
_TABLE, _LINE, _SHADOW = (250, 250, 248), (226, 226, 224), (206, 206, 204)
_LIGHT = np.array(LIGHT) / np.linalg.norm(LIGHT)
_AROUND = 24


class Painter:
    """Convex solids over a level table, from one camera.

    Args:
        solids: Solids to draw.
        colors: Colours of each of them, as matplotlib takes colours.
        camera: Camera; it shows the table only, not the horizon.
        height: Height of the table [m].
        cell: Spacing of the lines on it [m].
    """

    def __init__(self, solids: Sequence[Solid], colors: Sequence[str], camera: Camera, height: float, cell: float):
        self.solids, self.height = list(solids), height
        self.camera = Camera(camera.position, camera.target, camera.fov, _FINE * camera.width, _FINE * camera.height)
        self._paint = [np.array(to_rgb(color)) for color in colors]
        self._surfaces = [surface(solid) for solid in self.solids]
        self._normals = [_normals(vertices, faces) for vertices, faces in self._surfaces]
        self._table = self._empty(cell)

    def picture(
        self, poses: np.ndarray, goal: np.ndarray | None = None, paths: Sequence[np.ndarray] = ()
    ) -> np.ndarray:
        """The bodies at ``poses`` [B, 7] (position [m], quaternion xyzw), uint8 [height, width, 3].

        Args:
            poses: Poses of the bodies.
            goal: Outline of a goal on the table [n, 2], m; its edge shows through the bodies.
            paths: Lines [n, 3], m, drawn over the bodies.
        """
        image = self._table.copy()
        draw = ImageDraw.Draw(image)
        outline = None if goal is None else self._on_table(np.asarray(goal, dtype=float))
        if outline is not None:
            draw.polygon(_flat(outline), fill=GOAL[0])
        places = [_place(solid, poses) for solid in self.solids]
        worlds = [
            rotate(pose[3:], vertices) + pose[:3] for (vertices, _), pose in zip(self._surfaces, places, strict=True)
        ]
        for number, vertices in enumerate(worlds):
            self._shade(draw, number, vertices, places[number])
        if outline is not None:
            draw.line(_flat(np.concatenate([outline, outline[:1]])), fill=GOAL[1], width=2 * _FINE)
        turned = [rotate(pose[3:], normal) for normal, pose in zip(self._normals, places, strict=True)]
        for number in self._order(worlds, turned, places):
            self._solid(draw, number, worlds[number], turned[number])
        if outline is not None:
            draw.line(_flat(np.concatenate([outline, outline[:1]])), fill=GOAL[1], width=_FINE)
        for path in paths:
            seen = self.camera.project(path)
            if np.isfinite(seen).all():
                draw.line(_flat(seen), fill=(70, 70, 70), width=_FINE)
        return np.asarray(image.reduce(_FINE))

    def _empty(self, cell: float) -> Image.Image:
        """The table with its lines."""
        image = Image.new("RGB", (self.camera.width, self.camera.height), _TABLE)
        draw = ImageDraw.Draw(image)
        right, down, ahead = self.camera.axes()
        x, y = 0.5 * self.camera.width, 0.5 * self.camera.height
        corners = [self.camera.focal * ahead + i * x * right + j * y * down for i in (-1, 1) for j in (-1, 1)]
        drop = self.camera.position[2] - self.height
        ground = np.array([self.camera.position + ray * (drop / -ray[2]) for ray in corners])[:, :2]
        (x0, y0), (x1, y1) = (np.floor(ground.min(axis=0) / cell), np.ceil(ground.max(axis=0) / cell))
        lines = [[(i, y0), (i, y1)] for i in np.arange(x0, x1 + 1)] + [
            [(x0, j), (x1, j)] for j in np.arange(y0, y1 + 1)
        ]
        for line in lines:
            draw.line(_flat(self._on_table(cell * np.array(line))), fill=_LINE, width=_FINE)
        return image

    def _on_table(self, points: np.ndarray) -> np.ndarray:
        return self.camera.project(np.column_stack([points, np.full(len(points), self.height)]))

    def _shade(self, draw: ImageDraw.ImageDraw, number: int, vertices: np.ndarray, pose: np.ndarray) -> None:
        """The shadow on the table."""
        solid = self.solids[number]
        if solid.radius > 0.0:  # as that of its spheres' outlines towards the light
            side = np.cross(_LIGHT, [0.0, 0.0, 1.0])
            side /= np.linalg.norm(side)
            turn = np.linspace(0.0, 2.0 * np.pi, _AROUND, endpoint=False)[:, None]
            ring = solid.radius * (np.cos(turn) * side + np.sin(turn) * np.cross(_LIGHT, side))
            centres = rotate(pose[3:], solid.points) + pose[:3]
            groups = [centre + ring for centre in centres]
            if len(centres) == 2:
                groups += [
                    np.array([centres[0] + ring[i], centres[1] + ring[i], centres[1] + ring[j], centres[0] + ring[j]])
                    for i, j in zip(range(_AROUND), [*range(1, _AROUND), 0], strict=True)
                ]
        else:
            groups = list(vertices[self._surfaces[number][1]])
        points = np.concatenate(groups)
        lift = np.maximum(points[:, 2:] - self.height, 0.0)
        seen = self._on_table((points - _LIGHT * (lift / _LIGHT[2]))[:, :2])
        ends = np.cumsum([len(group) for group in groups])
        for shadow in np.split(seen, ends[:-1]):
            draw.polygon(_flat(shadow), fill=_SHADOW)

    def _solid(self, draw: ImageDraw.ImageDraw, number: int, vertices: np.ndarray, normals: np.ndarray) -> None:
        """Faces of a solid that face the camera."""
        faces = self._surfaces[number][1]
        facing = np.einsum("ij,ij->i", vertices[faces[:, 0]] - self.camera.position, normals) < 0.0
        seen = self.camera.project(vertices)
        lit = AMBIENT + (1.0 - AMBIENT) * np.maximum(normals @ _LIGHT, 0.0)
        shades = np.clip(255.0 * lit[:, None] * self._paint[number], 0.0, 255.0).astype(int)
        corners = seen[faces[facing]]
        if np.isfinite(corners).all():  # nothing of it is behind the camera
            for corner, shade in zip(corners.reshape(len(corners), -1).tolist(), shades[facing].tolist(), strict=True):
                draw.polygon(corner, fill=tuple(shade))

    def _order(self, worlds: list[np.ndarray], normals: list[np.ndarray], poses: list[np.ndarray]) -> list[int]:
        """The solids, each before those that hide it."""
        seen = [self.camera.project(vertices) for vertices in worlds]
        low, high = (np.array([pick(one, axis=0) for one in seen]) for pick in (np.nanmin, np.nanmax))
        centres = np.array([vertices.mean(axis=0) for vertices in worlds])
        far = np.argsort(-np.linalg.norm(centres - self.camera.position, axis=1))
        behind: list[set[int]] = [set() for _ in worlds]
        for a in range(len(worlds)):
            meets = (low[a] <= high).all(axis=1) & (low <= high[a]).all(axis=1)
            for b in np.flatnonzero(meets[a + 1 :]) + a + 1:
                first, second = (a, int(b)) if self._hides(int(b), a, worlds, normals, centres) else (int(b), a)
                behind[second].add(first)
        order: list[int] = []
        left = far.tolist()
        while left:
            free = next((one for one in left if behind[one].isdisjoint(left)), left[0])  # a circle has no order
            order.append(free)
            left.remove(free)
        return order

    def _hides(self, a: int, b: int, worlds: list[np.ndarray], normals: list[np.ndarray], centres: np.ndarray) -> bool:
        """Whether ``a`` is in front of ``b``: on the camera's side of a plane between them."""
        best, answer = -np.inf, False
        for one, other in ((a, b), (b, a)):
            if self.solids[one].radius > 0.0:
                continue
            normal = normals[one]
            offset = np.einsum("ij,ij->i", normal, worlds[one][self._surfaces[one][1][:, 0]])
            gap = (worlds[other] @ normal.T).min(axis=0) - offset
            face = int(gap.argmax())
            if gap[face] > best:
                outside = bool(normal[face] @ self.camera.position > offset[face])
                best, answer = float(gap[face]), outside == (other == a)
        if best == -np.inf:
            middle = 0.5 * (centres[a] + centres[b])
            return bool((self.camera.position - middle) @ (centres[a] - centres[b]) > 0.0)
        return answer


def _place(solid: Solid, poses: np.ndarray) -> np.ndarray:
    return np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]) if solid.body < 0 else poses[solid.body].astype(float)


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)  # type: ignore[no-any-return]


def _flat(points: np.ndarray) -> list[float]:
    return points.ravel().tolist()  # type: ignore[no-any-return]
