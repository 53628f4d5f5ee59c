"""Softened contact against randomized smoothing, by quadrature, and against closed forms."""

import functools
import itertools
import math

import numpy as np
import pytest
import torch
import warp as wp
from scenes import G, push, push_targets, sphere_on_ground
from scipy import integrate, stats

from carom.kernels.contact import softened
from carom.sim import LogBarrier, ModelBuilder, Simulator, Softplus

NOISE = {"softplus": stats.logistic(), "log_barrier": stats.t(df=2)}
FUNCTIONS = {"softplus": Softplus, "log_barrier": LogBarrier}


@functools.cache
def evaluator(dtype):
    function = softened.make_function(dtype)

    @wp.kernel(enable_backward=False, module="unique")
    def evaluate(
        z: wp.array(dtype=dtype), beta: dtype, mode: dtype, load: wp.array(dtype=dtype), slope: wp.array(dtype=dtype)
    ):
        i = wp.tid()
        load[i] = function.load(z[i], beta, mode)
        slope[i] = function.slope(z[i], beta, mode)

    return evaluate


def evaluate(kind, z, beta, dtype=wp.float64):
    """Load p(z) and slope p'(z) as the kernels compute them, float64 arrays."""
    z = wp.array(z, dtype=dtype, device="cpu")
    out = [wp.zeros_like(z), wp.zeros_like(z)]
    inputs = [z, dtype(beta), dtype(softened.MODES[kind])]
    wp.launch(evaluator(dtype), dim=len(z), inputs=inputs, outputs=out, device="cpu")
    return [x.numpy().astype(float) for x in out]


@pytest.mark.parametrize("kind", NOISE)
def test_impulse_is_the_mean_of_hard_contact_over_the_matching_noise(kind):
    """E max(z + beta e, 0) and its derivative P(z + beta e > 0), to 1e-10 of beta, up to where the fade begins."""
    beta, noise = 0.3, NOISE[kind]
    z = beta * np.array([-11.9, -8.0, -3.0, -1.0, -0.1, 0.0, 0.2, 1.0, 4.0, 20.0])
    load, slope = evaluate(kind, z, beta)
    for z_i, load_i, slope_i in zip(z, load, slope, strict=True):
        # E max(z + beta e, 0) is beta times the integral of the tail P(e > t) from -z/beta on
        tail, error = integrate.quad(noise.sf, -z_i / beta, np.inf, epsabs=1e-14, epsrel=1e-13, limit=500)
        assert error < 1e-11
        assert load_i == pytest.approx(beta * tail, abs=1e-10 * beta)
        assert slope_i == pytest.approx(noise.sf(-z_i / beta), abs=1e-10)


@pytest.mark.parametrize("kind", NOISE)
def test_both_tails_keep_their_digits_in_single_precision(kind):
    t = np.concatenate([-np.geomspace(1e-4, 0.99 * softened.REACH[kind], 60), np.geomspace(1e-4, 1e6, 60)])
    beta = 0.37
    single = np.float32(t * beta).astype(float)  # the same numbers for both
    exact, found = (evaluate(kind, single, np.float32(beta), dtype) for dtype in (wp.float64, wp.float32))
    for a, b in zip(exact, found, strict=True):
        # t is rounded before exp sees it: an error of |t| units
        np.testing.assert_array_less(np.abs(b - a), 2.4e-7 * (4 + np.minimum(np.abs(t), 24)) * np.abs(a))


@pytest.mark.parametrize("kind", NOISE)
def test_impulse_fades_to_zero_without_a_jump_and_never_falls(kind):
    reach = softened.REACH[kind]
    t = np.linspace(-1.05 * reach, 0.0, 40001)
    load, slope = evaluate(kind, t, 1.0)
    assert not load[t <= -reach].any()
    assert load[t > -0.999 * reach].all()
    assert (np.diff(load) >= 0).all()
    # the slope that is used is the slope that is there, also in the fade
    middle = 0.5 * (slope[1:] + slope[:-1])
    np.testing.assert_allclose(np.diff(load) / np.diff(t), middle, atol=1e-6 * slope.max())


def wall(mass=1.0, stiffness=None, damping=None, velocity=-0.4):
    """A ball without friction that can only move along the normal of a wall; no gravity."""
    b = ModelBuilder(gravity=(0, 0, 0))
    b.add_ground(friction=0.0, stiffness=stiffness, damping=damping)
    ball = b.add_body(position=(0, 0, 0.01), velocity=(0, 0, velocity), mass=mass, locked=("x", "y", "angular"))
    b.add_sphere(ball, 0.01, friction=0.0, stiffness=stiffness, damping=damping)
    return b


def one_step(builder, gaps, **options):
    """Velocity after a step from each gap, and its derivative by the gap."""
    model = builder.finalize(dtype="float64")
    state = model.state(len(gaps))
    state.body_q[:, 0, 2] += torch.as_tensor(gaps)
    state.body_q.requires_grad_()
    v = Simulator(model, tolerance=1e-14, **options).step(state).body_v[:, 0, 2]
    (slope,) = torch.autograd.grad(v.sum(), state.body_q)
    return v.detach().numpy(), slope[:, 0, 2].numpy()


def panels(low, high, count, order=20):
    """Gauss-Legendre nodes and weights on ``count`` equal panels."""
    x, w = np.polynomial.legendre.leggauss(order)
    edges = np.linspace(low, high, count + 1)
    half = 0.5 * np.diff(edges)[:, None]
    return ((edges[:-1, None] + half) + half * x).ravel(), (half * w).ravel()


def student_nodes(scale, kink):
    """Nodes and weights of the mean over Student-t noise (2 degrees of freedom), exact for a kink there.

    With e = sqrt(2) scale tan(a), the density is cos(a)/2 da, which tames the heavy tail.
    """
    bend = math.atan(kink / (math.sqrt(2) * scale))
    parts = [panels(-math.pi / 2, bend, 1, 30), panels(bend, math.pi / 2, 1, 30)]
    a, w = (np.concatenate(x) for x in zip(*parts, strict=True))
    return math.sqrt(2) * scale * np.tan(a), 0.5 * np.cos(a) * w


def logistic_nodes(scale, kink):
    parts = [panels(-40 * scale, kink, 12), panels(kink, 40 * scale, 12)]
    e, w = (np.concatenate(x) for x in zip(*parts, strict=True))
    return e, stats.logistic(scale=scale).pdf(e) * w


def against_smoothing(builder, function, gaps, nodes, free_gap, b, **options):
    """Compare a softened step with the mean of hard ones over noise on the gap.

    ``free_gap`` is the distance looked ahead to, (h + d/k) times the approach: the kink is where gap + noise is that.
    """
    found = one_step(builder, gaps, softening=function, **options)
    for i, gap in enumerate(gaps):
        e, w = nodes(free_gap - gap)
        hard = one_step(builder, gap + e, **options)
        for soft, each in zip(found, hard, strict=True):
            scale = np.abs(each).max() if b < 1e-6 else 1.0
            assert soft[i] == pytest.approx(w @ each, rel=0, abs=1e-10 * scale)


H = 0.005


@pytest.mark.parametrize("mass", [1.0, 0.003])
def test_a_step_is_the_mean_of_hard_steps_over_student_t_noise_on_the_gap(mass):
    """A near-rigid contact: a log barrier stays one when solved, with its width times sqrt(1 + b/m)."""
    width, v = 2e-4, -0.4
    k = mass * (2 * math.pi / H) ** 2
    d = 2 * math.sqrt(k * mass)
    b = H * H * k + H * d
    gaps = np.array([-1e-3, 0.0, 1e-3, 3e-3, 8e-3])
    nodes = functools.partial(student_nodes, width * math.sqrt(1 + b / mass))
    against_smoothing(wall(mass, velocity=v), LogBarrier(width), gaps, nodes, -(H + d / k) * v, b, step=H)


def test_a_step_is_the_mean_of_hard_steps_over_logistic_noise_on_the_gap():
    """A weak contact, whose impulse does not change the velocity that it depends on."""
    width, k = 1e-3, 1e-8
    gaps = np.array([-4e-3, -1e-3, 0.0, 1e-3, 2e-3, 8e-3])
    builder = wall(1.0, stiffness=k, damping=0.0, velocity=0.0)
    against_smoothing(builder, Softplus(width), gaps, functools.partial(logistic_nodes, width), 0.0, H * H * k, step=H)


def test_a_near_rigid_softplus_step_is_the_mean_of_hard_steps_over_the_noise_that_its_solve_implies():
    """For the impulse g(u) of a solved contact, u its free excess, that noise has the density (1 + b/m) g''(-e)."""
    mass, width, v = 1.0, 1e-3, -0.4
    k = mass * (2 * math.pi / H) ** 2
    d = 2 * math.sqrt(k * mass)
    b, beta = H * H * k + H * d, H * k * width

    def nodes(kink):
        def free(z):
            return z + b / mass * beta * np.logaddexp(0.0, z / beta)

        # the node at which noise -free(z)/(-h k) on the gap is at the kink
        low, high = -60 * beta, 60 * beta
        for _ in range(200):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if free(middle) < H * k * kink else (low, middle)
        parts = [panels(-40 * beta, low, 30), panels(low, 40 * beta, 30)]
        z, w = (np.concatenate(x) for x in zip(*parts, strict=True))
        s = stats.logistic.cdf(z / beta)
        return free(z) / (H * k), w * (1 + b / mass) * s * (1 - s) / beta / (1 + b / mass * s) ** 2

    against_smoothing(wall(mass, velocity=v), Softplus(width), np.array([-1e-3, 0.0, 3e-3]), nodes,
                      -(H + d / k) * v, b, step=H)  # fmt: skip


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_what_rests_floats_where_the_force_is_its_weight(kind):
    """k w log(1 + exp(-g/w)) = m g, and the same for the log barrier; independent of the mass."""
    width = {"softplus": 3e-4, "log_barrier": 1e-4}[kind]
    k = (2 * math.pi / H) ** 2
    sunk = G / k
    height = {
        "softplus": -width * math.log(math.expm1(sunk / width)),
        "log_barrier": width**2 / (2 * sunk) - sunk,
    }[kind]
    for mass in (0.01, 5.0):
        model = sphere_on_ground(mass=mass, lift=height + 1e-4).finalize(dtype="float64")
        t = Simulator(model, step=H, softening=FUNCTIONS[kind](width)).rollout(model.state(), steps=1500, record=False)
        assert float(t.final.body_q[0, 0, 2]) - 0.1 == pytest.approx(height, rel=1e-4)


def test_width_to_zero_is_hard_contact():
    """Of a push whose every contact is softened. The log barrier is off by the square of the width where contacts carry
    load (w^2/2 over the depth), softplus by exp(-depth/w), once widths are below the depths, some micrometres."""
    model = push().finalize(dtype="float64")
    control = push_targets(32, distance=0.03)

    def end(**options):
        q = Simulator(model, **options).rollout(model.state(), control, record=False).final.body_q[0]
        return torch.cat([q[:, :2].reshape(-1), q[0, 5:6]])

    hard = end()
    off = {
        kind: [float((end(softening=function(3e-6 / 4**i)) - hard).norm()) for i in (1, 2)]
        for kind, function in FUNCTIONS.items()
    }
    rates = {kind: [math.log(a / b) / math.log(4) for a, b in itertools.pairwise(x)] for kind, x in off.items()}
    assert rates["log_barrier"][-1] == pytest.approx(2.0, abs=0.1)
    assert min(rates["softplus"]) > 2.0
