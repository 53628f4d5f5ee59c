"""No pair of shapes lists more contacts than the table says, at random and at special poses, and some list as many."""

import dataclasses
from types import SimpleNamespace

import convex_shapes as shapes
import numpy as np
import pytest
import warp as wp

from carom.kernels.collision.features import FLAT, SHARE_FIXED
from carom.kernels.collision.features import LINE as LINE_KIND
from carom.kernels.collision.features import POINT as POINT_KIND
from carom.kernels.collision.pair_table import PAIRS, most_contacts, plain_contacts
from carom.kernels.core.shape_types import ShapeType
from carom.sim.scene.convex_hull import convex_hull, prism_points
from carom.sim.stepping.device_hulls import hull_arrays

from . import feature_reference as ref

PLANE, SPHERE, CAPSULE, BOX, CONVEX = (int(t) for t in ShapeType)


def cylinder(sides):
    return dataclasses.replace(convex_hull(prism_points(0.05, 0.03, sides), "cylinder")[0], rim=0.05)


SHAPES = {
    "plane": (PLANE, (0.0, 0.0, 0.0), None),
    "sphere": (SPHERE, (0.05, 0.0, 0.0), None),
    "capsule": (CAPSULE, (0.03, 0.06, 0.0), None),
    "box": (BOX, (0.05, 0.05, 0.05), None),
    "plank": (BOX, (0.1, 0.04, 0.01), None),
    "hull of a box": (CONVEX, None, convex_hull(shapes.box((0.05, 0.05, 0.05)), "box")[0]),
    "octagon": (CONVEX, None, convex_hull(prism_points(0.05, 0.02, 8), "octagon")[0]),
    "prism of 32": (CONVEX, None, convex_hull(prism_points(0.05, 0.02, 32), "prism")[0]),
    "cylinder": (CONVEX, None, cylinder(24)),
    "tetrahedron": (CONVEX, None, convex_hull(shapes.tetrahedron(0.05), "tetrahedron")[0]),
    "icosahedron": (CONVEX, None, convex_hull(shapes.icosahedron(0.05), "icosahedron")[0]),
    "wedge": (CONVEX, None, convex_hull(shapes.wedge(), "wedge")[0]),
    "cloud": (CONVEX, None, convex_hull(shapes.cloud(), "cloud")[0]),
}
NAMES = list(SHAPES)


def turns(rng, count):
    """Rotations: any, about an axis by an eighth or less or more of a turn, and nearly aligned ones."""
    axis, angle = np.zeros((count, 3)), np.zeros(count)
    axis[np.arange(count), rng.integers(3, size=count)] = 1.0
    special = np.array([0.0, np.pi / 8, np.pi / 4, np.pi / 2, np.pi / 24])
    angle[:] = special[rng.integers(len(special), size=count)] + rng.choice([0.0, 1e-7, 1e-3, 0.1], size=count)
    q = np.concatenate([axis * np.sin(angle / 2)[:, None], np.cos(angle / 2)[:, None]], axis=1)
    lean = rng.normal(size=(count, 4)) * (10.0 ** rng.uniform(-6, 0, count))[:, None] * [1, 1, 1, 0] + [0, 0, 0, 1]
    q = ref.multiply(lean / np.linalg.norm(lean, axis=1, keepdims=True), q)
    loose = rng.random(count) < 0.25
    q[loose] = ref.random_quaternions(rng, int(loose.sum()))
    return q


def poses(rng, radius, count):
    """Pairs of poses from well inside each other to apart, a third with their centres over each other."""
    q = np.zeros((count, 2, 7))
    q[:, 0, 6] = 1.0
    direction = rng.normal(size=(count, 3))
    direction[::3] = np.array([0.0, 0.0, 1.0]) + 0.2 * rng.normal(size=(len(direction[::3]), 3))
    direction[1::3] = np.eye(3)[rng.integers(3, size=len(direction[1::3]))]
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    q[:, 1, :3] = direction * (radius * rng.uniform(0.0, 1.2, count))[:, None]
    q[:, 1, 3:] = turns(rng, count)
    return q


def pair_of(first, second, dtype, device):
    """The two shapes as ``feature_reference.Pair``, the lower type first, with a capacity beyond that of the table."""
    one, two = sorted((SHAPES[first], SHAPES[second]), key=lambda shape: shape[0])
    kinds = [one, two]
    meshes = [mesh for _, _, mesh in kinds if mesh is not None]
    numbers = np.cumsum([mesh is not None for _, _, mesh in kinds]) - 1
    number = np.where([mesh is not None for _, _, mesh in kinds], numbers, -1).astype(np.int32)
    hulls = None
    if meshes:
        hulls = hull_arrays(SimpleNamespace(meshes=meshes, shape_mesh=number, device=device), dtype)
    sizes = [size if mesh is None else mesh.size for _, size, mesh in kinds]
    return ref.Pair([kind for kind, _, _ in kinds], sizes, dtype, device, capacity=72, hulls=hulls), kinds


def extent(kind, size, mesh):
    return {PLANE: 0.0, SPHERE: size and size[0], CAPSULE: size and size[0] + size[1]}.get(
        kind, float(np.linalg.norm(size)) if mesh is None else float(mesh.size[0])
    )


def most_listed(first, second, dtype, device, margins, count):
    """The most contacts met of a pair, and the number of the table."""
    pair, kinds = pair_of(first, second, dtype, device)
    mesh = kinds[1][2]
    vertices, rim = (0, False) if mesh is None else (len(mesh.vertices), mesh.rim > 0.0)
    met = 0
    for seed, margin in enumerate(margins):
        rng = np.random.default_rng([seed, len(first), len(second)])
        features = pair.features(poses(rng, sum(extent(*kind) for kind in kinds), count), margin)
        met = max(met, int(features.needed.numpy().max()))
    return met, most_contacts(kinds[0][0], kinds[1][0], vertices, rim)


TIGHT = [
    ("plane", "sphere"), ("plane", "capsule"), ("plane", "box"), ("plane", "octagon"), ("plane", "cylinder"),
    ("sphere", "sphere"), ("sphere", "capsule"), ("sphere", "box"), ("sphere", "cloud"), ("capsule", "capsule"),
    ("capsule", "box"), ("capsule", "cylinder"), ("box", "box"), ("box", "hull of a box"), ("box", "prism of 32"),
    ("octagon", "octagon"), ("cylinder", "cylinder"), ("hull of a box", "wedge"),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [wp.float32, wp.float64])
@pytest.mark.parametrize(("first", "second"), TIGHT)
def test_the_table_is_reached_and_not_passed(first, second, dtype, device):
    """A pair of each kind that lists as many contacts as the table says."""
    met, most = most_listed(first, second, dtype, device, (1e-3, 0.02, 1.0), 1500)
    assert met == most


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [wp.float32, wp.float64])
@pytest.mark.parametrize("first", NAMES)
def test_no_pair_lists_more_than_the_table_says(first, dtype, device):
    for second in NAMES[max(NAMES.index(first), 1) :]:
        met, most = most_listed(first, second, dtype, device, (1e-3, 0.02, 1.0), 20000)
        assert 0 < met <= most, (first, second)


@pytest.mark.parametrize(("first", "second"), TIGHT)
def test_contacts_are_plain_where_the_table_says_so(first, second, device):
    """The exact gradient goes through a kernel for those alone where all pairs of a model are so."""
    pair, kinds = pair_of(first, second, wp.float64, device)
    mesh = kinds[1][2]
    rng = np.random.default_rng(3)
    features = pair.features(poses(rng, sum(extent(*kind) for kind in kinds), 1500), 0.02)
    listed = np.arange(features.kind.shape[1]) < features.count.numpy()[:, None]
    kind, share, blend = (getattr(features, name).numpy()[listed] for name in ("kind", "share", "blend"))
    plain = np.isin(kind, [int(POINT_KIND), int(LINE_KIND), int(FLAT)])
    plain &= (share == int(SHARE_FIXED)) & (blend < 0)
    assert len(plain) > 100
    assert plain.all() == plain_contacts(kinds[0][0], kinds[1][0], mesh is not None and mesh.rim > 0.0)


def test_the_table_holds_all_pairs():
    """Every two types but two planes, which do not move, in the order in which detection takes them."""
    kinds = list(ShapeType)
    assert set(PAIRS) == {(a, b) for a in kinds for b in kinds if a <= b and b != ShapeType.PLANE}
