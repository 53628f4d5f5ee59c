"""The pile from above as an image: the part of each pixel that is covered by some piece."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from ...sim.scene.convex_hull import ConvexMesh
from .lyapunov import Square

__all__ = ["Occupancy"]

LARGEST = 2**24
"""Numbers in the largest array of one computation."""


class Occupancy:
    """Top-down occupancy images of convex pieces: parallel projection along z.

    Every pixel has ``samples`` x ``samples`` points on a regular grid, and its occupancy is the part of them above or
    below which there is a piece: a vertical line meets a convex body where the lower bounds that its faces put on z do
    not exceed the upper ones. The result is constant between the poses at which a point enters or leaves a piece, so
    that it has no useful derivative and is computed without one.

    Args:
        meshes: Hulls of the pieces about their centres of mass.
        view: The square on the table that the image shows.
        pixels: Pixels a side.
        samples: Points a side of a pixel.
    """

    def __init__(self, meshes: Sequence[ConvexMesh], view: Square, pixels: int = 32, samples: int = 4):
        self.view, self.pixels, self.samples = view, pixels, samples
        most = max(len(mesh.normals) for mesh in meshes)
        faces = np.zeros((len(meshes), most, 4))
        faces[..., 3] = 1.0  # padding: 0 z <= 1
        for i, mesh in enumerate(meshes):
            offset = np.einsum("fi,fi->f", mesh.normals, mesh.vertices[mesh.loop[mesh.loop_start[:-1]]])
            faces[i, : len(offset)] = np.column_stack([mesh.normals, offset])
        self._faces = faces
        self._radius = max(float(mesh.size[0]) for mesh in meshes)

    @torch.no_grad()
    def image(self, poses: torch.Tensor) -> torch.Tensor:
        """Occupancy [batch, pixels, pixels] in [0, 1] of poses [batch, n, 7]: row by y, column by x, both rising."""
        side = self.pixels * self.samples
        spacing = 2.0 * self.view.half_side / side
        window = 2 * math.ceil(self._radius / spacing) + 1
        offset = torch.arange(window, device=poses.device) - window // 2
        worlds = max(1, LARGEST // (window * window * self._faces[..., 0].size))  # at once
        images = [self._raster(q, side, spacing, offset) for q in poses.split(worlds)]
        fine = torch.cat(images).reshape(-1, self.pixels, self.samples, self.pixels, self.samples)
        return fine.to(poses.dtype).mean(dim=(2, 4))

    def _raster(self, poses: torch.Tensor, side: int, spacing: float, offset: torch.Tensor) -> torch.Tensor:
        """Whether each of side x side points is covered, bool [batch, side, side]: each piece in a window about it."""
        faces = torch.as_tensor(self._faces, dtype=poses.dtype, device=poses.device)
        corner = torch.tensor(self.view.centre, dtype=poses.dtype, device=poses.device) - self.view.half_side
        position, normal = poses[..., :3], _rotate(poses[..., None, 3:], faces[..., :3])
        middle = torch.floor((position[..., :2] - corner) / spacing).long()
        index = middle[..., None] + offset  # [batch, n, 2, window]
        point = corner[:, None] + (index + 0.5) * spacing - position[..., :2, None]
        # each face: normal . (x, y, z) <= offset, with z free
        flat = normal[..., 0, None, None] * point[:, :, None, 0, None, :]
        room = faces[..., 3, None, None] - flat - normal[..., 1, None, None] * point[:, :, None, 1, :, None]
        nz = normal[..., 2, None, None].expand_as(room)
        bound = room / nz
        high = torch.where(nz > 0.0, bound, math.inf).amin(dim=2)
        low = torch.where(nz < 0.0, bound, -math.inf).amax(dim=2)
        inside = (low <= high) & ((nz != 0.0) | (room >= 0.0)).all(dim=2)
        x, y = index[:, :, 0, None, :], index[:, :, 1, :, None]
        inside = inside & (x >= 0) & (x < side) & (y >= 0) & (y < side)
        flat_index = y.clamp(0, side - 1) * side + x.clamp(0, side - 1)
        covered = torch.zeros(len(poses), side * side, dtype=torch.int32, device=poses.device)
        covered.scatter_add_(1, flat_index.flatten(1), inside.flatten(1).int())
        return (covered > 0).reshape(-1, side, side)


def _rotate(q: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Vectors x [..., 3] turned by quaternions q [..., 4]."""
    q, x = torch.broadcast_tensors(q, torch.cat([x, x[..., :1]], dim=-1))
    v, w, x = q[..., :3], q[..., 3:], x[..., :3]
    t = 2.0 * torch.linalg.cross(v, x)
    return x + w * t + torch.linalg.cross(v, t)
