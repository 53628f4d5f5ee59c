"""Convex hulls: faces, mass properties against closed forms, files, and what is refused."""

import math

import convex_shapes as shapes
import numpy as np
import pytest
import trimesh

from carom.sim import STATIC, ModelBuilder, ModelError, SimulationWarning
from carom.sim.scene.convex_hull import convex_hull


def finished(add):
    b = ModelBuilder()
    body = b.add_body()
    add(b, body)
    return b.finalize(dtype="float64")


def test_faces_are_polygons():
    counts = {
        "box": (8, 6, 12, 4),
        "tetrahedron": (4, 4, 6, 3),
        "icosahedron": (12, 20, 30, 3),
        "dodecahedron": (20, 12, 30, 5),
    }
    for name, (vertices, faces, edges, corners) in counts.items():
        mesh, _ = convex_hull(getattr(shapes, name)(), name)
        assert (len(mesh.vertices), len(mesh.normals), len(mesh.edges)) == (vertices, faces, edges)
        assert (np.diff(mesh.loop_start) == corners).all()
        np.testing.assert_allclose(mesh.shares, 1 / corners, rtol=1e-12)
        for f in range(faces):
            loop = mesh.vertices[mesh.loop[mesh.loop_start[f] : mesh.loop_start[f + 1]]]
            offsets = mesh.vertices @ mesh.normals[f]
            np.testing.assert_allclose(loop @ mesh.normals[f], offsets.max(), atol=1e-12)  # outward, on the hull
            for a, b, c in zip(loop, np.roll(loop, -1, axis=0), np.roll(loop, -2, axis=0), strict=True):
                assert np.cross(b - a, c - b) @ mesh.normals[f] > 0  # counter-clockwise and convex
        for a, b, left, right in mesh.edges:
            d = mesh.vertices[b] - mesh.vertices[a]
            assert np.cross(mesh.normals[left], mesh.normals[right]) @ d > 0


@pytest.mark.parametrize("seed", range(20))
def test_random_hulls_against_trimesh(seed):
    points = np.random.default_rng(seed).normal(size=(30, 3)).astype(np.float32)
    mesh, centre = convex_hull(points, "cloud")
    other = trimesh.PointCloud(points).convex_hull
    assert mesh.volume == pytest.approx(other.volume, rel=1e-6)
    np.testing.assert_allclose(centre, other.center_mass, atol=1e-6)
    np.testing.assert_allclose(mesh.inertia, other.moment_inertia, rtol=1e-4, atol=1e-4)
    assert len(mesh.vertices) - len(mesh.edges) + len(mesh.normals) == 2
    radius, half_width, inner = mesh.size
    assert inner <= half_width * (1 + 1e-12)
    assert half_width <= radius


@pytest.mark.parametrize("jitter", [0.0, 1e-12, 1e-9, 1e-8, 1e-7])
def test_points_given_several_times(jitter):
    """Copies of a corner, to rounding of whatever made them, are one corner: the shares of a face stay 1 in all."""
    copies = np.concatenate([shapes.box()] * 4)
    copies += jitter * np.random.default_rng(0).normal(size=copies.shape).clip(-1, 1) / 4
    mesh, _ = convex_hull(copies, "box")
    assert (len(mesh.vertices), len(mesh.normals)) == (8, 6)
    assert mesh.shares.sum() == pytest.approx(2.0, abs=1e-4)


def test_mass_of_a_box_that_is_off_its_origin():
    half, offset = np.array([0.3, 0.2, 0.1]), np.array([0.5, -0.2, 0.1])
    turn = (0.0, 0.0, math.sin(0.4), math.cos(0.4))
    a = finished(lambda b, body: b.add_box(body, half, position=offset, rotation=turn, density=700.0))
    hull = shapes.box(half) + np.array([1.0, 2.0, 3.0])
    c, s = math.cos(0.8), math.sin(0.8)
    back = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ [1.0, 2.0, 3.0]
    b = finished(lambda b, body: b.add_convex(body, hull, position=offset - back, rotation=turn, density=700.0))
    np.testing.assert_allclose(a.body_mass, b.body_mass, rtol=1e-12)
    np.testing.assert_allclose(a.body_inertia, b.body_inertia, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(a.body_com, b.body_com, atol=1e-12)
    np.testing.assert_allclose(a.shape_pose, b.shape_pose, atol=1e-12)


def test_mass_of_a_regular_tetrahedron():
    mesh, _ = convex_hull(shapes.tetrahedron(0.1), "tetrahedron")
    edge = 0.2 * math.sqrt(2.0)
    assert mesh.volume == pytest.approx(edge**3 / (6 * math.sqrt(2.0)), rel=1e-12)
    np.testing.assert_allclose(mesh.inertia, np.eye(3) * mesh.volume * edge**2 / 20.0, rtol=1e-12, atol=1e-16)


def test_cylinder_has_the_mass_of_a_cylinder():
    r, half = 0.1, 0.3
    m = finished(lambda b, body: b.add_cylinder(body, r, half, density=500.0))
    mass = 500.0 * math.pi * r * r * 2 * half
    assert float(m.body_mass) == pytest.approx(mass, rel=1e-12)
    across = mass * (3 * r * r + (2 * half) ** 2) / 12
    np.testing.assert_allclose(m.body_inertia[0, 0], np.diag([across, across, mass * r * r / 2]), rtol=1e-12)


def test_equal_meshes_are_stored_once():
    m = finished(lambda b, body: [b.add_convex(body, shapes.wedge()) for _ in range(3)] + [b.add_sphere(body, 0.1)])
    assert m.shape_mesh.tolist() == [0, 0, 0, -1]
    assert len(m.meshes) == 1


@pytest.mark.parametrize("ending", ["obj", "stl", "ply", "glb"])
def test_mesh_files(tmp_path, ending):
    part = trimesh.creation.box((0.2, 0.4, 0.6))
    path = tmp_path / f"part.{ending}"
    part.export(path)
    m = finished(lambda b, body: b.add_mesh(body, path, scale=0.5))
    assert float(m.body_mass) == pytest.approx(1000 * 0.1 * 0.2 * 0.3, rel=1e-5)
    assert len(m.meshes[0].vertices) == 8


def test_scene_of_meshes_and_the_hull_of_a_concave_one():
    scene = trimesh.Scene()
    for x in (-1.0, 1.0):
        shift = trimesh.transformations.translation_matrix((x, 0, 0))
        scene.add_geometry(trimesh.creation.box((1, 1, 1)), transform=shift)
    with pytest.warns(SimulationWarning, match=r"is concave.*3e\+06 cm\^3 instead of 2e\+06 cm\^3"):
        m = finished(lambda b, body: b.add_mesh(body, scene))
    assert float(m.body_mass) == pytest.approx(3000.0, rel=1e-9)  # hollows are filled


def test_simplified_hull():
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.1)
    m = finished(lambda b, body: b.add_mesh(body, ball, max_vertices=40))
    assert len(m.meshes[0].vertices) == 40
    assert 0.8 * 1000 * ball.volume < float(m.body_mass) < 1000 * ball.volume


BALL = trimesh.creation.icosphere(subdivisions=2, radius=0.1).vertices


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros((0, 3)), "'part' has no volume"),
        (np.zeros((5, 3)), "'part' has no volume: its 5 points"),
        (np.outer(np.arange(6.0), [1, 2, 3]), "'part' has no volume"),
        (np.c_[np.random.default_rng(0).normal(size=(9, 2)), np.zeros(9)], "'part' has no volume.*thickness"),
        (np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, math.nan]]), "'part' must be finite; vertex 3 is not"),
        (np.array([[0, 0, 0], [1, 0, 0], [0, math.inf, 0], [0, 0, 1]]), "'part' must be finite; vertex 2 is not"),
        (np.zeros((4, 2)), r"'part' must have shape \[n, 3\]"),
        (BALL, r"'part' has 162 vertices, and the contact kernels take 64; pass max_vertices=64"),
    ],
)
def test_bad_points(points, message):
    with pytest.raises(ModelError, match=message):
        finished(lambda b, body: b.add_convex(body, points, name="part"))


def test_bad_files(tmp_path):
    def add(source, **options):
        return finished(lambda b, body: b.add_mesh(body, source, name="part", **options))

    with pytest.raises(ModelError, match=r"'part': there is no mesh file .*gone.obj"):
        add(tmp_path / "gone.obj")
    for name, text in (("bad.glb", "no mesh"), ("bad.stl", "no mesh"), ("bad.xyzw", "1 2 3"), ("empty.obj", "")):
        (tmp_path / name).write_text(text)
        with pytest.raises(ModelError, match="'part'"):
            add(tmp_path / name)
    with pytest.raises(ModelError, match="'part': expected a path or an object of trimesh, got int"):
        add(3)
    with pytest.raises(ModelError, match="scale of shape 'part' must be positive"):
        add(trimesh.creation.box(), scale=0.0)
    sheet = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], [[0, 1, 2], [0, 2, 3]])
    with pytest.raises(ModelError, match="'part' has no volume"):
        add(sheet)


def test_bad_options():
    for sides in (33, 2, 24.5):
        with pytest.raises(ModelError, match=f"sides of a cylinder must be an integer from 3 to 32, got {sides}"):
            finished(lambda b, body, sides=sides: b.add_cylinder(body, 0.1, 0.1, sides=sides))
    with pytest.raises(ModelError, match=r"vertices of shape 'part' must be numbers of shape \[n, 3\]"):
        finished(lambda b, body: b.add_convex(body, [[0, 0, 0], [1, 0]], name="part"))
    with pytest.raises(ModelError, match="max_vertices must be 4 to 64"):
        finished(lambda b, body: b.add_convex(body, BALL, max_vertices=65))
    with pytest.raises(ModelError, match="there is no body 7"):
        finished(lambda b, _: b.add_convex(7, shapes.box()))
    assert finished(lambda b, body: [b.add_sphere(body, 0.1), b.add_convex(STATIC, shapes.box())]).shapes == 2
