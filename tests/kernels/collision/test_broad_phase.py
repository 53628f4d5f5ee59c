"""The detection margin of a pair follows the speeds of its bodies; what a step needs beyond it is seen after it."""

import itertools

import numpy as np
import pytest
import warp as wp

from carom.kernels.collision.broad_phase import ANEW, MORE, NearArrays, find_missed_pairs
from carom.kernels.collision.driver import detect
from carom.kernels.collision.features import Features
from carom.kernels.core import model_arrays
from carom.kernels.core.precision import precision
from carom.kernels.core.shape_types import ShapeType
from carom.kernels.core.struct_arguments import filled

PLANE, SPHERE, CAPSULE, BOX, *_ = (int(t) for t in ShapeType)
DEVICES = [str(d) for d in wp.get_devices()]

devices_and_dtypes = pytest.mark.parametrize(
    ("dtype", "device"), list(itertools.product([wp.float32, wp.float64], DEVICES))
)


class Scene:
    """Two spheres (radius 0.1 m), the first ``gaps`` over the ground, the second as far over it; a row a world."""

    def __init__(self, dtype, device, gaps, gravity=0.0):
        self.p, self.dtype, self.device, self.worlds = precision(dtype), dtype, device, len(gaps)
        q = np.zeros((self.worlds, 2, 7))
        q[..., 6] = 1
        q[:, 0, 2] = 0.1 + gaps
        q[:, 1, 2] = 0.3 + 2 * gaps
        self.q = self.array(q, self.p.transform)
        self.features = Features.allocate(self.worlds, 4, dtype, device)
        self.near = NearArrays.allocate(
            self.worlds, 2, 3, (self.array([[0, 1], [0, 2], [1, 2]], wp.vec2i),), dtype, device
        )
        self.gravity = self.array(np.tile([0, 0, -gravity], (self.worlds, 1)), self.p.vec3)
        self.shapes = filled(
            model_arrays.make(dtype).Shapes, kind=self.array([PLANE, SPHERE, SPHERE], wp.int32),
            body=self.array([-1, 0, 1], wp.int32),
            size=self.array(np.tile([[0, 0, 0], [0.1, 0, 0], [0.1, 0, 0]], (self.worlds, 1, 1)), self.p.vec3),
            pose=self.array(np.tile([0, 0, 0, 0, 0, 0, 1.0], (3, 1)), self.p.transform),
        )  # fmt: skip

    def array(self, values, kind):
        return wp.array(values, dtype=kind, device=self.device)

    def listed(self, v0, v1=None, *, margin, reach, step, every=True):
        """The pairs of shapes listed in each world, as strings."""
        v0 = self.array(np.broadcast_to(v0, (self.worlds, 2, 6)), self.p.spatial)
        v1 = None if v1 is None else self.array(np.broadcast_to(v1, (self.worlds, 2, 6)), self.p.spatial)
        detect(
            self.dtype, shapes=self.shapes, gravity=self.gravity, body_q=self.q, body_v=v0, body_v1=v1, margin=margin,
            look_ahead=self.array(np.full(self.worlds, reach), self.dtype), step=step, near=self.near,
            features=self.features, first_pass=every,
        )  # fmt: skip
        count = self.features.count.numpy()
        assert self.features.needed.numpy().max() == count.max()
        a, b = self.features.shape_a.numpy(), self.features.shape_b.numpy()
        pairs = [sorted(zip(a[w, :n], b[w, :n], strict=True)) for w, n in enumerate(count)]
        return [" ".join(f"{x}{y}" for x, y in row) for row in pairs]

    def marked(self, v1, *, reach, **_):
        """How a solution v1 sends worlds back to detection: not at all, for pairs without contacts, or for all."""
        find_missed_pairs(
            self.dtype, self.shapes, self.array(np.broadcast_to(v1, (self.worlds, 2, 6)), self.p.spatial),
            self.near, look_ahead=self.array(np.full(self.worlds, reach), self.dtype),
        )  # fmt: skip
        return self.near.repeat.numpy().tolist()


def velocities(first=(0, 0, 0), second=(0, 0, 0), spin=0.0):
    v = np.zeros((2, 6))
    v[0, :3], v[1, :3], v[1, 5] = first, second, spin
    return v


OPTIONS = {"margin": 0.01, "reach": 0.01, "step": 0.1}


@devices_and_dtypes
def test_margin_is_that_of_the_pair(dtype, device):
    # 3 m/s on the first body concern both of its pairs; a spin of 30 rad/s at 0.1 m on the second its only one
    scene = Scene(dtype, device, np.array([0.0099, 0.0101, 0.0399, 0.0401]))
    assert scene.listed(velocities(), **OPTIONS) == ["01 12", "", "", ""]
    assert scene.listed(velocities(first=(3, 0, 0)), **OPTIONS) == ["01 12", "01 12", "01 12", ""]
    assert scene.listed(velocities(spin=30.0), **OPTIONS) == ["01 12", "12", "12", ""]
    assert scene.listed(velocities(first=(3, 0, 0), second=(3, 0, 0)), **OPTIONS) == ["01 12", "01", "01", ""]


@devices_and_dtypes
def test_gravity_widens_the_margin_towards_what_is_static(dtype, device):
    scene = Scene(dtype, device, np.array([0.0099, 0.0101, 0.0399, 0.0401]), gravity=30.0)
    assert scene.listed(velocities(), **OPTIONS) == ["01 12", "01", "01", ""]


@devices_and_dtypes
def test_contacts_are_listed_for_known_velocities_after_the_step(dtype, device):
    scene = Scene(dtype, device, np.array([0.0099, 0.0101, 0.0399, 0.0401]))
    assert scene.listed(velocities(), velocities(first=(0, 0, 3)), **OPTIONS) == ["01 12", "01 12", "01 12", ""]


@devices_and_dtypes
def test_worlds_are_listed_again_where_a_solution_outruns_the_list(dtype, device):
    gaps = np.array([0.0099, 0.0101, 0.0299, 0.0301])
    scene = Scene(dtype, device, gaps)
    slow, fast = velocities(), velocities(first=(0, 0, 3))
    scene.listed(slow, **OPTIONS)
    # faster than anything looked for at the start: every world is listed anew
    assert scene.marked(fast, **OPTIONS) == [ANEW, ANEW, ANEW, ANEW]
    scene.listed(slow, fast, **OPTIONS)
    assert scene.marked(fast, **OPTIONS) == [0, 0, 0, 0]
    # as fast as the other body was at the start: only worlds in which the bounding spheres are within 3 cm, and only
    # their pairs without contacts unless the one that is too slow has some
    scene.listed(velocities(second=(2.9, 0, 0)), **OPTIONS)
    assert scene.marked(fast, **OPTIONS) == [ANEW, MORE, MORE, 0]


@devices_and_dtypes
def test_a_second_look_adds_what_the_first_one_left_out(dtype, device):
    scene = Scene(dtype, device, np.array([0.0099, 0.0101, 0.0299, 0.0301]))
    slow, fast = velocities(second=(2.9, 0, 0)), velocities(first=(0, 0, 3))
    assert scene.listed(slow, **OPTIONS) == ["01 12", "12", "12", "12"]
    scene.marked(fast, **OPTIONS)
    # what is marked is complete for the greater speed, and the order of what was there is kept
    assert scene.listed(slow, fast, every=False, **OPTIONS) == ["01 12", "01 12", "01 12", "12"]
    assert scene.features.shape_b.numpy()[1, :2].tolist() == [2, 1]
    assert scene.marked(fast, **OPTIONS) == [0, 0, 0, 0]


@devices_and_dtypes
def test_count_is_reset_and_needed_is_kept(dtype, device):
    scene = Scene(dtype, device, np.array([0.0, 0.02, 0.009]))
    options = {"margin": 0.01, "reach": 0.0, "step": 0.01}
    assert scene.listed(velocities(), **options) == ["01 12", "", "01 12"]
    scene.q.assign(np.roll(scene.q.numpy(), 1, axis=0))
    assert scene.listed(velocities(), **options) == ["01 12", "01 12", ""]
    assert scene.features.needed.numpy().tolist() == [2, 2, 2]
