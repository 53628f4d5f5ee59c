"""Which pairs of shapes meet: collision groups and masks, excluded pairs, static shapes and bodies that are locked."""

import itertools

import numpy as np
import pytest
from scenes import run

from carom.sim import STATIC, ModelBuilder, ModelError


def test_pairs_follow_the_bits():
    rng = np.random.default_rng(0)
    groups, masks = (1 << rng.integers(0, 32, 40)), rng.integers(0, 1 << 32, 40)
    b = ModelBuilder()
    for group, mask in zip(groups, masks, strict=True):
        b.add_sphere(b.add_body(), 0.1, collision_group=int(group), collision_mask=int(mask))
    b.exclude(3, 17)
    pairs = {tuple(sorted(p)) for p in b.finalize().pairs.tolist()}
    wanted = {
        (i, j)
        for i, j in itertools.combinations(range(40), 2)
        if groups[i] & masks[j] and groups[j] & masks[i] and (i, j) != (3, 17)
    }
    assert pairs == wanted
    assert 0 < len(wanted) < 780  # of 780 pairs, a quarter passes both filters


def falling(**lower):
    """A ball above another, which rests on the ground; heights at the end."""
    b = ModelBuilder()
    b.add_ground()
    b.add_sphere(b.add_body(position=(0, 0, 0.1)), 0.1, **lower)
    b.add_sphere(b.add_body(position=(0, 0, 0.35)), 0.1)
    return run(b, steps=60, step=0.005).final.body_q[0, :, 2]


def test_filtered_shapes_pass_through_each_other():
    z = falling(collision_group=2, collision_mask=1)  # 2 & all and 1 & 1: everything meets
    assert abs(z[1] - 0.3) < 1e-3
    z = falling(collision_mask=2)  # nothing is of group 2, not even the ground: the lower ball falls freely
    drop = 9.81 * 0.005**2 * 60 * 61 / 2  # of symplectic Euler
    assert abs(z[0] - (0.1 - drop)) < 1e-12
    assert abs(z[1] - 0.1) < 1e-3


@pytest.mark.parametrize(
    ("option", "value", "match"),
    [
        ("collision_group", 1.0, "collision_group of shape 'box0' must be an integer whose bits name groups, got 1.0"),
        ("collision_mask", True, "collision_mask of shape 'box0' must be an integer .*got True"),
        ("collision_group", -1, "collision_group of shape 'box0' must fit into 32 bits .*got -1"),
        ("collision_mask", 1 << 32, "collision_mask of shape 'box0' must fit into 32 bits .*got 4294967296"),
    ],
)
def test_masks_that_are_none(option, value, match):
    b = ModelBuilder()
    with pytest.raises(ModelError, match=match):
        b.add_box(b.add_body(), (0.1, 0.1, 0.1), **{option: value})


@pytest.mark.parametrize("kind", ["box", "cylinder"])
def test_locked_body_is_as_good_as_a_static_shape(kind):
    """A box slides down a ramp that is STATIC, or carried by a body of any mass with all axes locked."""
    turn = (0.0, 0.2474039592545229, 0.0, 0.9689124217106447)  # 0.5 rad about y
    paths = []
    for locked in (False, True):
        b = ModelBuilder()
        ramp = b.add_body(position=(0, 0, -0.1), rotation=turn, locked="all") if locked else STATIC
        pose = {} if locked else {"position": (0, 0, -0.1), "rotation": turn}
        if kind == "box":
            b.add_box(ramp, (0.5, 0.5, 0.1), friction=0.3, **pose)
        else:
            b.add_cylinder(ramp, 0.5, 0.1, friction=0.3, **pose)
        box = b.add_body(position=(0.15 * np.sin(0.5), 0, -0.1 + 0.15 * np.cos(0.5)), rotation=turn)
        b.add_box(box, (0.05, 0.05, 0.05), friction=0.3, stiffness=1e5, damping=500.0)
        q = run(b, steps=60, step=0.005).body_q[:, 0]
        if locked:
            assert (q[:, 0] == q[0, 0]).all()
        paths.append(q[:, -1])
    assert (paths[0] - paths[1]).abs().max() < 1e-9
    slid = (paths[0][-1] - paths[0][0])[:3].norm()
    ideal = 0.5 * 9.81 * (np.sin(0.5) - 0.3 * np.cos(0.5)) * 0.3**2
    assert abs(slid / ideal - 1.0) < 0.03


def test_static_bodies_never_meet():
    b = ModelBuilder()
    for _ in range(2):
        b.add_box(b.add_body(locked="all"), (0.1, 0.1, 0.1))
        b.add_box(STATIC, (0.1, 0.1, 0.1))
    b.add_ground()
    b.add_sphere(b.add_body(position=(0, 0, 1)), 0.1)
    assert len(b.finalize().pairs) == 5  # all with the ball
