"""The detection margin follows the speeds of the bodies; worlds and pairs do not see one another."""

import itertools

import numpy as np
import pytest
import warp as wp

from carom.kernels.detect import detect
from carom.kernels.features import Features
from carom.kernels.precision import precision
from carom.kernels.shapes import ShapeType

PLANE, SPHERE, CAPSULE, BOX, *_ = (int(t) for t in ShapeType)
DEVICES = [str(d) for d in wp.get_devices()]

devices_and_dtypes = pytest.mark.parametrize(
    ("dtype", "device"), list(itertools.product([wp.float32, wp.float64], DEVICES))
)


def count_contacts(dtype, device, velocities, gaps, gravity=0.0, **options):
    """Contacts of one sphere (radius 0.1 m) over the ground and another beside it, in one world per row."""
    p, worlds = precision(dtype), len(velocities)
    q = np.zeros((worlds, 2, 7))
    q[..., 6] = 1
    q[:, 0, 2] = 0.1 + gaps
    q[:, 1, :3] = [0, 0, 5.0]
    q[:, 1, 2] += gaps
    features = Features.allocate(worlds, 4, dtype, device)

    def array(values, kind):
        return wp.array(values, dtype=kind, device=device)

    detect(
        dtype,
        pairs=array([[0, 1], [0, 2], [1, 2]], wp.vec2i),
        shape_type=array([PLANE, SPHERE, SPHERE], wp.int32),
        shape_body=array([-1, 0, 1], wp.int32),
        shape_size=array(np.tile([[0, 0, 0], [0.1, 0, 0], [0.1, 0, 0]], (worlds, 1, 1)), p.vec3),
        shape_pose=array(np.tile([0, 0, 0, 0, 0, 0, 1.0], (3, 1)), p.transform),
        gravity=array(np.tile([0, 0, -gravity], (worlds, 1)), p.vec3),
        body_q=array(q, p.transform),
        body_v=array(velocities, p.spatial),
        features=features,
        device=device,
        **options,
    )
    assert features.needed.numpy().tolist() == features.count.numpy().tolist()
    return features.count.numpy().tolist()


@devices_and_dtypes
def test_margin_grows_with_approach_speed_and_spin(dtype, device):
    # Linear 3 m/s on one body; angular 10 rad/s at a radius of 0.1 m on the other, so 4 m/s in all.
    v = np.zeros((6, 2, 6))
    v[1:, 0, 0] = 3.0
    v[3:, 1, 5] = 10.0
    gaps = np.array([0.0101, 0.0399, 0.0401, 0.0499, 0.0501, 0.0601])
    counts = count_contacts(dtype, device, v, gaps, margin=0.01, reach=0.01, step=0.1)
    assert counts == [0, 1, 0, 1, 0, 0]
    counts = count_contacts(dtype, device, v, gaps, gravity=10.0, margin=0.01, reach=0.01, step=0.1)
    assert counts == [1, 1, 1, 1, 1, 0]


@devices_and_dtypes
def test_what_moves_together_does_not_widen_the_margin(dtype, device):
    # both at 3 m/s: no faster towards each other than towards the ground, which stands still; then against each other
    v = np.zeros((4, 2, 6))
    v[:, 0, 0] = 3.0
    v[:2, 1, 0] = 3.0
    v[2:, 1, 0] = -3.0
    gaps = np.array([0.0399, 0.0401, 0.0699, 0.0701])
    counts = count_contacts(dtype, device, v, gaps, margin=0.01, reach=0.01, step=0.1)
    assert counts == [1, 0, 1, 0]


@devices_and_dtypes
def test_count_is_reset_and_needed_is_kept(dtype, device):
    options = {"margin": 0.01, "reach": 0.0, "step": 0.01}
    near = count_contacts(dtype, device, np.zeros((3, 2, 6)), np.array([0.0, 0.02, 0.009]), **options)
    assert near == [1, 0, 1]
