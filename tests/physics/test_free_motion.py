"""Bodies that touch nothing: parabola, tumbling, the flip about the middle axis, locked axes, actuators."""

import math
import warnings

import pytest
import torch
from scenes import G, about, free_body, kinetic_energy, run, spin_momentum, unrotate
from scipy.special import ellipk

from carom.sim import ModelBuilder, SimulationWarning, Simulator

ROUNDING = {"float32": 2e-5, "float64": 1e-12}  # of a few hundred additions of numbers up to ten


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parabola(device, dtype):
    h, steps, v0 = 0.01, 100, (1.0, 2.0, 3.0)
    t = run(free_body(gravity=(0, 0, -G), velocity=v0), device=device, dtype=dtype, steps=steps, step=h)
    x, v = t.body_q[:, 0, 0, :3].double().cpu(), t.body_v[:, 0, 0, :3].double().cpu()
    n = torch.arange(steps + 1, dtype=torch.float64)
    # symplectic Euler, exactly: v_n = v0 - n h g and x_n = n h v0 - n (n + 1)/2 h^2 g
    assert torch.allclose(v[:, 2], v0[2] - n * h * G, rtol=0, atol=ROUNDING[dtype])
    assert torch.allclose(x[:, 2], n * h * v0[2] - n * (n + 1) / 2 * h * h * G, rtol=0, atol=ROUNDING[dtype])
    assert torch.allclose(x[:, :2], n[:, None] * h * torch.tensor(v0[:2]), rtol=0, atol=ROUNDING[dtype])
    # and so it lags the parabola by h g t/2
    parabola = v0[2] * n * h - G / 2 * (n * h) ** 2
    assert torch.allclose(parabola - x[:, 2], h * G * n * h / 2, rtol=0, atol=ROUNDING[dtype])


def tumble(h, seconds=2.0, w=(3, 7, 2), **options):
    b = free_body(angular_velocity=w)
    model = b.finalize(**options)
    t = Simulator(model, step=h).rollout(model.state(), steps=round(seconds / h))
    q, v = t.body_q.double().cpu(), t.body_v.double().cpu()
    inertia = model.body_inertia[0].double().cpu()
    momentum = spin_momentum(q[:, 0], v[:, 0], inertia[0])[:, 0]
    energy = kinetic_energy(q, v, model.body_mass[0].double().cpu(), inertia)[:, 0]
    return momentum, energy


def test_tumbling_keeps_energy_and_momentum(device):
    """Both to a few roundings a step, where a step resolves the motion (0.08 and 0.04 rad)."""
    for h, bound in ((0.01, 5e-13), (0.005, 5e-13)):
        momentum, energy = tumble(h, dtype="float64", device=device)
        size = momentum.norm(dim=-1)
        assert ((energy - energy[0]).abs() / energy[0]).max() < bound
        assert ((size - size[0]).abs() / size[0]).max() < bound


def test_tumbling_in_float32():
    """The same with rounding of 6e-8 a quantity a step: a random walk over 800 steps, some 30 times a few of these."""
    momentum, energy = tumble(0.0025, dtype="float32")
    size = momentum.norm(dim=-1)
    assert ((energy - energy[0]).abs() / energy[0]).max() < 5e-6
    assert ((size - size[0]).abs() / size[0]).max() < 5e-6


@pytest.mark.filterwarnings("ignore::carom.sim.SimulationWarning")
@pytest.mark.parametrize("shape", ["rod", "disc", "brick"])
@pytest.mark.parametrize("rate", [600.0, 1000.0, 2000.0])
def test_spin_beyond_what_a_step_resolves_gains_no_energy(shape, rate):
    """3, 5 and 10 rad a step, where the Runge-Kutta step of Euler's equations by itself grows without bound."""
    b = ModelBuilder(gravity=(0.0, 0.0, 0.0))
    body = b.add_body(angular_velocity=(0.6 * rate, 0.1 * rate, 0.8 * rate), name="top")
    {
        "rod": lambda: b.add_capsule(body, 0.01, 0.05),
        "disc": lambda: b.add_cylinder(body, 0.05, 0.005),
        "brick": lambda: b.add_box(body, (0.05, 0.03, 0.01)),
    }[shape]()
    model = b.finalize(dtype="float64")
    t = Simulator(model, step=0.005).rollout(model.state(), steps=200)
    energy = kinetic_energy(t.body_q, t.body_v, model.body_mass[0], model.body_inertia[0])[:, 0]
    assert energy.max() <= energy[0] * 1.001
    assert torch.isfinite(t.body_q).all()


def test_spin_beyond_what_a_step_resolves_is_named():
    def spun(rate, h, shape):
        b = ModelBuilder(gravity=(0.0, 0.0, 0.0))
        body = b.add_body(angular_velocity=(0.0, 0.0, rate), name="top")
        b.add_box(body, (0.05, 0.03, 0.01)) if shape == "brick" else b.add_sphere(body, 0.05)
        model = b.finalize()
        Simulator(model, step=h).rollout(model.state(), steps=1)

    with pytest.warns(SimulationWarning, match=r"'top' ended spinning at 1e\+03 rad/s in world 0, 5 rad a.*0\.0005 s"):
        spun(1000.0, 0.005, "brick")
    with warnings.catch_warnings():
        warnings.simplefilter("error", SimulationWarning)
        spun(1000.0, 0.0005, "brick")
        spun(1000.0, 0.005, "ball")


def test_direction_of_angular_momentum_stays():
    """A step keeps the momentum as a vector: it used to turn by the order of h^2."""
    for h in (0.01, 0.005, 0.0025):
        momentum, _ = tumble(h, dtype="float64")
        assert (momentum - momentum[0]).norm(dim=-1).max() < 1e-13 * momentum[0].norm()


def test_spin_about_the_middle_axis_flips():
    """The middle axis is unstable: a slight wobble grows and the body turns over, again and again.

    Between two flips lies 2 K(m)/p, K the complete elliptic integral (Landau and Lifshitz, Mechanics, section 37).
    """
    h = 0.002
    w = torch.tensor([0.02, 10.0, 0.02], dtype=torch.float64)
    model = free_body(angular_velocity=w.tolist()).finalize(dtype="float64")
    t = Simulator(model, step=h).rollout(model.state(), steps=5000)
    spin = unrotate(t.body_q[:, 0, 0, 3:], t.body_v[:, 0, 0, 3:])[:, 1]
    i1, i2, i3 = model.body_inertia[0, 0].diagonal().tolist()
    assert i1 < i2 < i3
    energy2 = float((model.body_inertia[0, 0].diagonal() * w**2).sum())  # twice the energy
    momentum2 = float(((model.body_inertia[0, 0].diagonal() * w) ** 2).sum())
    if momentum2 < energy2 * i2:  # the formulas are for the other side of the separatrix
        i1, i3 = i3, i1
    rate = math.sqrt((i3 - i2) * (momentum2 - energy2 * i1) / (i1 * i2 * i3))
    m = (i2 - i1) * (energy2 * i3 - momentum2) / ((i3 - i2) * (momentum2 - energy2 * i1))
    between = 2 * ellipk(m) / rate
    times = torch.nonzero(spin[1:] * spin[:-1] < 0)[:, 0].double() * h
    assert len(times) >= 3
    # each flip is known to a step, and the turns about the other axes are advanced to fourth order
    assert ((times[1:] - times[:-1]) - between).abs().max() <= h
    assert spin.min() < -9.99
    assert spin.max() > 9.99
    energy = kinetic_energy(t.body_q, t.body_v, model.body_mass[0], model.body_inertia[0])
    assert ((energy - energy[0]) / energy[0]).abs().max() < 1e-8


def test_an_inertia_given_to_the_rollout_tumbles_like_one_given_to_the_builder():
    """A cube whose inertia is overridden by that of a brick."""
    w = (3.0, 7.0, 2.0)
    brick = free_body(angular_velocity=w).finalize(dtype="float64")
    cube = free_body((0.05, 0.05, 0.05), angular_velocity=w).finalize(dtype="float64")
    wanted = Simulator(brick).rollout(brick.state(), steps=100)
    given = Simulator(cube).rollout(cube.state(), parameters={"body_inertia": brick.body_inertia}, steps=100)
    torch.testing.assert_close(given.final.body_v, wanted.final.body_v, rtol=0, atol=1e-12)


def test_locked_axes_do_not_move(device):
    b = ModelBuilder()
    box = b.add_body(
        position=(1, 2, 3), velocity=(1, 1, 1), angular_velocity=(1, 2, 3), locked=("x", "z", "rx", "ry"), mass=1.0
    )
    b.add_box(box, (0.1, 0.05, 0.02))
    t = run(b, device=device, steps=50)
    q, v = t.body_q[:, 0, 0].cpu(), t.body_v[1:, 0, 0].cpu()
    assert (q[:, 0] == 1.0).all()
    assert (q[:, 2] == 3.0).all()
    assert not v[:, [0, 2, 3, 4]].any()
    assert not q[:, 3:5].any()
    # the free axes go on: y without force, and the turn about z
    assert torch.allclose(q[:, 1], 2.0 + torch.arange(51, dtype=torch.float64) * 0.005, rtol=0, atol=1e-12)
    turn = 2 * torch.atan2(q[:, 5], q[:, 6])
    assert torch.allclose(turn, 3.0 * torch.arange(51, dtype=torch.float64) * 0.005, rtol=0, atol=1e-12)


MASS, INERTIA = 2.0, 0.3


def driven(kind, axis, kp=0.0, kd=0.0, velocity=0.0):
    b = ModelBuilder(gravity=(0, 0, 0))
    spin = axis.startswith("r")
    speed = [velocity if a == axis[-1] else 0.0 for a in "xyz"]
    body = b.add_body(
        mass=MASS, inertia=[[INERTIA, 0, 0], [0, INERTIA, 0], [0, 0, INERTIA]],
        **{"angular_velocity" if spin else "velocity": speed},
    )  # fmt: skip
    b.add_actuator(body, axis, kind, stiffness=kp, damping=kd)
    return b


def coordinate(t, axis):
    index = "xyz".index(axis[-1])
    if axis.startswith("r"):
        q = t.body_q[:, 0, 0]
        return 2 * torch.atan2(q[:, 3 + index], q[:, 6]), t.body_v[:, 0, 0, 3 + index]
    return t.body_q[:, 0, 0, index], t.body_v[:, 0, 0, index]


@pytest.mark.parametrize("axis", ["x", "y", "z", "rx", "ry", "rz"])
def test_position_actuator_is_the_implicit_oscillator(axis):
    """m (v1 - v0) = h (kp (target - x0 - h v1) - kd v1): each step by hand, and the damped oscillation to O(h)."""
    kp, kd, target, h, steps = 50.0, 3.0, 0.3, 0.002, 500
    m = INERTIA if axis.startswith("r") else MASS
    t = run(driven("position", axis, kp, kd), control=torch.full((steps, 1, 1), target, dtype=torch.float64), step=h)
    x, v = coordinate(t, axis)
    x0 = v0 = 0.0
    for k in range(steps):
        v0 = (m * v0 + h * kp * (target - x0)) / (m + h * h * kp + h * kd)
        x0 += h * v0
        assert abs(float(v[k + 1]) - v0) < 1e-11
        assert abs(float(x[k + 1]) - x0) < 1e-11
    decay, rate = kd / (2 * m), math.sqrt(kp / m - (kd / (2 * m)) ** 2)
    time = torch.arange(steps + 1) * h
    exact = target * (1 - torch.exp(-decay * time) * (torch.cos(rate * time) + decay / rate * torch.sin(rate * time)))
    # implicit Euler's local error is h^2/2 of an acceleration of at most kp target/m: h/2 of that in a second
    assert (x - exact).abs().max() < h / 2 * (kp / m) * target


@pytest.mark.parametrize("axis", ["y", "rz"])
def test_velocity_actuator_is_the_implicit_lag(axis):
    """v approaches its target by a factor 1/(1 + h kd/m) a step: exp(-kd t/m) to O(h)."""
    kd, target, start, h, steps = 4.0, 0.5, -0.2, 0.005, 200
    m = INERTIA if axis.startswith("r") else MASS
    t = run(
        driven("velocity", axis, kd=kd, velocity=start),
        control=torch.full((steps, 1, 1), target, dtype=torch.float64), step=h,
    )  # fmt: skip
    _, v = coordinate(t, axis)
    n = torch.arange(steps + 1, dtype=torch.float64)
    exact = target + (start - target) * (1 + h * kd / m) ** -n
    assert (v - exact).abs().max() < 1e-12
    continuous = target + (start - target) * torch.exp(-kd / m * n * h)
    # (1 + z)^-n against exp(-n z): at most z/2 max(t exp(-t)) = z/(2 e) of the start's distance
    assert (v - continuous).abs().max() < 0.7 * h * kd / m / (2 * math.e) * 1.5


@pytest.mark.parametrize("axis", ["z", "rx"])
def test_force_actuator_adds_its_impulse(axis):
    h, forces = 0.01, torch.linspace(-1, 2, 50, dtype=torch.float64)
    m = INERTIA if axis.startswith("r") else MASS
    _, v = coordinate(run(driven("force", axis), control=forces[:, None, None], step=h), axis)
    assert torch.allclose(v[1:], torch.cumsum(forces, 0) * h / m, rtol=0, atol=1e-13)


def test_stiff_actuator_is_stable():
    """A stiffness of 1e9 N/m at 10 ms: the target is reached in the first step and kept."""
    t = run(driven("position", "x", 1e9, 0.0), control=torch.full((20, 1, 1), 0.3, dtype=torch.float64), step=0.01)
    x = t.body_q[1:, 0, 0, 0]
    assert (x - 0.3).abs().max() < 1e-4  # m/(m + h^2 kp) = 2e-5 of the way is missing
    assert abs(float(x[-1]) - 0.3) < 1e-12


def test_rotated_body_reports_the_velocity_of_its_centre_of_mass():
    """A body described off its centre: the model moves the frame to the centre of mass."""
    b = ModelBuilder(gravity=(0, 0, 0))
    body = b.add_body(position=(1, 0, 0), rotation=about((0, 0, 1), math.pi / 2), angular_velocity=(0, 0, 1))
    b.add_box(body, (0.1, 0.1, 0.1), position=(0.5, 0, 0))
    t = run(b, steps=100, step=0.01)
    assert torch.allclose(t.body_q[:, 0, 0, :3], torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64), atol=1e-12)
