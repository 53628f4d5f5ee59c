"""Meshes that are open, broken or concave: clear errors, and convex parts whose mass and contacts are right."""

import importlib.util
import sys

import convex_shapes as shapes
import numpy as np
import pytest
import trimesh
from scenes import run

from carom.sim import STATIC, ModelBuilder, ModelError, Simulator, StateError

coacd_is_there = pytest.mark.skipif(importlib.util.find_spec("coacd") is None, reason="the package coacd is missing")


def angle_iron(width=0.1):
    """A prism whose section is an L: legs of 0.2 along x and z, 0.1 thick, its inner corner at (0.1, y, 0.1)."""
    section = np.array([[0, 0], [0.2, 0], [0.2, 0.1], [0.1, 0.1], [0.1, 0.2], [0, 0.2]])
    rings = [np.insert(section, 1, y, axis=1) for y in (0.0, width)]
    fan = [(3, (3 + k) % 6, (4 + k) % 6) for k in range(1, 5)]  # from the inner corner, which sees all others
    back = [tuple(6 + i for i in t[::-1]) for t in fan]
    sides = [t for i in range(6) for t in ((i, 6 + i, 6 + (i + 1) % 6), (i, 6 + (i + 1) % 6, (i + 1) % 6))]
    mesh = trimesh.Trimesh(np.concatenate(rings), [*fan, *back, *sides])
    mesh.fix_normals()
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(0.03 * width)
    return mesh


def decomposed(**options):
    b = ModelBuilder()
    return b, b.add_decomposed_mesh(b.add_body(), angle_iron(), name="iron", **options)


@coacd_is_there
def test_parts_have_the_mass_and_centre_of_the_body():
    b, parts = decomposed(density=500.0)
    model = b.finalize(dtype="float64")
    assert len(parts) == model.shapes == 2
    assert model.shape_names == ("iron.0", "iron.1")
    assert not len(model.pairs)  # parts of one body do not meet
    exact = angle_iron()
    exact.density = 500.0
    assert float(model.body_mass) == pytest.approx(exact.mass, rel=0.02)
    np.testing.assert_allclose(model.body_com[0], exact.center_mass, atol=2e-3)
    np.testing.assert_allclose(model.body_inertia[0, 0], exact.moment_inertia, atol=0.02 * exact.moment_inertia.max())


@coacd_is_there
def test_a_ball_lies_in_the_hollow_that_a_hull_would_fill(device):
    b = ModelBuilder()
    assert len(b.add_decomposed_mesh(STATIC, angle_iron(0.2))) == 2
    ball = b.add_body(position=(0.155, 0.1, 0.16))
    b.add_sphere(ball, 0.04)
    t = run(b, device=device, steps=200, step=0.005)
    assert float(t.final.body_q[0, 0, 2]) == pytest.approx(0.14, abs=1e-3)


@coacd_is_there
def test_decomposition_options():
    b, parts = decomposed(max_parts=1)
    assert len(parts) == 1  # the hull
    assert float(b.finalize(dtype="float64").body_mass) == pytest.approx(1000 * 0.035 * 0.1, rel=0.02)
    with pytest.raises(ModelError, match=r"threshold of shape 'iron' must be 0\.01 to 1, got 0\.0"):
        decomposed(threshold=0.0)
    with pytest.raises(ModelError, match="max_parts of shape 'iron' must be at least 1, got 0"):
        decomposed(max_parts=0)
    with pytest.raises(ModelError, match="'iron': max_vertices must be 4 to 64, got 65"):
        decomposed(max_vertices=65)


def test_decomposition_without_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "coacd", None)
    with pytest.raises(ModelError, match=r"'iron'.*needs the package coacd; pip install 'carom\[decomposition\]'"):
        decomposed()


def opened(mesh):
    """The mesh without its first face."""
    return trimesh.Trimesh(mesh.vertices, mesh.faces[1:], process=False)


def add_mesh(source, **options):
    b = ModelBuilder()
    b.add_mesh(b.add_body(), source, name="part", **options)
    return b.finalize(dtype="float64")


def test_open_meshes():
    box = trimesh.creation.box((0.1, 0.2, 0.3))
    message = r"mesh of shape 'part' is open: 3 of its 18 edges have one face\. Close it.*allow_open=True"
    with pytest.raises(ModelError, match=message):
        add_mesh(opened(box))
    assert float(add_mesh(opened(box), allow_open=True).body_mass) == pytest.approx(6.0)  # the hull of what there is
    with pytest.raises(
        ModelError, match=r"'part' has no holes, but 3 of its 18 edges have more than two faces.*given twice"
    ):
        add_mesh(trimesh.Trimesh(box.vertices, [*box.faces, box.faces[0]], process=False))
    b = ModelBuilder()
    with pytest.raises(ModelError, match=r"'part' is open.*add its convex parts one by one with add_convex"):
        b.add_decomposed_mesh(b.add_body(), opened(angle_iron()), name="part")


@pytest.mark.parametrize("ending", ["obj", "stl", "ply", "glb"])
def test_closed_files_are_closed_and_open_ones_open(tmp_path, ending):
    """STL files repeat vertices face by face: that makes no mesh open."""
    ball = trimesh.creation.icosphere(subdivisions=1, radius=0.1)
    ball.export(tmp_path / f"ball.{ending}")
    assert float(add_mesh(tmp_path / f"ball.{ending}").body_mass) == pytest.approx(1000 * ball.volume, rel=1e-5)
    opened(ball).export(tmp_path / f"open.{ending}")
    with pytest.raises(ModelError, match="'part' is open: 3 of its"):
        add_mesh(tmp_path / f"open.{ending}")


@pytest.mark.parametrize("ending", ["obj", "stl", "ply", "glb"])
def test_empty_files(tmp_path, ending):
    (tmp_path / f"empty.{ending}").touch()
    with pytest.raises(ModelError, match=rf"'part': the mesh file .*empty\.{ending}' is empty"):
        add_mesh(tmp_path / f"empty.{ending}")


def test_vertices_that_are_not_finite_are_not_dropped_by_the_reader(tmp_path):
    text = trimesh.creation.box((1, 1, 1)).export(file_type="obj").splitlines()
    first = next(i for i, line in enumerate(text) if line.startswith("v "))
    text[first + 2] = "v nan 0 0"
    (tmp_path / "part.obj").write_text("\n".join(text))
    with pytest.raises(ModelError, match="vertices of shape 'part' must be finite; vertex 2 of the mesh is not"):
        add_mesh(tmp_path / "part.obj")


def test_meshes_that_are_none():
    with pytest.raises(ModelError, match="'part': the mesh has points and no faces; give its points to add_convex"):
        add_mesh(trimesh.PointCloud(shapes.box()))
    with pytest.raises(ModelError, match="'part': the mesh has no faces"):
        add_mesh(trimesh.Trimesh(shapes.box()))
    with pytest.raises(ModelError, match="'part': the mesh has no faces"):
        add_mesh(trimesh.Scene())
    with pytest.raises(ModelError, match="scale of shape 'part' must be positive and finite"):
        add_mesh(trimesh.creation.box((1, 1, 1)), scale=-1.0)
    squashed = trimesh.creation.box((1, 1, 1))
    squashed.vertices[:, 2] *= 1e-9
    with pytest.raises(ModelError, match=r"'part' has no volume.*Give it thickness"):
        add_mesh(squashed)
    with pytest.raises(ModelError, match="'part' has 162 vertices, and the contact kernels take 64; pass max_vertices"):
        add_mesh(trimesh.creation.icosphere(subdivisions=2))


@pytest.mark.parametrize("second", ["hull", "cylinder", "box", "sphere", "capsule", "ground"])
def test_hulls_that_start_inside_other_shapes(second):
    b = ModelBuilder()
    low = b.add_body(position=(0, 0, -0.05 if second == "ground" else 0.5))
    b.add_convex(low, shapes.dodecahedron(), name="low")
    if second == "ground":
        b.add_ground(name="high")
    else:
        high = b.add_body(position=(0.01, 0.02, 0.53))
        {
            "hull": lambda: b.add_convex(high, shapes.tetrahedron(), name="high"),
            "cylinder": lambda: b.add_cylinder(high, 0.05, 0.1, name="high"),
            "box": lambda: b.add_box(high, (0.05, 0.06, 0.07), name="high"),
            "sphere": lambda: b.add_sphere(high, 0.05, name="high"),
            "capsule": lambda: b.add_capsule(high, 0.03, 0.1, name="high"),
        }[second]()
    model = b.finalize()
    with pytest.raises(StateError, match=r"'(low|high)' and '(low|high)' start 0\.\d+ m inside each other.*move them"):
        Simulator(model).rollout(model.state(), steps=10)
