"""The force of all contacts of a pair as the pose moves: jumps are searched for by bisection and must not be there.

The force is sum over contacts of weight * max(margin - gap, 0) * normal, and its torque. Each motion is cut into
intervals; every interval is bisected, in all worlds at once, towards the half in which the force changes more. What a
continuous function changes by shrinks with the interval, a jump stays.
"""

import numpy as np
import pytest
import warp as wp

from carom.kernels.shapes import ShapeType

from . import feature_reference as ref

PLANE, SPHERE, CAPSULE, BOX = (int(t) for t in ShapeType)
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
    for k in range(12):
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
