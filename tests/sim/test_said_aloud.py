"""Inputs that no body or contact can have, or that are likely not meant, are reported: object, number, way out."""

import importlib.util
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from scenes import about, push, push_targets, sphere_on_ground

from carom.sim import STATIC, ModelBuilder, ModelError, SimulationWarning, Simulator, StateError, step_jacobian

FLAT = np.diag([0.000105365, 0.00021073, 0.00105365])


def refused(match, call):
    with pytest.raises((ModelError, StateError), match=match):
        call()


def warned(match, call):
    with pytest.warns(SimulationWarning, match=match) as told:
        result = call()
    assert len([w for w in told if w.category is SimulationWarning]) == 1
    return result


def silent(call):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return call()


# Inertia


def body(inertia, **options):
    b = ModelBuilder()
    b.add_box(b.add_body(mass=1.0, inertia=inertia, name="cart", **options), (0.1, 0.1, 0.1), name="crate")
    return b


def turned(inertia, angle=0.7):
    c, s = np.cos(angle), np.sin(angle)
    r = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    m = r @ inertia @ r.T
    return (m + m.T) / 2


@pytest.mark.parametrize("inertia", [FLAT, turned(FLAT), FLAT[::-1, ::-1]])
def test_inertia_against_the_triangle_inequality(inertia):
    match = (
        "'cart'.*cannot be that of a rigid body.*0.0001054, 0.0002107 and 0.001054 kg m.*0.0003161.*leave the inertia"
    )
    refused(match, lambda: body(inertia))
    model = body(np.eye(3) * 1e-3).finalize(3, dtype="float64")
    values = model.body_inertia.clone()
    values[2, 0] = torch.as_tensor(inertia.copy())
    simulator = Simulator(model)
    refused(
        match.replace("'cart'", "'cart' in world 2"),
        lambda: simulator.rollout(model.state(), None, {"body_inertia": values}, steps=1),
    )
    refused(match, lambda: step_jacobian(simulator, model.state(), None, {"body_inertia": values}))
    changed = replace(model, body_inertia=values)
    refused(match, lambda: Simulator(changed).rollout(model.state(), steps=1))


def test_inertia_that_a_body_can_have_is_taken():
    """Plates, whose largest moment is the sum of the others, given to three digits; and bodies that cannot turn."""
    rng = np.random.default_rng(0)
    for dtype in ("float32", "float64"):
        for _ in range(4):
            a, b = rng.uniform(0.02, 0.5, size=2) ** 2 / 12
            plate = np.diag([float(f"{x:.3g}") for x in (a, b, a + b)])
            model = silent(lambda plate=plate, dtype=dtype: body(turned(plate)).finalize(dtype=dtype))
            silent(lambda model=model: Simulator(model).rollout(model.state(), steps=1))
    silent(lambda: body(FLAT, locked="angular"))
    refused("principal moments -1, 1, 1 kg m.2", lambda: body(np.diag([1.0, -1.0, 1.0])))


@pytest.mark.parametrize("factor", [1e6, 1e-6])
def test_inertia_in_other_units(factor):
    """In kg mm^2 or kg km^2: the mass would sit far outside of the box, or in one point."""
    exact = np.eye(3) * 1.0 * 0.1**2 * 2 / 3
    silent(lambda: body(exact * 4).finalize())
    warned(
        r"inertia of body 'cart': its principal moments .* are those of 1 kg at .* and its shapes reach 0.173 m",
        lambda: body(exact * factor).finalize(),
    )


# Stiffness and damping


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("shape_stiffness", 0.0, r"must be positive \[N/m\], or -1 to have it derived.*got 0"),
        ("shape_stiffness", -3.0, "got -3"),
        ("shape_stiffness", -0.999, "got -0.999"),
        ("shape_damping", -0.5, r"must be zero or more \[N s/m\], or -1 .*got -0.5"),
    ],
)
def test_stiffness_that_would_be_derived_by_chance(name, value, match):
    model = sphere_on_ground().finalize(3, dtype="float64")
    values = getattr(model, name).clone()
    values[1, 1] = value
    simulator = Simulator(model)
    refused(
        f"{name} of 'sphere1' in world 1 {match}|{name} of 'sphere1' in world 1 .*{match}",
        lambda: simulator.rollout(model.state(), None, {name: values}, steps=1),
    )


def test_derived_and_given_stiffness_are_taken():
    model = sphere_on_ground().finalize(dtype="float64")
    simulator = Simulator(model)
    for k, d in ((-1.0, -1.0), (1e-3, 0.0), (1e5, 10.0)):
        values = {"shape_stiffness": torch.tensor([[k, -1.0]]), "shape_damping": torch.tensor([[d, -1.0]])}
        silent(lambda values=values: simulator.rollout(model.state(), None, values, steps=1))


# Mass without inertia


def test_mass_changed_while_the_inertia_stays():
    model = push().finalize(dtype="float64")
    control = push_targets(3, distance=0.01)
    mass = model.body_mass * torch.tensor([1.3, 1.0])
    simulator = Simulator(model)
    warned(
        "body_mass of 'box' in world 0 is 1.3 kg instead of 1 kg, and its inertia stays.*body_inertia",
        lambda: simulator.rollout(model.state(), control, {"body_mass": mass}),
    )
    silent(lambda: simulator.rollout(model.state(), control, {"body_mass": mass}))  # once
    for parameters in (
        {"body_mass": mass, "body_inertia": model.body_inertia * (mass / model.body_mass)[..., None, None]},
        {"body_mass": model.body_mass * (1 + 1e-6)},  # a difference
        {"body_mass": model.body_mass * torch.tensor([1.0, 2.0])},  # the pusher cannot turn
    ):
        silent(lambda p=parameters: Simulator(model).rollout(model.state(), control, p))
    warned("its inertia stays", lambda: step_jacobian(Simulator(model), model.state(), control[0], {"body_mass": mass}))


# Centres that coincide


ROUND = {
    "sphere": lambda b, x: b.add_sphere(x, 0.05),
    "capsule": lambda b, x: b.add_capsule(x, 0.03, 0.06),
}


@pytest.mark.parametrize("turn", [(0, 0, 0, 1), about((1, 0.3, 0.2), 1.1)])
@pytest.mark.parametrize(
    ("first", "second"), [("sphere", "sphere"), ("sphere", "capsule"), ("capsule", "sphere"), ("capsule", "capsule")]
)
def test_round_shapes_with_one_centre_part(first, second, turn):
    """No direction is the normal's, but some direction leads out: equal and opposite, never none."""
    b = ModelBuilder(gravity=(0, 0, 0))
    for kind in (first, second):
        ROUND[kind](b, b.add_body(position=(0.1, 0.2, 0.3), rotation=turn, mass=1.0))
    model = b.finalize(dtype="float64")
    refused(
        "start 0.0?[0-9]+ m inside each other.*move them apart",
        lambda: Simulator(model).rollout(model.state(), steps=2),
    )
    t = Simulator(model, allow_overlap=True, step=0.002).rollout(model.state(), steps=20)
    moved = t.final.body_q[0, :, :3] - model.state().body_q[0, :, :3]
    assert torch.isfinite(t.body_q).all()
    assert float((moved[0] - moved[1]).norm()) > 0.1
    torch.testing.assert_close(moved[0], -moved[1], rtol=0, atol=1e-9)  # momentum


def test_the_gradient_where_centres_coincide_is_finite():
    b = ModelBuilder(gravity=(0, 0, 0))
    for _ in range(2):
        b.add_sphere(b.add_body(mass=1.0), 0.05)
    model = b.finalize(dtype="float64")
    state = model.state()
    state.body_q.requires_grad_()
    t = Simulator(model, allow_overlap=True, step=0.002).rollout(state, steps=3)
    t.final.body_q[0, 1, 2].backward()
    assert torch.isfinite(state.body_q.grad).all()
    assert float(state.body_q.grad[0, 1, 2]) != 0.0


# Meshes


def add_mesh(source, decomposed=False, **options):
    b = ModelBuilder()
    add = b.add_decomposed_mesh if decomposed else b.add_mesh
    add(b.add_body(), source, name="part", **options)
    return b


def bracket():
    """An L of three unit cubes, closed."""
    section = np.array([[0, 0], [2, 0], [2, 1], [1, 1], [1, 2], [0, 2.0]])
    low = [(3, (4 + k) % 6, (3 + k) % 6) for k in range(1, 5)]  # from the inner corner, which sees all others
    high = [(6 + a, 6 + c, 6 + b) for a, b, c in low]
    sides = [t for i in range(6) for t in ((i, (i + 1) % 6, 6 + (i + 1) % 6), (i, 6 + (i + 1) % 6, 6 + i))]
    corners = np.concatenate([np.c_[section, np.zeros(6)], np.c_[section, np.ones(6)]])
    mesh = trimesh.Trimesh(corners, [*low, *high, *sides])
    assert mesh.is_volume
    assert mesh.volume == pytest.approx(3.0)
    return mesh


def test_a_concave_mesh_is_not_filled_without_a_word():
    mesh = bracket()
    match = r"mesh of shape 'part' is concave.*3500 cm\^3 instead of 3000 cm\^3.*add_decomposed_mesh.*add_convex"
    warned(match, lambda: add_mesh(mesh, scale=0.1))
    inverted = trimesh.Trimesh(mesh.vertices, mesh.faces[:, ::-1], process=False)
    warned(match, lambda: add_mesh(inverted, scale=0.1))
    silent(lambda: ModelBuilder().add_convex(STATIC, mesh.vertices))  # a hull that is asked for
    for convex in (trimesh.creation.box((1, 1, 1)), trimesh.creation.icosphere(2), trimesh.creation.cylinder(0.1, 1.0)):
        silent(lambda convex=convex: add_mesh(convex, max_vertices=64))
    mixed = mesh.faces.copy()
    mixed[0] = mixed[0][::-1]
    twisted = trimesh.Trimesh(mesh.vertices, mixed, process=False)
    warned("do not all wind the same way round.*fix_normals", lambda: add_mesh(twisted))


@pytest.mark.parametrize(
    "decomposed",
    [
        False,
        pytest.param(
            True, marks=pytest.mark.skipif(importlib.util.find_spec("coacd") is None, reason="coacd is missing")
        ),
    ],
)
def test_a_mesh_in_millimetres(tmp_path, decomposed):
    path = tmp_path / "part.stl"
    trimesh.creation.box((160.0, 30.0, 20.0)).export(path)
    warned(r"'part' is 160 m long \(160 x 30 x 20 m\).*scale=1e-3, or scale=1\.0", lambda: add_mesh(path, decomposed))
    silent(lambda: add_mesh(path, decomposed, scale=1e-3))
    silent(lambda: add_mesh(path, decomposed, scale=1.0))


def test_a_mesh_of_touching_bodies_is_not_called_open():
    one, two = trimesh.creation.box((1, 1, 1)), trimesh.creation.box((1, 1, 1))
    two.apply_translation((1, 1, 0))
    touching = trimesh.util.concatenate([one, two])
    touching.merge_vertices()
    match = (
        r"mesh of shape 'part' has no holes, but 1 of its 35 edges have more than two faces: several bodies that.*"
        r"split\(\) of trimesh returns them, 2 here"
    )
    for decomposed in (False, True):
        refused(match, lambda decomposed=decomposed: add_mesh(touching, decomposed))
    b = ModelBuilder()
    x = b.add_body()
    for part in touching.split():
        silent(lambda part=part: b.add_mesh(x, part))
    assert float(b.finalize(dtype="float64").body_mass) == pytest.approx(2000.0)


def test_a_mesh_without_an_inside_is_not_cut_into_parts():
    mesh = bracket()
    inverted = trimesh.Trimesh(mesh.vertices, mesh.faces[:, ::-1], process=False)
    refused(r"'part' wind inside out.*-3e\+06 cm\^3.*fix_normals", lambda: add_mesh(inverted, decomposed=True))
    mixed = mesh.faces.copy()
    mixed[:3] = mixed[:3][:, ::-1]
    refused(
        "do not all wind the same way",
        lambda: add_mesh(trimesh.Trimesh(mesh.vertices, mixed, process=False), decomposed=True),
    )


# The rest of the inputs


def cart(**options):
    b = ModelBuilder()
    b.add_sphere(b.add_body(name="cart", **options), 0.1)
    return b


def test_actuators():
    b = cart()
    b.add_actuator(0, "x", stiffness=1.0)
    b.add_actuator(0, "x", "force")
    b.add_actuator(0, "x", "velocity", damping=1.0)
    assert b.finalize().actuator_names == ("cart.x", "cart.x.2", "cart.x.3")
    refused("an actuator called 'cart.x' already", lambda: b.add_actuator(0, "y", "force", name="cart.x"))
    refused(
        "'cart.y': a velocity actuator has no stiffness, got 5.*kind='position'",
        lambda: b.add_actuator(0, "y", "velocity", stiffness=5.0, damping=1.0),
    )
    refused("'cart.y': a force actuator has no damping, got 5", lambda: b.add_actuator(0, "y", "force", damping=5.0))


def test_targets_that_no_angle_reaches():
    b = cart()
    b.add_actuator(0, "rz", stiffness=1.0, damping=0.1)
    model = b.finalize(dtype="float64")
    simulator = Simulator(model)
    control = torch.full((4, 1, 1), 3.1, dtype=torch.float64)
    silent(lambda: simulator.rollout(model.state(), control))
    control[2] = 3.2
    warned(
        r"target of actuator 'cart.rz' is 3.2 rad at step 2 in world 0.*-pi to pi",
        lambda: simulator.rollout(model.state(), control),
    )


def test_velocity_along_locked_axes():
    warned(
        r"'cart' has a velocity along or about its locked axes x \(2\), rz \(3\).*Unlock",
        lambda: cart(velocity=(2, 1, 0), angular_velocity=(0, 1, 3), locked=("x", "rz")),
    )
    silent(lambda: cart(velocity=(2, 1, 0), locked=("z", "rz")))


def test_resistance_longer_than_the_shape():
    for what in ("rolling", "torsional"):
        warned(
            f"{what}_resistance of shape 'ball' is 0.5 m, an arm longer than the shape itself .0.05 m",
            lambda what=what: ModelBuilder().add_sphere(STATIC, 0.05, name="ball", **{f"{what}_resistance": 0.5}),
        )
    silent(lambda: ModelBuilder().add_box(STATIC, (0.1, 0.1, 0.1), rolling_resistance=0.1))


def test_friction_that_nothing_has():
    """At 300 a ball that touches down at 1 m/s used to leave at 15 m/s."""
    b = ModelBuilder()
    refused(
        "friction of shape 'floor' is 300; .*More than 100 is refused",
        lambda: b.add_ground(friction=300.0, name="floor"),
    )
    warned("friction of shape 'floor' is 20; no known material", lambda: b.add_ground(friction=20.0, name="floor"))
    silent(lambda: b.add_ground(friction=4.0))
    model = sphere_on_ground().finalize(2, dtype="float64")
    friction = model.shape_friction.clone()
    friction[1, 0] = 1e8
    refused(
        "shape_friction of 'ground' in world 1 must be at most 100, got 1e.08",
        lambda: Simulator(model).rollout(model.state(), None, {"shape_friction": friction}, steps=1),
    )


def test_options_that_cannot_be_meant():
    model = cart().finalize()
    warned(r"a step of 5 s: a body falls 1.2e\+02 m in it.*seconds", lambda: Simulator(model, step=5.0))
    silent(lambda: Simulator(model, step=0.1))
    warned("a tolerance of 0.1: a step counts as solved", lambda: Simulator(model, tolerance=0.1))
    refused("tolerance must be less than 1, got 2", lambda: Simulator(model, tolerance=2.0))
    warned("a stiction speed of 0.5 m/s: below it friction is viscous", lambda: Simulator(model, stiction=0.5))
    for name in ("quasi_dynamic", "allow_overlap"):
        refused(f"{name} must be True or False, got 'no'", lambda name=name: Simulator(model, **{name: "no"}))


@pytest.mark.parametrize(("dtype", "far"), [("float32", 3e3), ("float64", 3e12)])
def test_far_from_the_origin(dtype, far):
    model = cart().finalize(2, dtype=dtype)
    state = model.state()
    simulator = Simulator(model)
    silent(lambda: simulator.rollout(state, steps=1))
    state.body_q[1, 0, 1] = -far
    warned(
        f"'cart' is {far:.4g} m from the origin in world 1, where torch.{dtype} resolves .* as small as 0.1 m".replace(
            "+", r"\+"
        ),
        lambda: simulator.rollout(state, steps=1),
    )


def test_names():
    refused("name of a body must be a string, got 3", lambda: ModelBuilder().add_body(name=3))
    refused("name of a shape must be a string, got 3", lambda: ModelBuilder().add_sphere(STATIC, 0.1, name=3))
    b = cart()
    refused("'sphere0' never meets itself", lambda: b.exclude(0, 0))
