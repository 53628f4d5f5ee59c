"""Fast impacts with stiff friction: the right answer in both precisions and both solvers.

Friction is a damper of load mu / stiction against the masses: at 1000 m/s and 1e-6 m/s, 1e11 times a mass a step, which
single precision cannot hold beside the masses. The dense solver used to take such a world for solved before the first
iteration, or to end in NaN.
"""

import itertools
import math
import warnings

import pytest
import torch
from scenes import about

from carom.sim import ConvergenceError, ModelBuilder, Simulator

SPEEDS = (1.0, 10.0, 100.0, 1000.0)
FRICTIONS = (0.0, 0.5, 1.0, 3.0)
SHAPES = ("ball", "box", "rod", "capsule")
DOWN = (0.6, 0.0, -0.8)


def scene(shape, dtype, others):
    """The shape just above the ground; ``others`` more bodies far away make the world one for the island solver."""
    b = ModelBuilder()
    b.add_ground()
    if shape == "ball":
        body = b.add_body(position=(0, 0, 0.07))
        b.add_sphere(body, 0.05)
    elif shape == "box":
        body = b.add_body(position=(0, 0, 0.12), rotation=about((1, 2, 3), 0.5))
        b.add_box(body, (0.06, 0.05, 0.04))
    else:
        half, tilt = (0.5, 0.8) if shape == "rod" else (0.1, 0.1)
        body = b.add_body(position=(0, 0, half * math.sin(tilt) + 0.03), rotation=about((0, 1, 0), math.pi / 2 - tilt))
        b.add_capsule(body, 0.01, half)
    for i in range(others):
        other = b.add_body(position=(1e3 + i, 0, 0.05))
        b.add_sphere(other, 0.05)
    return b.finalize(dtype=dtype)


def ends(shape, dtype, stiction, others=0, steps=4):
    """Velocity of the body at the end, in parts of its speed, for SPEEDS and FRICTIONS; nan: an error says so."""
    model = scene(shape, dtype, others)
    simulator = Simulator(model, stiction=stiction, threads=1, allow_overlap=True)
    found = []
    for speed, mu in itertools.product(SPEEDS, FRICTIONS):
        state = model.state()
        state.body_v[:, 0, :3] = speed * torch.tensor(DOWN, dtype=model.dtype)
        values = {"shape_friction": torch.full((1, model.shapes), mu, dtype=model.dtype)}
        try:
            t = simulator.rollout(state, parameters=values, steps=steps)
        except ConvergenceError:
            found.append(torch.full((6,), math.nan, dtype=torch.float64))
            continue
        v = t.final.body_v[0, 0].double() / speed
        v[3:] *= 0.05  # the speed of a point at 5 cm
        found.append(v)
    return torch.stack(found)


def check(shape, stictions):
    for stiction in stictions:
        wanted = ends(shape, "float64", stiction)
        for dtype, others in (("float64", 2), ("float32", 0), ("float32", 2)):
            gap = (ends(shape, dtype, stiction, others) - wanted).abs().amax(dim=1)
            solved = ~gap.isnan()
            # single precision knows a slip at 10 m/s to a tenth of a stiction speed of 1e-5 m/s: friction to a tenth;
            # where it knows it to less than the stiction speed, friction that sticks is off, and a warning says so
            coarse = torch.tensor([torch.finfo(torch.float32).eps * v > stiction for v in SPEEDS for _ in FRICTIONS])
            bound = torch.where(coarse, 5e-2, 5e-3) if dtype == "float32" else torch.full((len(gap),), 1e-6)
            bound = bound[solved]
            assert (gap[solved] < bound).all(), (stiction, dtype, others, gap)
            # the extremes may end in an error: not more than four of sixteen
            assert solved.sum() >= len(gap) - 4, (stiction, dtype, others, gap)


@pytest.mark.filterwarnings("ignore::carom.sim.SimulationWarning")
@pytest.mark.parametrize("shape", ["ball", "box"])
def test_fast_impacts_are_those_of_double_precision(shape):
    check(shape, (1e-3, 1e-6))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::carom.sim.SimulationWarning")
@pytest.mark.parametrize("shape", SHAPES)
def test_fast_impacts_are_those_of_double_precision_for_all(shape):
    check(shape, (1e-3, 1e-4, 1e-5, 1e-6))


@pytest.mark.parametrize("others", [0, 2])
def test_a_leaning_rod_slides_and_sticks(others):
    """A metre long, 2 cm thick, in single precision at a friction of 2 and 3: it used not to converge."""
    for mu in (2.0, 3.0):
        for angle in (0.52, 1.31):
            b = ModelBuilder()
            b.add_ground(friction=mu)
            body = b.add_body(
                position=(0, 0, 0.5 * math.sin(angle) + 0.015), rotation=about((0, 1, 0), math.pi / 2 - angle),
                velocity=(-6.0, 0, 0),
            )  # fmt: skip
            b.add_capsule(body, 0.01, 0.5, friction=mu)
            for i in range(others):
                ball = b.add_body(position=(50 + i, 0, 0.05))
                b.add_sphere(ball, 0.05)
            model = b.finalize()
            t = Simulator(model, threads=1).rollout(model.state(), steps=150)
            assert t.diagnostics.penetration[0] < 1e-3
            assert t.final.body_q[0, 0, 2] > 0.009


def landing(dtype, others, stiction, speed, mu, resolve_slip):
    """Height of a ball after 12 steps [m], and whether an error or a warning names it."""
    model = scene("ball", dtype, others)
    state = model.state()
    state.body_v[:, 0, :3] = speed * torch.tensor(DOWN, dtype=model.dtype)
    values = {"shape_friction": torch.full((1, model.shapes), mu, dtype=model.dtype)}
    simulator = Simulator(model, stiction=stiction, threads=1, resolve_slip=resolve_slip)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            height = simulator.rollout(state, parameters=values, steps=12).final.body_q[0, 0, 2].item()
        except ConvergenceError:
            return -math.inf, True
    return height, any("inside each other" in str(x.message) and "sphere" in str(x.message) for x in said)


@pytest.mark.slow
@pytest.mark.parametrize("others", [0, 2])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_no_oblique_landing_goes_through_the_ground_in_silence(dtype, others):
    """The law lets a body sink by h mu times the slip that ends in a step, in both precisions: by 4 m at 1000 m/s."""
    through = {}
    for resolve_slip in (False, True):
        for stiction, speed, mu in itertools.product((1e-3, 1e-6), SPEEDS[1:], FRICTIONS[1:]):
            height, told = landing(dtype, others, stiction, speed, mu, resolve_slip)
            if height < 0.0:  # the ball's centre is below the ground
                through.setdefault(resolve_slip, []).append((stiction, speed, mu, height, told))
    assert all(told for cases in through.values() for *_, told in cases), through
    assert (1e-3, 1000.0, 3.0) in [case[:3] for case in through[False]]
    assert not [case for case in through.get(True, []) if case[3] > -math.inf], through[True]


@pytest.mark.parametrize(("dtype", "speed", "stiction", "told"), [
    ("float32", 100.0, 1e-6, True),
    ("float32", 100.0, 1e-3, False),
    ("float32", 1.0, 1e-6, False),
    ("float64", 1000.0, 1e-6, False),
])  # fmt: skip
def test_a_speed_that_is_not_known_to_the_stiction_speed_is_told_once(dtype, speed, stiction, told):
    model = scene("ball", dtype, 0)
    simulator = Simulator(model, stiction=stiction, threads=1, allow_overlap=True)
    state = model.state()
    state.body_v[:, 0, 0] = speed
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for _ in range(2):
            simulator.rollout(state, steps=1)
    said = [str(one.message) for one in found if "stiction speed" in str(one.message)]
    assert len(said) == told
    assert all("body0" in one and "100 m/s" in one and "float64" in one for one in said)
