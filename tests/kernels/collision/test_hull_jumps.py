"""Where the force of two hulls jumps as one rolls about on the other: every jump is a change of feature.

The force is sum over contacts of weight * max(margin - gap, 0) * normal, and its torque. Each motion is cut into
intervals, and every interval bisected, all at once, towards the half in which the force changes more.
"""

from collections import Counter

import numpy as np
import pytest
import warp as wp
from scipy.spatial import ConvexHull

from carom.kernels.collision import features as F  # noqa: N812

from . import feature_reference as ref
from .test_hull_pairs import HULLS, PAIRS, pair_of
from .test_pair_continuity import wrench

MOTIONS, INTERVALS, HALVINGS = 20, 50, 36
MARGIN, DEPTH = 0.001, 0.0005


def rolling(rng, names):
    """Motions of two radians, in each of which the second hull rolls and slides about on the first.

    The direction in which it is seen turns on a great circle, its orientation about an axis of its own. At the ends of
    the intervals it is DEPTH [m] nearer than where the two touch (a ray through their Minkowski difference, by Qhull).
    """
    start = ref.random_quaternions(rng, MOTIONS)
    axis, side, up = rng.normal(size=(3, MOTIONS, 3))
    side = np.cross(up, side)
    axis, side, up = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (axis, side, up))
    a, b = (HULLS[n].vertices for n in names)
    knots = np.linspace(0, 1, INTERVALS + 1)

    def turned(t):
        """Orientations and directions of sight at times [motions, times]."""
        motion, t = np.repeat(np.arange(MOTIONS), t.shape[1]), t.ravel()[:, None]
        q = ref.multiply(np.concatenate([axis[motion] * np.sin(t), np.cos(t)], axis=1), start[motion])
        return q, up[motion] * np.cos(2 * t) + side[motion] * np.sin(2 * t)

    far = []
    for q, u in zip(*turned(np.tile(knots, (MOTIONS, 1))), strict=True):
        faces = ConvexHull((b @ ref.rotation_matrices(q).T - a[:, None]).reshape(-1, 3)).equations
        along = faces[:, :3] @ u
        far.append((faces[along < 0, 3] / along[along < 0]).min() - DEPTH)
    far = np.array(far).reshape(MOTIONS, -1)

    def poses(t):
        """Poses [motions * times, 2, 7] at times [motions, times] in [0, 1]."""
        q = np.zeros((t.size, 2, 7))
        q[:, 0, 6] = 1
        q[:, 1, 3:], u = turned(t)
        q[:, 1, :3] = u * np.concatenate([np.interp(x, knots, y) for x, y in zip(t, far, strict=True)])[:, None]
        return q

    return poses


def feature_of(world, features, contacts, pose, meshes):
    """Features of the contacts of one world: kind, and the faces, or the edges and points, by number or place."""
    if not contacts.listed[world].any():
        return ("nothing",)
    first = contact_feature(world, 0, features, contacts, pose, meshes)
    last = contacts.listed[world].sum() - 1
    if features.blend.numpy()[world, last] < 0:
        return first
    second = contact_feature(world, last, features, contacts, pose, meshes)
    return ("both", *first, *second)


def contact_feature(world, c, features, contacts, pose, meshes):
    """Feature of one contact."""
    kind, a = int(contacts.kind[world, c]), int(contacts.shape_a[world, c])
    if contacts.share[world, c] == F.SHARE_POLYGON or kind in (F.CLIP, F.DROP):  # or a polygon of one corner
        local = [ref.rotation_matrices(q[3:]).T @ contacts.normal[world, c] for q in pose]
        faces = [int(np.argmax(m.normals @ x)) for m, x in zip(meshes, local, strict=True)]
        mesh, down = meshes[1 - a], local[1 - a]
        low = int(np.argmin(mesh.vertices @ down))
        around = [f for f in range(len(mesh.normals)) if low in mesh.loop[mesh.loop_start[f] : mesh.loop_start[f + 1]]]
        return ("polygon", a, faces[a], min(around, key=lambda f: mesh.normals[f] @ down))
    used = {F.POINT: "a0 b0", F.LINE: "a0 a1 b0", F.FLAT: "a0 a1 b0", F.CROSS: "a0 a1 b0 b1 sign"}[kind]
    place = [str(getattr(features, name).numpy()[world, c].round(6)) for name in used.split()]
    return ("edges" if kind == F.CROSS else "point", a, kind, *place)


@pytest.mark.parametrize("names", PAIRS)
def test_every_jump_is_a_change_of_feature(names):
    """The counts are in docs/contact.md: one jump in a radian or two, half a millimetre deep."""
    meshes = [HULLS[n] for n in names]
    pair, poses = pair_of(*names, wp.float64, "cpu"), rolling(np.random.default_rng(len(names[0])), names)

    def at(t):
        q = poses(t)
        features, contacts = pair.detect(q, MARGIN)
        return q, features, contacts, wrench(contacts, MARGIN).reshape(MOTIONS, -1, 6)

    times = np.tile(np.linspace(0, 1, INTERVALS + 1), (MOTIONS, 1))
    _, _, contacts, force = at(times)
    gap = np.where(contacts.listed, contacts.gap, np.inf).min(axis=1)
    assert gap.min() > -0.0012  # between DEPTH and what the tolerance of the choice of features adds
    assert (gap < MARGIN).mean() > 0.999
    scale = np.abs(force).max()
    low, high, f_low, f_high = times[:, :-1], times[:, 1:], force[:, :-1], force[:, 1:]
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        f = at(middle)[-1]
        left = np.abs(f - f_low).max(axis=2) > np.abs(f_high - f).max(axis=2)
        low, high = np.where(left, low, middle), np.where(left, middle, high)
        f_low, f_high = np.where(left[..., None], f_low, f), np.where(left[..., None], f, f_high)
    size = np.abs(f_high - f_low).max(axis=2).ravel() / scale
    jumps = np.flatnonzero(size > 1e-6)
    ends = [at(low)[:3], at(high)[:3]]
    kinds: Counter = Counter()
    for world in jumps:
        before, after = (feature_of(world, f, c, q[world], meshes) for q, f, c in ends)
        assert before != after, (before, size[world])
        kinds[" and ".join(sorted((before[0], after[0])))] += 1
    assert 0.01 < len(jumps) / size.size < 0.12  # 0.18 to 0.39 while polygon and edges excluded each other
    assert kinds["edges and polygon"] < 0.2 * len(jumps)
    assert "nothing" not in "".join(kinds)  # no contact appears or disappears with a force
