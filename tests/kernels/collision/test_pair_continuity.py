"""The force of all contacts of a pair as the pose moves: jumps are searched for by bisection and must not be there.

The force is sum over contacts of weight * max(margin - gap, 0) * normal, and its torque. Each motion is cut into
intervals; every interval is bisected, in all worlds at once, towards the half in which the force changes more. The
change of a continuous function shrinks with the interval, a jump stays.
"""

import numpy as np
import pytest
import warp as wp

from carom.kernels.core.shape_types import ShapeType

from . import feature_reference as ref

PLANE, SPHERE, CAPSULE, BOX, *_ = (int(t) for t in ShapeType)
DEVICES = [str(d) for d in wp.get_devices()]
INTERVALS = 60
HALVINGS = 26


def wrench(contacts, margin):
    """Force and torque on the second shape, [worlds, 6]."""
    push = np.where(contacts.listed, contacts.weight * np.maximum(margin - contacts.gap, 0), 0.0)
    toward_second = np.where(contacts.shape_a == 0, 1.0, -1.0)
    force = (push * toward_second)[..., None] * contacts.normal
    middle = 0.5 * (contacts.point_a + contacts.point_b)
    return np.concatenate([force.sum(axis=1), np.cross(middle, force).sum(axis=1)], axis=1)


def find_jumps(pair, pose_at, worlds, margin, intervals=INTERVALS):
    """Size of the largest jump of the wrench of each motion, where it is, and the largest wrench.

    ``pose_at(t)`` gives poses [worlds, 2, 7] at times t [worlds] in [0, 1].
    """

    def wrench_at(t):
        features, contacts = pair.detect(pose_at(t), margin)
        assert features.needed.numpy().max() <= pair.capacity
        return wrench(contacts, margin)

    samples = np.array([wrench_at(np.full(worlds, t)) for t in np.linspace(0, 1, intervals + 1)])
    biggest, where = np.zeros(worlds), np.zeros(worlds)
    # The intervals that change most, as far as a jump could hide in them.
    changes = np.abs(np.diff(samples, axis=0)).max(axis=2)
    order = np.argsort(-changes, axis=0)
    for k in range(8):
        low, high = order[k] / intervals, (order[k] + 1) / intervals
        world = np.arange(worlds)
        f_low, f_high = samples[order[k], world], samples[order[k] + 1, world]
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            f = wrench_at(middle)
            left = np.abs(f - f_low).max(axis=1) > np.abs(f_high - f).max(axis=1)
            low, high = np.where(left, low, middle), np.where(left, middle, high)
            f_low, f_high = np.where(left[:, None], f_low, f), np.where(left[:, None], f, f_high)
        jump = np.abs(f_high - f_low).max(axis=1)
        where = np.where(jump > biggest, low, where)
        biggest = np.maximum(biggest, jump)
    return biggest, where, np.abs(samples).max()


def smooth_motions(rng, worlds, centre, spread, turn):
    """Random smooth motions of the second shape about the first; the first turns as well."""
    amplitude = rng.normal(size=(4, worlds, 3))
    start = ref.random_quaternions(rng, 2 * worlds).reshape(2, worlds, 4)
    phase = rng.uniform(0, 2 * np.pi, worlds)

    def rotation(axis, angle):
        return np.concatenate([axis * np.sin(angle)[:, None], np.cos(angle)[:, None]], axis=1)

    axes = amplitude[2:] / np.linalg.norm(amplitude[2:], axis=2, keepdims=True)

    def pose_at(t):
        q = np.zeros((worlds, 2, 7))
        q[:, 1, :3] = centre + spread * (
            amplitude[0] * np.sin(3 * t + phase)[:, None] + amplitude[1] * np.cos(2 * t - phase)[:, None]
        )
        q[:, 0, 3:] = ref.multiply(rotation(axes[0], turn * t), start[0])
        q[:, 1, 3:] = ref.multiply(rotation(axes[1], turn * np.sin(2 * t)), start[1])
        return q

    return pose_at


SMOOTH = {
    "plane-sphere": ((PLANE, SPHERE), [[0, 0, 0], [0.1, 0, 0]]),
    "plane-capsule": ((PLANE, CAPSULE), [[0, 0, 0], [0.1, 0.2, 0]]),
    "plane-box": ((PLANE, BOX), [[0, 0, 0], [0.1, 0.2, 0.15]]),
    "sphere-sphere": ((SPHERE, SPHERE), [[0.3, 0, 0], [0.2, 0, 0]]),
    "sphere-capsule": ((SPHERE, CAPSULE), [[0.2, 0, 0], [0.1, 0.3, 0]]),
    "sphere-box": ((SPHERE, BOX), [[0.3, 0, 0], [0.1, 0.2, 0.15]]),
    "capsule-capsule": ((CAPSULE, CAPSULE), [[0.1, 0.2, 0], [0.1, 0.3, 0]]),
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", SMOOTH)
def test_force_is_continuous(name, device):
    types, sizes = SMOOTH[name]
    rng = np.random.default_rng(len(name))
    worlds = 150
    pair = ref.Pair(types, sizes, wp.float64, device)
    pose_at = smooth_motions(rng, worlds, np.zeros(3), 0.3, 1.0)
    jump, _, scale = find_jumps(pair, pose_at, worlds, margin=0.1)
    # Where cores touch or enter one another the normal is not defined, or flips between faces: leave those motions out.
    if types[0] != PLANE:
        deepest = np.full(worlds, np.inf)
        for t in np.linspace(0, 1, 4 * INTERVALS):
            _, contacts = pair.detect(pose_at(np.full(worlds, t)), 0.1)
            deepest = np.minimum(deepest, np.where(contacts.listed, contacts.gap, np.inf).min(axis=1))
        radii = sum(sizes[i][0] for i in range(2) if types[i] != BOX)
        jump = jump[deepest > -0.9 * radii]
    assert len(jump) > worlds / 4
    assert scale > 0.05
    assert jump.max() < 1e-6 * scale


def small_rotation(v):
    """Quaternions of rotations by about the vectors v [worlds, 3]."""
    q = np.concatenate([np.sin(v / 2), np.ones((len(v), 1))], axis=1)
    return q / np.linalg.norm(q, axis=1, keepdims=True)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("half_length", [0.3, 0.08])
def test_upright_capsule_passes_a_vertical_edge_without_a_jump(half_length, device):
    """A capsule parallel to a box's edge, longer or shorter than it, slides along a face and past the edge."""
    rng = np.random.default_rng(5)
    worlds = 100
    height, depth = 0.1 * rng.normal(size=worlds), rng.uniform(0.14, 0.2, worlds)
    pair = ref.Pair((CAPSULE, BOX), [[0.1, half_length, 0], [0.1, 0.1, 0.15]], wp.float64, device)

    def pose_at(t):
        q = np.zeros((worlds, 2, 7))
        q[..., 6] = 1
        q[:, 0, :3] = np.stack([depth + 0.01 * np.sin(3 * t), 0.3 * t, height + 0.05 * t], axis=1)
        return q

    jump, _, scale = find_jumps(pair, pose_at, worlds, margin=0.005)
    assert scale > 0.03
    assert jump.max() < 1e-6 * scale


@pytest.mark.parametrize("device", DEVICES)
def test_capsule_on_a_box_keeps_its_force_as_it_hangs_over_and_rocks(device):
    """A capsule lies on a box, slides along itself until most of it hangs over the edge, and rocks meanwhile."""
    rng = np.random.default_rng(6)
    worlds = 100
    pair = ref.Pair((CAPSULE, BOX), [[0.1, 0.2, 0], [0.2, 0.15, 0.15]], wp.float64, device)
    r = rng.normal(size=(4, worlds))
    lying = np.tile([np.sin(np.pi / 4), 0, 0, np.cos(np.pi / 4)], (worlds, 1))

    def pose_at(t):
        q = np.zeros((worlds, 2, 7))
        q[..., 6] = 1
        rock = np.stack([0.05 * r[0] * np.sin(3 * t), 0 * t, 0.1 * r[1]], axis=1)
        q[:, 0, 3:] = ref.multiply(small_rotation(rock), lying)
        q[:, 0, :3] = np.stack([0.02 * r[2], 0.3 * t, 0.245 + 0.003 * np.cos(2 * t)], axis=1)
        return q

    jump, _, scale = find_jumps(pair, pose_at, worlds, margin=0.005)
    assert scale > 0.01
    assert jump.max() < 1e-6 * scale


@pytest.mark.parametrize("device", DEVICES)
def test_capsule_box_jumps_are_rare_and_small_at_random(device):
    """They come where the axis leaves a face across its corner: see the docstring of ``pairs/capsule_box.py``."""
    rng = np.random.default_rng(7)
    worlds = 400
    pair = ref.Pair((CAPSULE, BOX), [[0.1, 0.2, 0], [0.1, 0.2, 0.15]], wp.float64, device)
    pose_at = smooth_motions(rng, worlds, np.zeros(3), 0.35, 1.0)
    jump, _, scale = find_jumps(pair, pose_at, worlds, margin=0.02)
    deepest = np.full(worlds, np.inf)
    for t in np.linspace(0, 1, 4 * INTERVALS):
        _, contacts = pair.detect(pose_at(np.full(worlds, t)), 0.02)
        deepest = np.minimum(deepest, np.where(contacts.listed, contacts.gap, np.inf).min(axis=1))
    touching = (deepest > -0.08) & (deepest < 0)
    assert touching.sum() > 20
    assert jump[touching].max() < 0.02 * scale
    assert (jump[touching] < 1e-6 * scale).mean() > 0.7


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("lower", "tilt"), [([0.2, 0.2, 0.1], 0.03), ([0.1, 0.1, 0.1], 0.003)])
def test_stacked_boxes_keep_their_force_as_corners_come_and_go(lower, tilt, device):
    """A box tilts, turns and shifts on a larger and on an equal one, whose outline cuts its corners."""
    rng = np.random.default_rng(8)
    worlds = 100
    upper = [0.08, 0.08, 0.1] if lower[0] > 0.1 else lower
    pair = ref.Pair((BOX, BOX), [lower, upper], wp.float64, device)
    r, sink = rng.normal(size=(4, worlds, 3)), rng.uniform(-0.004, 0, worlds)

    def pose_at(t):
        q = np.zeros((worlds, 2, 7))
        q[..., 6] = 1
        turn = tilt * (r[0] * np.sin(3 * t)[:, None] + r[1] * np.cos(2 * t)[:, None])
        turn[:, 2] = r[0, :, 2] + r[1, :, 2] * t
        q[:, 1, 3:] = small_rotation(turn)
        q[:, 1, :3] = 0.02 * (r[2] * np.sin(2 * t)[:, None] + r[3] * np.cos(3 * t)[:, None])
        q[:, 1, 2] = 0.2 + sink
        return q

    jump, _, scale = find_jumps(pair, pose_at, worlds, margin=0.002)
    assert jump.max() < 1e-6 * scale
