"""Bad input gets an error that names the thing and the way out, and nothing is lost."""

import math
import warnings

import pytest
import torch
import warp as wp
from scenes import about, box_on_ground, push, push_targets

from carom.sim import (
    STATIC,
    CapacityError,
    ConvergenceError,
    DeviceError,
    ModelBuilder,
    ModelError,
    SimulationError,
    SimulationWarning,
    Simulator,
    State,
    StateError,
)  # fmt: skip

NAN, INF = math.nan, math.inf


@pytest.fixture(scope="module")
def model():
    return push().finalize(dtype="float64")


@pytest.fixture(scope="module")
def simulator(model):
    return Simulator(model)


CONTROL = push_targets(5, distance=0.01)


def refused(simulator, match, *, state=None, control=CONTROL, parameters=None, **options):
    with pytest.raises(StateError, match=match):
        simulator.rollout(state or simulator.model.state(), control, parameters, **options)


def test_every_error_is_a_value_error():
    for error in (CapacityError, ConvergenceError, DeviceError, ModelError, StateError):
        assert issubclass(error, SimulationError)
        assert issubclass(error, ValueError)


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("name", ["body_q", "body_v"])
def test_state_that_is_not_finite(simulator, name, value):
    state = simulator.model.state()
    getattr(state, name)[0, 1, 2] = value
    refused(simulator, rf"{name} has 1 value that (is|are) not finite, the first at index \(0, 1, 2\)", state=state)


def test_control_that_is_not_finite(simulator):
    control = CONTROL.clone()
    control[3, 0, 1] = NAN
    control[4, 0, 0] = INF
    refused(simulator, r"control has 2 values that are not finite, the first at index \(3, 0, 1\)", control=control)


def test_parameter_that_is_not_finite(simulator):
    gravity = torch.tensor([0.0, 0.0, NAN])
    refused(simulator, r"gravity has 1 value .*not finite", parameters={"gravity": gravity})


def test_state_of_the_wrong_shape(simulator):
    q, v = simulator.model.state().body_q, simulator.model.state().body_v
    refused(simulator, r"body_q must have shape \[worlds, bodies, 7\].*got \(2, 7\)", state=State(q[0], v))
    refused(simulator, r"body_q must have shape .* = \(1, 2, 7\), got \(1, 1, 7\)", state=State(q[:, :1], v))
    refused(simulator, r"body_v must have shape .* = \(1, 2, 6\), got \(1, 2, 7\)", state=State(q, q))
    refused(simulator, r"body_v must have shape .*got \(3, 2, 6\)", state=State(q, v.repeat(3, 1, 1)))


def test_state_of_the_wrong_type(simulator):
    v = simulator.model.state().body_v
    refused(
        simulator,
        "body_q must be of floating-point type, got torch.int64",
        state=State(torch.zeros(1, 2, 7, dtype=torch.int64), v),
    )
    refused(
        simulator, "body_v must be a torch tensor, got ndarray", state=State(simulator.model.state().body_q, v.numpy())
    )


def test_other_float_types_are_converted(simulator):
    state = simulator.model.state()
    short = State(state.body_q.float(), state.body_v.float())
    assert simulator.rollout(short, CONTROL.float()).final.body_q.dtype == torch.float64


def test_control_of_the_wrong_shape(simulator):
    refused(
        simulator,
        r"control must have shape \[steps, worlds, actuators\] = \[steps, 1, 2\], got \(5, 2\)",
        control=CONTROL[:, 0],
    )
    refused(simulator, r"got \(5, 1, 1\)", control=CONTROL[..., :1])
    refused(simulator, r"got \(5, 3, 2\)", control=CONTROL.repeat(1, 3, 1))
    refused(simulator, r"2 actuators; give control of shape \[steps, worlds, 2\]", control=None)
    refused(simulator, "control has 5 steps but steps=7", steps=7)


def test_steps_are_needed_without_control():
    simulator = Simulator(box_on_ground().finalize())
    refused(simulator, "steps must say how many steps to take, got None", control=None)
    refused(simulator, "got -1", control=None, steps=-1)


def test_unnormalized_quaternion(simulator):
    state = simulator.model.state()
    state.body_q[0, 1, 3:] = torch.tensor([0.0, 0.0, 0.0, 2.0])
    refused(
        simulator, r"quaternion of body 'pusher' in world 0 has norm 2; normalize it \(order x, y, z, w\)", state=state
    )
    state.body_q[0, 1, 3:] = 0.0
    refused(simulator, "norm 0", state=state)


@pytest.mark.parametrize("norm", [0.991, 1.009])
def test_quaternion_normalized_only_roughly(norm):
    """An accepted input must work: a box hits one whose quaternion is off by nearly the 1 % allowed."""
    b = ModelBuilder()
    b.add_ground()
    for z, speed in ((0.05, 0.0), (0.16, -20.0)):
        one = b.add_body(position=(0.01, 0, z), rotation=about((0, 0, 1), 0.3 * z), velocity=(0, 0, speed), mass=1.0)
        b.add_box(one, (0.05, 0.05, 0.05))
    model = b.finalize(dtype="float64")
    exact, rough = model.state(), model.state()
    rough.body_q[..., 3:] *= norm
    simulator = Simulator(model)
    a, b = simulator.rollout(exact, steps=20), simulator.rollout(rough, steps=20)
    # the first step sees both boxes off by 2 %, 1 mm each: thrown apart by 2 mm a step, 0.4 m/s for 0.1 s
    assert (a.final.body_q[..., :3] - b.final.body_q[..., :3]).abs().max() < 0.04


def bad_parameter(model, name, index, value):
    tensor = getattr(model, name).repeat(3, *[1] * (getattr(model, name).dim() - 1))
    tensor[index] = value
    return {name: tensor}


@pytest.mark.parametrize(
    ("name", "index", "value", "match"),
    [
        ("body_mass", (2, 1), -1.0, r"body_mass of 'pusher' in world 2 must be positive \[kg\], got -1"),
        ("body_mass", (1, 0), 0.0, "body_mass of 'box' in world 1 must be positive"),
        ("body_inertia", (1, 0, 0, 0), -1e-3, "body_inertia of 'box' in world 1 must be positive definite"),
        ("shape_friction", (2, 1), -0.1, "shape_friction of 'box1' in world 2 must not be negative, got -0.1"),
        (
            "actuator_stiffness",
            (0, 1),
            -5.0,
            "actuator_stiffness of 'pusher.y' in world 0 must not be negative, got -5",
        ),
        ("actuator_damping", (1, 0), -5.0, "actuator_damping of 'pusher.x' in world 1 must not be negative, got -5"),
    ],
)
def test_parameters_that_cannot_be(simulator, name, index, value, match):
    refused(
        simulator, match, state=simulator.model.state(3), control=CONTROL.repeat(1, 3, 1),
        parameters=bad_parameter(simulator.model, name, index, value),
    )  # fmt: skip


def test_unknown_parameter_and_wrong_shape(simulator):
    refused(simulator, "unknown parameter 'mass'; there are gravity, body_mass", parameters={"mass": torch.ones(2)})
    refused(
        simulator,
        r"body_mass must have shape \(2,\) or \(1, 2\), got \(3,\)|got \(1, 3\)",
        parameters={"body_mass": torch.ones(3)},
    )
    refused(simulator, "gravity must be a torch tensor, got tuple", parameters={"gravity": (0, 0, -9.81)})


def test_wrong_number_of_worlds():
    many = push().finalize(3, dtype="float64")
    with pytest.raises(StateError, match="worlds = 3"):
        Simulator(many).rollout(push().finalize(dtype="float64").state(2), push_targets(5, worlds=2))
    with pytest.raises(StateError, match="the model has 3 worlds; a state of 2 worlds needs"):
        many.state(2)


def crowd():
    b = ModelBuilder()
    b.add_ground()
    for i in range(3):
        body = b.add_body(position=(0.2 * i, 0, 0.05), mass=1.0)
        b.add_box(body, (0.05, 0.05, 0.05))
    return b.finalize(dtype="float64")


def test_too_many_contacts_says_how_many_are_needed():
    model = crowd()
    state = model.state(4)
    with pytest.raises(
        CapacityError, match=r"world 0 met 12 contacts but there is room for 5; pass contact_capacity=12"
    ) as error:
        Simulator(model, contact_capacity=5).rollout(state, steps=3)
    needed = int(str(error.value).split("contact_capacity=")[1].split()[0])
    enough = Simulator(model, contact_capacity=needed).rollout(state, steps=3)
    plenty = Simulator(model).rollout(state, steps=3)
    assert torch.equal(enough.final.body_q, plenty.final.body_q)


def test_an_error_leaves_the_simulator_usable():
    """After an overflow the state given is unchanged, and the next rollout is as from a fresh simulator."""
    model = crowd()
    simulator = Simulator(model, contact_capacity=8)
    crowded, airborne = model.state(), model.state()
    airborne.body_q[..., 2] += 1.0
    before = crowded.body_q.clone()
    with pytest.raises(CapacityError):
        simulator.rollout(crowded, steps=3)
    assert torch.equal(crowded.body_q, before)
    fresh = Simulator(model).rollout(airborne, steps=3)
    assert torch.equal(simulator.rollout(airborne, steps=3).final.body_q, fresh.final.body_q)


def test_a_world_that_did_not_converge_is_named():
    model = box_on_ground(rotation=about((1, 0.3, 0.2), 0.5), lift=0.5).finalize(dtype="float64")
    state = model.state(3)
    state.body_q[1, 0, 2], state.body_v[1, 0, :3] = 0.09, torch.tensor([1.0, 0.5, -1.0], dtype=torch.float64)
    with pytest.raises(
        ConvergenceError,
        match=r"did not converge in 1 of 3 worlds; first in world 1 at step \d+ .*after at most 1 iter",
    ) as error:
        Simulator(model, max_iterations=1).rollout(state, steps=20)
    assert "max_iterations" in str(error.value)
    Simulator(model).rollout(state, steps=20)  # the default converges


def test_deep_overlap_is_refused_and_can_be_allowed():
    b = ModelBuilder()
    b.add_ground()
    body = b.add_body(position=(0, 0, 0.02), mass=1.0)
    b.add_box(body, (0.05, 0.05, 0.05), name="crate")
    model = b.finalize(dtype="float64")
    with pytest.raises(
        StateError, match=r"shapes 'ground' and 'crate' start 0\.03 m inside each other in world 0"
    ) as error:
        Simulator(model).rollout(model.state(), steps=5)
    assert "exclude" in str(error.value)
    assert "allow_overlap" in str(error.value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SimulationWarning)
        Simulator(model, allow_overlap=True).rollout(model.state(), steps=5)


def test_sinking_deep_during_a_rollout_warns():
    """50 kg on a box of 20 g, whose derived stiffness is made for loads like its own."""
    b = ModelBuilder()
    b.add_ground()
    for i, (mass, name) in enumerate(((0.02, "tin"), (50.0, "anvil"))):
        one = b.add_body(position=(0, 0, 0.05 + 0.1 * i), mass=mass)
        b.add_box(one, (0.05, 0.05, 0.05), name=name)
    model = b.finalize(dtype="float64")
    with pytest.warns(
        SimulationWarning, match=r"shapes '\w+' and '\w+' ended .* m inside each other in world 0.*stiffness"
    ):
        Simulator(model).rollout(model.state(), steps=100)


def test_no_such_device():
    if not wp.get_cuda_devices():
        with pytest.raises(DeviceError, match=r"no device 'cuda:0': no CUDA device .* was found; use device='cpu'"):
            box_on_ground().finalize(device="cuda:0")
        with pytest.raises(DeviceError, match="use device='cpu'"):
            box_on_ground().finalize(device="cuda")
    with pytest.raises(DeviceError, match=r"no device 'tpu': there (is|are) .*cpu"):
        box_on_ground().finalize(device="tpu")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"step": 0.0}, r"step must be a positive finite number \[s\], got 0.0"),
        ({"step": -0.01}, "step must be a positive"),
        ({"step": NAN}, "step must be a positive"),
        ({"step": "5ms"}, "step must be a positive .*got '5ms'"),
        ({"stiction": 0.0}, r"stiction must be a positive finite number \[m/s\]"),
        ({"tolerance": -1e-6}, "tolerance must be positive and finite, or None"),
        ({"contact_margin": INF}, "contact_margin must be positive and finite"),
        ({"max_iterations": 0}, "max_iterations must be at least 1, got 0"),
        ({"contact_capacity": 0}, "contact_capacity must be at least 1, or None"),
        ({"threads": 0}, "threads must be at least 1, or None"),
        ({"segment": 0}, "segment must be at least 1, got 0"),
    ],
)
def test_options_that_cannot_be(model, options, match):
    with pytest.raises(ModelError, match=match):
        Simulator(model, **options)


def test_unknown_option(model):
    with pytest.raises(TypeError, match="stepsize"):
        Simulator(model, stepsize=0.01)


def body(**options):
    b = ModelBuilder()
    b.add_body(name="cart", **options)
    return b


def shaped(**options):
    b = ModelBuilder()
    b.add_box(b.add_body(), (0.1, 0.1, 0.1), **options)
    return b


def actuated(axis="x", kind="position", locked=(), **gains):
    b = ModelBuilder()
    cart = b.add_body(mass=1.0, inertia=[[1, 0, 0], [0, 1, 0], [0, 0, 1]], locked=locked, name="cart")
    b.add_actuator(cart, axis, kind, **gains)
    return b


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda: ModelBuilder(gravity=(0, 0)), r"gravity must have 3 numbers, got shape \(2,\)"),
        (lambda: ModelBuilder(gravity=(0, 0, NAN)), "gravity must be finite"),
        (lambda: body(position=(0, NAN, 0)), "position of body 'cart' must be finite"),
        (lambda: body(rotation=(0, 0, 0, 2)), "rotation of body 'cart' must be a unit quaternion .* of norm 2"),
        (lambda: body(velocity=(INF, 0, 0)), "velocity of 'cart' must be finite"),
        (lambda: body(mass=-1.0), r"mass of body 'cart' must be positive and finite \[kg\], got -1"),
        (lambda: body(mass=0.0), "mass of body 'cart' must be positive"),
        (lambda: body(mass=1.0, inertia=[1, 1, 1]), "inertia of body 'cart' must be a finite symmetric 3x3"),
        (lambda: body(mass=1.0, inertia=[[1, 1, 0], [0, 1, 0], [0, 0, 1]]), "must be a finite symmetric"),
        (lambda: body(mass=1.0, inertia=[[1, 0, 0], [0, -1, 0], [0, 0, 1]]), "must be positive definite"),
        (lambda: body(locked=("w",)), "body 'cart': unknown locked axis 'w'; use x, y, z, rx"),
        (lambda: body().finalize(), "body 'cart' has neither a mass nor shapes .*; give mass=, or add a shape"),
        (lambda: body(mass=1.0).finalize(), "'cart' has a mass but no inertia and no shape; give inertia= or lock"),
        (lambda: body(inertia=[[1, 0, 0], [0, 1, 0], [0, 0, 1]]).finalize(), "'cart' has neither a mass"),
        (lambda: ModelBuilder().finalize(), "the scene has no body; add at least one with add_body"),
        (lambda: shaped().finalize(0), "worlds must be at least 1, got 0"),
        (lambda: shaped().finalize(dtype="float16"), "dtype must be 'float32' or 'float64', got 'float16'"),
        (lambda: shaped(friction=-0.1), "friction of shape 'box0' must be finite and not negative, got -0.1"),
        (lambda: shaped(stiffness=0.0), r"stiffness of shape 'box0' must be positive and finite \[N/m\]"),
        (lambda: shaped(damping=-1.0), "damping of shape 'box0' must be finite and not negative"),
        (lambda: shaped(density=0.0), "density of shape 'box0' must be positive"),
        (lambda: shaped(position=(0, 0)), "position of shape 'box0' must have 3 numbers"),
        (lambda: ModelBuilder().add_box(STATIC, (0.1, 0.0, 0.1)), "each half extent of a box must be positive"),
        (lambda: ModelBuilder().add_sphere(STATIC, -1.0), "radius of a sphere must be positive"),
        (lambda: ModelBuilder().add_capsule(STATIC, 0.1, 0.0), "half_length of a capsule must be positive"),
        (
            lambda: ModelBuilder().add_sphere(3, 0.1),
            "there is no body 3; add_body returns the number to use, or use ST",
        ),
        (lambda: shaped(name="x").add_box(0, (1, 1, 1), name="x"), "a shape called 'x' already"),
        (lambda: shaped().exclude(0, 4), "there is no shape 4 to exclude"),
        (lambda: actuated("w"), "unknown axis 'w'; use x, y, z, rx, ry, rz"),
        (lambda: actuated(kind="pd"), "unknown kind 'pd'; use position, velocity, force"),
        (lambda: actuated(), "'cart.x': a position actuator needs a positive stiffness"),
        (lambda: actuated(kind="velocity"), "'cart.x': a velocity actuator needs a positive damping"),
        (lambda: actuated(stiffness=1.0, damping=-1.0), "gain of actuator 'cart.x' must be finite and not negative"),
        (lambda: actuated(stiffness=1.0, locked="x"), "actuator 'cart.x' drives an axis that is locked; unlock 'x'"),
        (lambda: ModelBuilder().add_actuator(0, "x", stiffness=1.0), "there is no body 0"),
    ],
)
def test_scenes_that_cannot_be(build, match):
    with pytest.raises(ModelError, match=match):
        build()


def test_unknown_body_name(model):
    assert model.body("pusher") == 1
    with pytest.raises(KeyError, match="no body called 'hand'; there are box, pusher"):
        model.body("hand")


def with_body(call):
    b = ModelBuilder()
    b.add_body(name="one")
    return call(b)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b: b.add_body(position="abc"), "position of body 'body1' must have 3 numbers, got 'abc'"),
        (lambda b: b.add_body(mass="1"), "mass of body 'body1' must be a number, got '1'"),
        (lambda b: b.add_body(mass=1.0, inertia="x"), "inertia of body 'body1' must be a finite symmetric 3x3"),
        (lambda b: b.add_body(locked=3), "locked of body 'body1' must name axes, got 3"),
        (lambda b: b.add_body(name="one"), "there is a body called 'one' already"),
        (lambda b: b.add_sphere(0, None), "radius of a sphere must be a number, got None"),
        (lambda b: b.add_sphere("one", 0.1), "body of shape 'sphere0' must be an integer, got 'one'"),
        (lambda b: b.add_sphere(0, 0.1, friction="a"), "friction of shape 'sphere0' must be a number"),
        (lambda b: b.add_sphere(0, 0.1, restitution="a"), "restitution of shape 'sphere0' must be a number"),
        (lambda b: b.exclude("one", "two"), "a shape to exclude must be an integer, got 'one'"),
        (lambda b: b.add_actuator("one", "x", stiffness=1.0), "body of an actuator must be an integer"),
        (lambda b: b.add_actuator(0, "x", stiffness="1"), "gain of actuator 'one.x' must be a number"),
        (lambda b: b.finalize(1.5), "worlds must be an integer, got 1.5"),
        (lambda b: Simulator(b), r"needs a finished model, got ModelBuilder; pass builder.finalize\(\)"),
    ],
)
def test_a_wrong_type_is_named(call, message):
    with pytest.raises(ModelError, match=message):
        with_body(call)


@pytest.mark.parametrize("option", ["max_iterations", "segment", "threads", "contact_capacity"])
def test_a_count_that_is_no_integer_is_named(option):
    with pytest.raises(ModelError, match=f"{option} must be an integer, got 1.5"):
        Simulator(push().finalize(), **{option: 1.5})


SKEWED = torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]).expand(2, 3, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, x, c: s.rollout((x.body_q, x.body_v), c), "the state must be a State.*got tuple"),
        (lambda s, x, c: s.rollout(State(x.body_q.numpy(), x.body_v), c), "body_q must be a torch tensor, got ndarray"),
        (lambda s, x, c: s.step(x, [0.0, 0.0]), "control must be a torch tensor, got list"),
        (lambda s, x, c: s.rollout(x, c, ["body_mass"]), "parameters must be tensors by name.*got list"),
        (lambda s, x, c: s.rollout(x, c, steps=3.0), "steps must be an integer, got 3.0"),
        (
            lambda s, x, c: s.rollout(x, c, {"body_inertia": SKEWED}),
            "body_inertia of 'box' in world 0 must be symmetric",
        ),
        (lambda s, x, c: s.model.state(-1), "worlds must be an integer of at least 1, got -1"),
    ],
)
def test_a_wrong_type_in_a_rollout_is_named(call, message):
    simulator = Simulator(push().finalize())
    with pytest.raises(StateError, match=message):
        call(simulator, simulator.model.state(), torch.zeros(3, 1, 2))


def test_a_shape_that_is_refused_is_not_half_there():
    b = ModelBuilder()
    body = b.add_body()
    with pytest.raises(ModelError, match="density"):
        b.add_sphere(body, 0.1, density=-1.0)
    b.add_sphere(body, 0.1)
    assert b.finalize().shape_names == ("sphere0",)


def test_a_small_scene_has_room_for_all_its_pairs_at_once():
    """A ball and a cylinder on one body between five planes: 5 + 5 * 16 contacts when all are listed."""
    b = ModelBuilder()
    b.add_ground()
    for angle in (0.25, 0.75):
        for axis in ((1, 0, 0), (0, 1, 0)):
            b.add_plane(position=(0, 0, -1), rotation=about(axis, math.pi * (angle - 0.5)))
    body = b.add_body(position=(0, 0, 0.5), rotation=about((1, 0.2, 0), 1.0))
    b.add_sphere(body, 0.05)
    b.add_cylinder(body, 0.03, 0.05, position=(0.1, 0, 0))
    model = b.finalize(dtype="float64")
    everything = Simulator(model, contact_margin=10.0).rollout(model.state(), steps=2)
    assert everything.diagnostics.contacts.tolist() == [85]
    near = Simulator(model).rollout(model.state(), steps=2)
    assert torch.allclose(everything.final.body_q, near.final.body_q, rtol=0, atol=1e-12)
