"""Slip that starts or stops within a step: what lands while it slides stays down, what is hit sideways too.

A near-rigid contact without friction gives back 1.4 % of the speed of approach (critical damping over one period of a
step), so hops are compared with those of the same body without friction.
"""

import math

import pytest
import torch
from differences import Problem, compare, directions_for
from scenes import G, about

from carom.sim import PARAMETERS, LogBarrier, ModelBuilder, Simulator, Softplus, State, record

FRICTIONS = (0.1, 0.3, 0.5, 0.8, 1.2)
SPEEDS = (0.0, 0.3, 1.0, 3.0, 10.0)
CUBE = [(x, y, z) for x in (-0.1, 0.1) for y in (-0.1, 0.1) for z in (-0.1, 0.1)]


def shape_on(b, body, shape):
    """Every shape is 0.1 m below the body's centre."""
    match shape:
        case "ball":
            b.add_sphere(body, 0.1)
        case "box":
            b.add_box(body, (0.1, 0.1, 0.1))
        case "capsule":
            b.add_capsule(body, 0.1, 0.1)
        case "cylinder":
            b.add_cylinder(body, 0.1, 0.1)
        case "hull":
            b.add_convex(body, CUBE)


def lander(shape, support="ground", locked=()):
    """A body that touches what is below it: the ground, or a free slab of ten times its mass on smooth ground."""
    b = ModelBuilder()
    b.add_ground()
    top = 0.0
    if support == "slab":
        slab = b.add_body(position=(0, 0, 0.1), mass=10.0, name="slab", locked="angular")
        b.add_box(slab, (3.0, 3.0, 0.1))
        top = 0.2
    body = b.add_body(
        position=(0, 0, top + 0.1), mass=1.0, name="body", locked=locked,
        rotation=about((1, 0, 0), math.pi / 2) if shape == "capsule" else (0, 0, 0, 1),
    )  # fmt: skip
    shape_on(b, body, shape)
    return b


def highest(builder, step, frictions, velocities, *, smooth=(), seconds=0.05, dtype="float64", **options):
    """Greatest upward speed of the last body in each world [worlds], by friction and start velocity."""
    model = builder.finalize(dtype=dtype)
    worlds = len(velocities)
    state = model.state(worlds)
    state.body_v[:, -1] = velocities
    friction = frictions[:, None].repeat(1, model.shapes).to(model.dtype)
    for shape in smooth:
        friction[:, shape] = 0.0
    t = Simulator(model, step=step, **options).rollout(
        state, parameters={"shape_friction": friction}, steps=max(6, round(seconds / step))
    )
    return t.body_v[:, :, -1, 2].max(0).values, t


def grid(down=1.0, spin=(0.0, 0.0, 0.0)):
    cases = [(mu, speed) for mu in FRICTIONS for speed in SPEEDS]
    frictions = torch.tensor([mu for mu, _ in cases], dtype=torch.float64)
    velocities = torch.tensor([(speed, 0.4 * speed, -down, *spin) for _, speed in cases], dtype=torch.float64)
    return frictions, velocities


@pytest.mark.parametrize("step", [0.001, 0.002, 0.005, 0.01])
@pytest.mark.parametrize(
    ("shape", "locked", "spin"),
    [
        ("ball", (), (0, 0, 0)),
        ("ball", (), (20, -30, 10)),
        ("capsule", ("rx", "ry", "rz"), (0, 0, 0)),
        ("box", ("rx", "ry", "rz"), (0, 0, 0)),
        ("cylinder", ("rx", "ry"), (0, 0, 20)),
        ("hull", ("rx", "ry"), (0, 0, 20)),
    ],
)
def test_what_lands_while_it_slides_does_not_hop(shape, locked, spin, step):
    frictions, velocities = grid(spin=spin)
    builder = lander(shape, locked=locked)
    hop, _ = highest(builder, step, frictions, velocities)
    without, _ = highest(builder, step, torch.zeros_like(frictions), velocities)
    assert (hop - without).max() < 0.01


@pytest.mark.parametrize("shape", ["ball", "box"])
def test_landings_in_single_precision_end_as_in_double(shape):
    """After 50 ms at 5 ms: heights, velocities along and up."""
    frictions, velocities = grid()
    builder = lander(shape, locked=() if shape == "ball" else ("rx", "ry", "rz"))
    ends = [highest(builder, 0.005, frictions, velocities, dtype=dtype)[1].final for dtype in ("float32", "float64")]
    for part in ("body_q", "body_v"):
        single, double = (getattr(end, part).double() for end in ends)
        assert (single - double).abs().max() < 2e-4 * velocities.abs().max()


@pytest.mark.parametrize("step", [0.001, 0.005, 0.01])
@pytest.mark.parametrize("down", [0.1, 0.3])
@pytest.mark.parametrize(("shape", "locked"), [("ball", ()), ("box", ("rx", "ry", "rz")), ("cylinder", ("rx", "ry"))])
def test_what_lands_slowly_hops_no_faster_than_a_part_of_a_step_of_gravity(shape, locked, down, step):
    """Where T is below a part of gravity over the step, contacts count as steady, and keep what it gives."""
    frictions, velocities = grid(down)
    builder = lander(shape, locked=locked)
    hop, _ = highest(builder, step, frictions, velocities)
    without, _ = highest(builder, step, torch.zeros_like(frictions), velocities)
    assert (hop - without).max() < max(0.01 * down, 0.07 * G * step)


@pytest.mark.parametrize("shape", ["ball", "box"])
def test_what_lands_on_a_free_body_does_not_hop_either(shape):
    """A slab that the ground carries without friction: more than 8 free axes, so islands; it is pressed down itself."""
    locked = () if shape == "ball" else ("rx", "ry", "rz")
    frictions, velocities = grid(spin=(3, -20, 5) if shape == "ball" else (0, 0, 0))
    builder = lander(shape, "slab", locked=locked)
    hop, _ = highest(builder, 0.005, frictions, velocities, smooth=(0,))
    without, _ = highest(builder, 0.005, torch.zeros_like(frictions), velocities)
    assert (hop - without).max() < 0.01


@pytest.mark.parametrize("step", [0.001, 0.005, 0.01])
def test_a_ball_that_lands_gets_coulombs_friction(step):
    """From v along and no spin: mu J along, J = m (1 m/s + g t), until it rolls at 5/7 v."""
    frictions, velocities = grid()
    velocities[:, 1] = 0.0
    _, t = highest(lander("ball"), step, frictions, velocities, seconds=0.02)
    steps = t.body_v.shape[0] - 1
    slowed = velocities[:, 0] - frictions * (1.0 + G * step * steps)
    expected = torch.maximum(slowed, 5 / 7 * velocities[:, 0])
    # what rolls may slip by the stiction speed; the depth in which friction acts, and the load's rounding off to mg
    off = (t.body_v[-1, :, 0, 0] - expected).abs()
    assert off.max() < 2e-3 + 0.02 * G * step * steps


def test_hit_from_the_side_nothing_hops():
    """A ball that rests gets a push along, at its centre: slip starts at once. Before, it left at up to mu v."""
    b = ModelBuilder()
    b.add_ground(friction=0.8)
    for name, x in (("hit", 0.0), ("hitting", -0.2)):
        ball = b.add_body(position=(x, 0, 0.1), mass=1.0, name=name, velocity=(2.0 if x else 0.0, 0, 0))
        b.add_sphere(ball, 0.1, friction=0.8)
    model = b.finalize(dtype="float64")
    t = Simulator(model, step=0.005).rollout(
        model.state(), steps=20, parameters={"shape_friction": torch.tensor([[0.8, 0.8, 1e-9]], dtype=torch.float64)}
    )
    assert t.body_v[-1, 0, 0, 0] > 0.5  # it was hit
    assert t.body_v[:, 0, 0, 2].max() < 0.01 * 2.0


@pytest.mark.parametrize("kind", ["rolling", "torsional"])
def test_resistance_that_starts_does_not_lift(kind):
    """A ball that lands while it rolls, or spins: the same term, with the angular speed."""
    b = ModelBuilder()
    b.add_ground(friction=0.5)
    spin = (0, 30, 0) if kind == "rolling" else (0, 0, 30)
    ball = b.add_body(position=(0, 0, 0.1), mass=1.0, velocity=(3.0 if kind == "rolling" else 0.0, 0, -1),
                      angular_velocity=spin)  # fmt: skip
    b.add_sphere(ball, 0.1, friction=0.5, **{f"{kind}_resistance": 0.02})
    t = Simulator(b.finalize(dtype="float64"), step=0.005).rollout(b.finalize(dtype="float64").state(), steps=10)
    assert t.body_v[:, 0, 0, 2].max() < 0.0236  # 0.0136 without friction
    # Coulomb's law of turning: moment 0.02 m times the impulse, of 1 m/s and of weight
    impulse = 1.0 + G * 0.05
    inertia = 0.4 * 0.01 + (0.01 if kind == "rolling" else 0.0)
    assert float(t.body_v[-1, 0, 0, 4 if kind == "rolling" else 5]) == pytest.approx(
        30 - 0.02 * impulse / inertia, rel=0.02
    )


def problem(builder, steps, **options):
    model = builder.finalize(dtype="float64")
    simulator = Simulator(model, tolerance=1e-13, **options)
    state = model.state()
    inputs = {"body_q": state.body_q, "body_v": state.body_v}
    for name in PARAMETERS:
        value = getattr(model, name)
        if value.numel() and name not in ("shape_stiffness", "shape_damping", "shape_restitution"):
            inputs[name] = value.clone()

    def loss(t):
        gen = torch.Generator().manual_seed(5)
        w = torch.randn((2, *t.final.body_q.shape[1:]), generator=gen, dtype=torch.float64)
        return (t.final.body_q * w[0]).sum((1, 2)) + (t.final.body_v * w[1][..., :6]).sum((1, 2))

    return Problem(simulator, inputs, loss, steps, False)


def landing(shape, free, resists):
    b = ModelBuilder()
    resistance = {"rolling_resistance": 1e-3, "torsional_resistance": 2e-3} if resists else {}
    b.add_ground(friction=0.7)
    top = 0.0
    if free:
        slab = b.add_body(position=(0.02, 0.01, 0.1), mass=2.0, angular_velocity=(0.1, 0.02, 0.03))
        b.add_box(slab, (0.3, 0.2, 0.1), friction=0.7)
        top = 0.2
    body = b.add_body(
        position=(0, 0, top + 0.104), mass=1.0, velocity=(1.7, 0.3, -1.0), angular_velocity=(0.3, 2.0, 0.4),
        rotation=about((1, 0.3, 0.2), 0.02),
    )  # fmt: skip
    if shape == "ball":
        b.add_sphere(body, 0.1, friction=0.6, **resistance)
    else:
        b.add_box(body, (0.1, 0.1, 0.1), friction=0.6, **resistance)
    return b


@pytest.mark.parametrize(
    "softening",
    [None, *[pytest.param(kind, marks=pytest.mark.slow) for kind in (Softplus(1e-4), LogBarrier(1e-4))]],
    ids=str,
)
@pytest.mark.parametrize("resists", [False, True])
@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("shape", ["ball", "box"])
def test_gradient_through_a_landing(shape, free, resists, softening):
    """All solves of the step are taken back: exact to 1e-6 of differences, dense and in islands, with every law."""
    options = {} if softening is None else {"softening": softening}
    p = problem(landing(shape, free, resists), 4, **options)
    staged = _staged(p)
    assert staged, "no step of this test takes more than one solve"
    wrong = [
        f"{label}: exact {slope:.10e}, differences {value:.10e}"
        for label, slope, value, scale in compare(p, directions_for(p.inputs, seed=3, entries=2))
        # losses of order 1 carry the rounding of up to four solves a step, some 5e-14; differences over 1e-6 show it
        if not abs(slope - value) <= 1e-6 * scale + 2e-8
    ]
    assert not wrong, "\n".join(wrong)


def _staged(p):
    """Whether the first steps of a problem take further solves, by the buffers of its simulator."""
    state = State(p.inputs["body_q"], p.inputs["body_v"])
    parameters = {k: v for k, v in p.inputs.items() if k not in ("body_q", "body_v")}
    found = False
    for _ in range(p.steps):
        state = p.simulator.step(state, None, parameters)
        found |= any(bool(graphs.batch.staged.numpy()[0].any()) for graphs in p.simulator.pool.batches)
    return found


def test_the_recorded_force_is_the_change_of_momentum():
    """Of a landing, too, whose contacts have the rows of the last solve."""
    builder = landing("box", False, False)
    simulator = Simulator(builder.finalize(dtype="float64"))
    t = simulator.rollout(simulator.model.state(), steps=8)
    recording = record(simulator, t)  # an error where momentum does not change by the forces found
    start = recording.contact_start
    for step in range(8):
        force = torch.as_tensor(recording.contact_force[int(start[step]) : int(start[step + 1])]).double().sum(0)
        change = (t.body_v[step + 1, 0, 0, :3] - t.body_v[step, 0, 0, :3]) / simulator.options.step
        change[2] += G
        assert torch.allclose(force.abs(), change.abs(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("free", [False, True])
def test_worlds_that_take_one_solve_do_not_see_those_that_take_more(free):
    """A landing beside a body at rest, in one batch and alone: the same states and gradients to the bit."""
    model = landing("box", free, False).finalize(dtype="float64")
    simulator = Simulator(model, threads=1)
    state = model.state(2)
    state.body_v[1] = 0.0

    def rolled(worlds):
        v = state.body_v[worlds].clone().requires_grad_()
        final = simulator.rollout(State(state.body_q[worlds], v), steps=4).final
        (final.body_q.sum() + final.body_v.square().sum()).backward()
        return final.body_v.detach(), v.grad

    both = rolled([0, 1])
    for world in range(2):
        alone = rolled([world])
        assert torch.equal(both[0][world], alone[0][0])
        assert torch.equal(both[1][world], alone[1][0])
