"""Evaluates contact features in numpy, straight from the table in ``kernels/collision/features.py``, and sets up pairs
of shapes.

Written for all contacts of all worlds at once, in float64, and independent of the Warp code.
"""

from dataclasses import dataclass

import numpy as np
import warp as wp

from carom.kernels.collision import edge_blend
from carom.kernels.collision import features as F  # noqa: N812
from carom.kernels.collision.broad_phase import NearArrays
from carom.kernels.collision.driver import detect
from carom.kernels.collision.features import Features
from carom.kernels.core import model_arrays
from carom.kernels.core.precision import precision
from carom.kernels.core.struct_arguments import filled


def rotation_matrices(quaternions):
    """Rotation matrices [..., 3, 3] of unit quaternions xyzw [..., 4]."""
    x, y, z, w = np.moveaxis(np.asarray(quaternions, dtype=np.float64), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


def random_quaternions(rng, count):
    q = rng.normal(size=(count, 4))
    return q / np.linalg.norm(q, axis=1, keepdims=True)


def multiply(p, q):
    """Quaternion product xyzw."""
    pv, pw, qv, qw = p[..., :3], p[..., 3:], q[..., :3], q[..., 3:]
    vector = pw * qv + qw * pv + np.cross(pv, qv)
    return np.concatenate([vector, pw * qw - np.sum(pv * qv, axis=-1, keepdims=True)], axis=-1)


@dataclass
class Contacts:
    """Contacts of the features at given poses. All arrays [worlds, capacity, ...]; ``listed`` masks the contacts."""

    listed: np.ndarray
    gap: np.ndarray
    normal: np.ndarray
    point_a: np.ndarray  # on a's core or plane
    point_b: np.ndarray  # on b's core
    weight: np.ndarray
    kind: np.ndarray
    share: np.ndarray
    shape_a: np.ndarray
    shape_b: np.ndarray


def _dot(a, b):
    return np.sum(a * b, axis=-1)


def _unit(a):
    length = np.linalg.norm(a, axis=-1, keepdims=True)
    return a / np.where(length > 0, length, 1)


def _across(a):
    """Two vectors of the length of ``a`` at right angles to it and to each other, right-handed."""
    helper = np.eye(3)[np.argmin(np.abs(a), axis=-1)]
    x = _unit(np.cross(a, helper))
    length = np.linalg.norm(a, axis=-1, keepdims=True)
    return x * length, np.cross(_unit(a), x) * length


def handed_over(t, w, code, poses, shape_body, gap):
    """Share of a contact of a pair between a polygon and crossing edges; see ``kernels/collision/edge_blend.py``."""
    first, crossing = code // 4, (code // 2) % 2
    pose_a, pose_b = (poses[shape_body[t[name][w, first]]] for name in ("shape_a", "shape_b"))
    turn_a, turn_b = rotation_matrices(pose_a[3:]), rotation_matrices(pose_b[3:])
    on_a, along_a, on_b, along_b, vertex, (sign, width, lowest) = t["blend_edges"][w, first].astype(np.float64)
    normal = sign * _unit(np.cross(turn_a @ along_a, turn_b @ along_b))
    edges = normal @ (turn_b @ on_b + pose_b[:3] - turn_a @ on_a - pose_a[:3])
    up = turn_a @ t["a1"][w, first].astype(np.float64)
    face = up @ (turn_b @ vertex + pose_b[:3] - turn_a @ t["a0"][w, first] - pose_a[:3])
    height = gap[first + int(lowest)]
    sine = np.linalg.norm(np.cross(normal, up))
    wins, tilted, off = (
        np.interp(x, [0, 1], [0, 1]) ** 2 * (3 - 2 * np.interp(x, [0, 1], [0, 1]))
        for x in (
            (edges - face) / (edge_blend.FACES * width),
            (sine - edge_blend.FLAT) / (edge_blend.OBLIQUE - edge_blend.FLAT),
            abs(height - max(edges, face)) / width - 0.5,
        )
    )
    part = 1 - (1 - wins * tilted) * (1 - off)
    return part if crossing else 1 - part


def evaluate(features, body_q, shape_body):
    """Gaps [m], normals, points [m] and weights of all contacts at the poses body_q [worlds, bodies, 7]."""
    t = {name: getattr(features, name).numpy() for name in features.__dataclass_fields__}
    count = t["count"]
    worlds, capacity = t["kind"].shape
    listed = np.arange(capacity) < count[:, None]
    kind, share = t["kind"], t["share"]

    fixed = np.tile(np.array([0, 0, 0, 0, 0, 0, 1.0]), (worlds, 1, 1))
    poses = np.concatenate([body_q, fixed], axis=1)  # body -1 is the world
    pose_a = np.take_along_axis(poses, (shape_body[t["shape_a"]] % poses.shape[1])[..., None], axis=1)
    pose_b = np.take_along_axis(poses, (shape_body[t["shape_b"]] % poses.shape[1])[..., None], axis=1)
    turn_a, turn_b = rotation_matrices(pose_a[..., 3:]), rotation_matrices(pose_b[..., 3:])

    def direction(name, turn):
        return np.einsum("wcij,wcj->wci", turn, t[name].astype(np.float64))

    a0 = direction("a0", turn_a) + pose_a[..., :3]
    b0 = direction("b0", turn_b) + pose_b[..., :3]
    a1, a2, s0 = (direction(name, turn_a) for name in ("a1", "a2", "s0"))
    b1, s1 = (direction(name, turn_b) for name in ("b1", "s1"))
    d = b0 - a0

    gap = np.zeros(kind.shape)
    normal, point_a, point_b = np.zeros_like(a0), a0.copy(), b0.copy()
    with np.errstate(divide="ignore", invalid="ignore"):
        m = listed & (kind == F.POINT)
        gap[m], normal[m] = np.linalg.norm(d[m], axis=-1), _unit(d[m])

        m = listed & (kind == F.LINE)
        along = _dot(d, a1)[..., None] * a1
        gap[m], normal[m] = np.linalg.norm((d - along)[m], axis=-1), _unit((d - along)[m])
        point_a[m] = (a0 + along)[m]

        m = listed & (kind == F.FLAT)
        gap[m], normal[m] = _dot(d, a1)[m], a1[m]
        point_a[m] = (b0 - _dot(d, a1)[..., None] * a1)[m]

        m = listed & (kind == F.CROSS)
        n = _unit(t["sign"][..., None] * np.cross(a1, b1))
        gap[m], normal[m] = _dot(n, d)[m], n[m]
        # The points where the common normal meets the two lines: d + y b1 - x a1 parallel to n.
        c, e, f = _dot(a1, b1), _dot(a1, d), _dot(b1, d)
        x, y = (e - c * f) / (1 - c * c), (c * e - f) / (1 - c * c)
        point_a[m], point_b[m] = (a0 + x[..., None] * a1)[m], (b0 + y[..., None] * b1)[m]

        m = listed & (kind == F.CLIP)
        point_b[m] = (b0 - (_dot(d, a2) / _dot(b1, a2))[..., None] * b1)[m]
        m = listed & (kind == F.DROP)
        point_b[m] = (a0 + (_dot(d, b1) / _dot(a1, b1))[..., None] * a1)[m]
        m = listed & (kind == F.RIM)
        # the rim's points at angles 0 and 90 degrees from some start; the lowest lies where the height's sum is least
        x, y = _across(b1)
        low = np.arctan2(-_dot(y, a1), -_dot(x, a1))
        angle = low + np.arctan2(t["a2"][..., 1], t["a2"][..., 0])
        point_b[m] = (b0 + x * np.cos(angle)[..., None] + y * np.sin(angle)[..., None])[m]
        m = listed & ((kind == F.CLIP) | (kind == F.DROP) | (kind == F.RIM))
        gap[m], normal[m] = _dot(point_b - a0, a1)[m], a1[m]
        point_a[m] = (point_b - gap[..., None] * normal)[m]

    gap = np.where(listed, gap - t["radius_a"] - t["radius_b"], 0.0)

    weight = t["weight"].astype(np.float64)
    cosine = _dot(s0, s1)
    sine2 = np.where(t["share_plane"] == 1, cosine**2, np.linalg.norm(np.cross(s0, s1), axis=-1) ** 2)
    crossed = sine2 / (sine2 + F.PARALLEL**2)
    weight = np.where(share == F.SHARE_CROSSED, weight * crossed, weight)
    weight = np.where(share == F.SHARE_PARALLEL, weight * (1 - crossed), weight)
    x = np.clip((sine2 - F.UPRIGHT**2) / (F.TILTED**2 - F.UPRIGHT**2), 0.0, 1.0)
    follow = x * x * (3.0 - 2.0 * x)
    weight = np.where(share == F.SHARE_RIM, weight * follow * (1.0 - sine2), weight)
    lowest = 1.0 / F.RIM_POINTS + (0.5 - 1.0 / F.RIM_POINTS) * sine2
    weight = np.where(share == F.SHARE_LOWEST, weight * F.RIM_POINTS * follow * lowest, weight)
    weight = np.where(share == F.SHARE_UPRIGHT, weight * (1.0 - follow), weight)
    w, c = np.nonzero(listed & (share == F.SHARE_POLYGON))
    start, number = t["patch_start"][w, c], t["patch_count"][w, c]
    following = start + (c - start + 1) % number
    preceding = start + (c - start - 1) % number
    length = np.zeros(kind.shape)  # of the polygon's edge from each corner to the next
    length[w, c] = np.linalg.norm(point_b[w, following] - point_b[w, c], axis=-1)
    perimeter = np.zeros(kind.shape)  # in the slot of the polygon's first corner
    np.add.at(perimeter, (w, start), length[w, c])
    weight[w, c] *= 0.5 * (length[w, c] + length[w, preceding]) / perimeter[w, start]
    for w, c in np.argwhere(listed & (t["blend"] >= 0)):
        weight[w, c] *= handed_over(t, w, t["blend"][w, c], poses[w], shape_body, gap[w])
    weight = np.where(listed, weight, 0.0)
    return Contacts(listed, gap, normal, point_a, point_b, weight, kind, share, t["shape_a"], t["shape_b"])


class Pair:
    """Two shapes on two bodies (a plane is static), at many poses at once."""

    def __init__(self, types, sizes, dtype, device, capacity=16, shape_pose=None, hulls=None):
        self.p, self.dtype, self.device, self.capacity = precision(dtype), dtype, device, capacity
        self.hulls = hulls
        self.types, self.sizes = types, np.asarray(sizes, dtype=np.float64)
        self.shape_body = np.array([-1 if types[0] == 0 else 0, 1], dtype=np.int32)
        self.shape_pose = np.tile([0, 0, 0, 0, 0, 0, 1.0], (2, 1)) if shape_pose is None else shape_pose

    def detect(self, body_q, margin, sizes=None):
        """Features and their meaning at the poses body_q [worlds, 2, 7]."""
        features = self.features(body_q, margin, sizes)
        return features, evaluate(features, np.asarray(body_q, dtype=np.float64), self.shape_body)

    def features(self, body_q, margin, sizes=None):
        """Features at the poses body_q [worlds, 2, 7]."""
        worlds = len(body_q)
        sizes = np.broadcast_to(self.sizes if sizes is None else sizes, (worlds, 2, 3))
        features = Features.allocate(worlds, self.capacity, self.dtype, self.device)
        zero = np.zeros((worlds, 2, 6))

        def array(values, dtype):
            return wp.array(values, dtype=dtype, device=self.device)

        simple = np.array([[0, 1]])[: 0 if self.hulls else 1]
        convex = np.array([[0, 1]])[: 1 if self.hulls else 0]
        pairs = tuple(array(x, wp.vec2i) for x in ((simple, convex) if self.hulls else (simple,)))
        detect(
            self.dtype,
            shapes=filled(
                model_arrays.make(self.dtype).Shapes,
                kind=array(self.types, wp.int32),
                body=array(self.shape_body, wp.int32),
                size=array(sizes, self.p.vec3),
                pose=array(self.shape_pose, self.p.transform),
            ),
            gravity=array(zero[:, 0, :3], self.p.vec3),
            body_q=array(body_q, self.p.transform),
            body_v=array(zero, self.p.spatial),
            margin=margin,
            look_ahead=array(np.zeros(worlds), self.dtype),
            step=0.01,
            near=NearArrays.allocate(worlds, 2, 2, pairs, self.dtype, self.device),
            features=features,
            hulls=self.hulls,
        )
        return features
