"""The closed forms of the testbeds, against numerical integration and against central differences."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from carom.envs import make, tasks
from carom.envs.registry import TESTBEDS
from carom.envs.testbeds import (
    BallWithWall,
    BernoulliToy,
    Bounce,
    BoxOnBox,
    Choice,
    Curling,
    DiscIndicator,
    DiscPacking,
    DoublePendulum,
    DragByFriction,
    GapPush,
    GrazingPush,
    HalfPlane,
    Heaviside,
    Horizon,
    Linear,
    MomentumTransfer,
    Quadratic,
    ScalarContact,
    StiffnessSweep,
    TentMap,
    TwoDiscs,
)

SMOOTHED = [
    Heaviside(),
    Heaviside(dimension=3),
    HalfPlane(),
    HalfPlane(normal=(1.0, -2.0, 0.5, 3.0), offset=0.3),
    DiscIndicator(),
    GrazingPush(length=0.3, half_width=0.07),
    GapPush(gap=0.02),
    BoxOnBox(),
    ScalarContact(),
    ScalarContact(softening="softplus", width=0.02),
    Linear(),
    Quadratic(),
    Quadratic(hessian=[[1.0, 0.2, 0.0], [0.2, -0.5, 0.1], [0.0, 0.1, 3.0]]),
    Horizon(steps=5),
    BallWithWall(),
    MomentumTransfer(),
    TentMap(steps=1),
    TentMap(steps=4),
    Bounce(),
    Bounce(method="fixed_step", steps=30),
]

SHORT = [
    Curling(steps=12),
    StiffnessSweep(stiffness=1e4, softening=1e-3, steps=12),
    DragByFriction(steps=12),
    DoublePendulum(steps=30),
    DiscPacking(discs=8, steps=12),
    TwoDiscs(),
    TwoDiscs(method="fixed_step", steps=48),
    Choice(),
    BernoulliToy(),
]
"""Those without an average in closed form, short enough to be cheap."""


def label(objective: object) -> str:
    return f"{objective.name}{len(objective.parameter_names)}"  # type: ignore[attr-defined]


def test_all_are_registered() -> None:
    assert {task.name for task in TESTBEDS} <= set(tasks())
    assert {type(objective).name for objective in SMOOTHED + SHORT} | {"curling_stiff"} == {t.name for t in TESTBEDS}
    for task in TESTBEDS:
        assert isinstance(make(task.name), task)
        assert task.description


@pytest.mark.parametrize("objective", SMOOTHED + SHORT, ids=label)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_interface(objective, dtype):
    theta = objective.initial_parameters(dtype=dtype)
    assert theta.shape == (len(objective.parameter_names),)
    assert objective.initial_parameters().dtype == torch.float64
    assert objective.smoothing_scale > 0
    batch = torch.stack([theta, theta + 0.01])
    values, gradients = objective.value_and_gradient(batch)
    assert values.shape == (2,)
    assert gradients.shape == batch.shape
    assert values.dtype == gradients.dtype == dtype
    assert torch.equal(values, objective(batch))
    # rows do not affect each other, and a single row is a batch of one
    assert torch.allclose(values[1], objective(batch[1:])[0], rtol=1e-5)
    assert torch.allclose(values[1], objective(batch[1]), rtol=1e-5)
    if objective in SMOOTHED:
        assert objective.smoothed_value(batch, 0.05).dtype == dtype
        assert objective.smoothed_value(batch, 0.05).shape == (2,)
        assert objective.smoothed_gradient(batch, 0.05).shape == batch.shape
        with pytest.raises(ValueError, match="scale"):
            objective.smoothed_value(batch, 0.0)
    with pytest.raises(ValueError, match=objective.name):
        objective(torch.zeros(2, len(theta) + 1, dtype=dtype))


ONE = [o for o in SMOOTHED if len(o.parameter_names) == 1]
BREAKS = {
    "heaviside": [0.0],
    "grazing_push": [-0.07, 0.07],
    "gap_push": [0.02],
    "box_on_box": [1.0],
    "scalar_contact": [0.0],
    "ball_with_wall": np.linspace(-2.0, 4.0, 2001),
    "momentum_transfer": [-math.pi / 4, math.pi / 4],
    "tent_map": np.arange(-16, 32) / 16,
    "bounce": np.append(0.1 + 0.004 * np.arange(30), 0.916),
}


@pytest.mark.parametrize(
    "objective", ONE, ids=lambda o: f"{o.name}-{getattr(o, 'method', '')}{getattr(o, 'steps', '')}"
)
@pytest.mark.parametrize("shift", [-0.06, 0.0, 0.013, 0.1])
def test_smoothed_value_by_quadrature(objective, shift):
    scale = 0.05
    x = float(objective.initial_parameters()[0]) + (
        0.5 if objective.name in ("ball_with_wall", "momentum_transfer") else 0
    )
    x += shift

    def integrand(w):
        rows = torch.as_tensor(x + scale * np.atleast_1d(w))[:, None]
        return objective(rows).numpy() * stats.norm.pdf(w)

    edges = (np.asarray(BREAKS[objective.name], dtype=float) - x) / scale
    pieces = [-8.5, *sorted(edges[(edges > -8.5) & (edges < 8.5)]), 8.5]
    if objective.name == "ball_with_wall":  # jumps looked for, not taken from the code under test
        values = objective(torch.as_tensor(x + scale * np.asarray(pieces))[:, None]).numpy()
        pieces = sorted({*pieces[:1], *bisected(objective, x, scale, pieces, values), *pieces[-1:]})
    nodes, weights = np.polynomial.legendre.leggauss(80)
    expected = 0.0
    for low, high in itertools.pairwise(pieces):
        for part in np.linspace(low, high, 2 + int((high - low) / 0.5))[:-1]:
            wide = (high - low) / (1 + int((high - low) / 0.5))
            expected += 0.5 * wide * weights @ integrand(part + 0.5 * wide * (nodes + 1.0))
    got = float(objective.smoothed_value(torch.tensor([x], dtype=torch.float64), scale))
    assert got == pytest.approx(expected, abs=2e-12)


def bisected(objective, x, scale, grid, values):
    """Places of jumps and kinks: where second differences on the grid stand out, refined by bisection on jumps."""
    found = []
    for (low, a), (high, b) in itertools.pairwise(zip(grid, values, strict=True)):
        if abs(b - a) < 2e-4:  # the slope alone makes 3e-5 a cell at most; the jump is 4e-3
            continue
        for _ in range(60):
            middle = 0.5 * (low + high)
            at = float(objective(torch.tensor([[x + scale * middle]], dtype=torch.float64)))
            low, high = (middle, high) if abs(at - a) < abs(at - b) else (low, middle)
        found.append(high)
    kinks = [0.5 * math.asin(0.06 * 9.81), 0.5 * math.pi - 0.5 * math.asin(0.06 * 9.81)]
    return found + [w for w in ((k - x) / scale for k in kinks) if grid[0] < w < grid[-1]]


@pytest.mark.parametrize(
    "objective", [o for o in SMOOTHED if o.name in ("heaviside", "quadratic", "horizon", "linear")]
)
def test_smoothed_value_by_tensor_quadrature(objective):
    # Gauss-Hermite is exact for polynomials; the orthant is a product of one-dimensional probabilities.
    count = len(objective.parameter_names)
    scale = torch.tensor([0.05, 0.1, 0.2, 0.15, 0.3][:count], dtype=torch.float64)
    theta = torch.tensor([0.03, -0.02, 0.1, 0.4, -0.2][:count], dtype=torch.float64)
    if isinstance(objective, Heaviside):
        expected = np.prod([stats.norm.cdf(t / s) for t, s in zip(theta.tolist(), scale.tolist(), strict=True)])
    else:
        nodes, weights = np.polynomial.hermite_e.hermegauss(3)
        index = np.array(list(itertools.product(range(3), repeat=count)))
        mass = torch.as_tensor((weights / weights.sum())[index].prod(1))
        expected = float(objective(theta + scale * torch.as_tensor(nodes[index])) @ mass)
    assert float(objective.smoothed_value(theta, scale)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("x", [0.0, 0.03, 0.099, 0.2])
def test_disc_and_half_plane_by_quadrature(x):
    # Along lines of constant first coordinate the indicators are intervals, whose probability scipy knows.
    scale, y = 0.04, -0.02
    disc, plane = DiscIndicator(), HalfPlane(offset=0.02)

    def chord(w):
        half = math.sqrt(max(0.0, 0.1**2 - (x + scale * w) ** 2))
        return stats.norm.pdf(w) * (stats.norm.cdf((half - y) / scale) - stats.norm.cdf((-half - y) / scale))

    def side(w):
        return stats.norm.pdf(w) * stats.norm.sf(((0.02 - 0.6 * (x + scale * w)) / 0.8 - y) / scale)

    ends = [(-0.1 - x) / scale, (0.1 - x) / scale]
    theta = torch.tensor([x, y], dtype=torch.float64)
    expected = integrate.quad(chord, *ends, epsabs=1e-13, limit=200)[0]
    assert float(disc.smoothed_value(theta, scale)) == pytest.approx(expected, abs=1e-10)
    expected = integrate.quad(side, -9, 9, epsabs=1e-13, limit=200)[0]
    assert float(plane.smoothed_value(theta, scale)) == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("objective", SMOOTHED, ids=label)
def test_smoothed_gradient_is_the_slope_of_the_smoothed_value(objective):
    theta = objective.initial_parameters() + 0.017
    for scale in (0.05, 0.3):
        got = objective.smoothed_gradient(theta, scale)
        h = 0.004 * scale
        for i in range(len(theta)):
            step = torch.zeros_like(theta)
            step[i] = h
            # Five-point stencil: error h^4 F^(5) / 30, below 1e-9 of |F|/scale.
            f = [float(objective.smoothed_value(theta + k * step, scale)) for k in (-2, -1, 1, 2)]
            slope = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h)
            assert float(got[i]) == pytest.approx(slope, rel=1e-7, abs=2e-9)


@pytest.mark.parametrize("objective", SMOOTHED + SHORT, ids=label)
def test_exact_gradient_by_differences(objective):
    theta = objective.initial_parameters()[None] + 0.0171
    gradient = objective.value_and_gradient(theta)[1][0]
    h = 1e-6
    for i in range(theta.shape[1]):
        step = torch.zeros_like(theta)
        step[0, i] = h
        difference = float(objective(theta + step) - objective(theta - step)) / (2 * h)
        size = float(objective(theta).abs()) + float(gradient.abs().max())
        assert float(gradient[i]) == pytest.approx(difference, rel=1e-6, abs=2e-9 * max(1.0, size))


@pytest.mark.parametrize("softening", ["log_barrier", "softplus"])
@pytest.mark.parametrize("u", [-0.4, -0.02, 0.0, 0.007, 0.3])
def test_softened_contact_is_smoothed_hard_contact(softening, u):
    contact = ScalarContact(softening=softening, width=0.02)
    # the noise as the literature names it, not as the class has it
    noise = stats.t(2, scale=math.sqrt(2.0) * 0.02) if softening == "log_barrier" else stats.logistic(scale=0.02)
    w = np.linspace(-0.3, 0.3, 31)
    np.testing.assert_allclose(contact.noise_density(torch.as_tensor(w)).numpy(), noise.pdf(w), rtol=1e-12)
    value, slope = contact.value_and_gradient(torch.tensor([[u]], dtype=torch.float64))
    assert float(slope) == pytest.approx(noise.cdf(u), abs=1e-12)
    # E max(u + w, 0) is the integral of the distribution function up to u
    parts = [integrate.quad(noise.cdf, a, b, epsabs=1e-13)[0] for a, b in ((-np.inf, -1.0), (-1.0, u))]
    assert float(value) == pytest.approx(sum(parts), abs=1e-10)


def test_variances_of_the_smooth_problems_are_moments():
    # Gauss-Hermite with 5 nodes is exact for these polynomials of the noise, of degree up to 6 in each coordinate.
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    for objective in (Linear(slope=(1.0, -0.3)), Quadratic(), Horizon(steps=3, growth=1.2)):
        theta, scale = objective.initial_parameters(), 0.3
        index = np.array(list(itertools.product(range(5), repeat=len(theta))))
        mass = torch.as_tensor((weights / weights.sum())[index].prod(1))[:, None]
        w = torch.as_tensor(nodes[index])
        value, first = objective.value_and_gradient(theta + scale * w)
        zeroth = (value - objective(theta))[:, None] * w / scale
        for order, samples in (("first", first), ("zeroth", zeroth)):
            law = getattr(objective, f"{order}_order_variance", None)
            if law is not None:
                moment = (mass * samples.square()).sum() - (mass * samples).sum(0).square().sum()
                assert float(law(theta, scale)) == pytest.approx(float(moment), rel=1e-11), (objective.name, order)


def test_expected_cost_of_choices():
    for choice in (Choice(), BernoulliToy()):
        theta = torch.randn(
            3, len(choice.parameter_names), dtype=torch.float64, generator=torch.Generator().manual_seed(0)
        )
        odds = theta.exp() / theta.exp().sum(-1, keepdim=True)
        every = choice.cost(torch.arange(theta.shape[1]))
        assert torch.allclose(choice(theta), odds @ every, rtol=1e-14)
        corners = torch.eye(theta.shape[1], dtype=torch.float64)
        assert torch.allclose(choice.relaxed_cost(corners), every)
    toy = BernoulliToy()
    assert toy.cost(torch.tensor([0, 1])).tolist() == pytest.approx([0.499**2, 0.501**2], rel=1e-15)
    with pytest.raises(ValueError, match="choices must lie in"):
        toy.cost(torch.tensor([2]))
    with pytest.raises(ValueError, match="integers"):
        toy.cost(torch.tensor([0.0]))


@pytest.mark.parametrize(
    ("make_one", "words"),
    [
        (lambda: Heaviside(dimension=0), "dimension"),
        (lambda: HalfPlane(normal=(0.0, 0.0)), "not zero"),
        (lambda: DiscIndicator(radius=0.0), "radius"),
        (lambda: DiscIndicator().smoothed_value(torch.zeros(2, dtype=torch.float64), [0.1, 0.2]), "same for both"),
        (lambda: GrazingPush(length=-1.0), "length"),
        (lambda: GrazingPush(half_width=float("nan")), "half_width"),
        (lambda: GapPush(gap=float("inf")), "gap"),
        (lambda: Linear(slope=()), "slope"),
        (lambda: Quadratic(hessian=[[1.0, 2.0], [0.0, 1.0]]), "symmetric"),
        (lambda: Quadratic(hessian=[[1.0, 2.0]]), "square"),
        (lambda: Horizon(steps=0), "steps"),
        (lambda: ScalarContact(softening="relu"), "softplus"),
        (lambda: TentMap(steps=50)(torch.zeros(1, 1, dtype=torch.float64)), "40 steps"),
        (lambda: TentMap(steps=20)(torch.zeros(1, 1)), "float64"),
        (lambda: Curling(stiffness=-1.0), "stiffness"),
        (lambda: Curling(damping=1.5), "damping"),
        (lambda: DiscPacking(discs=7), "even"),
        (lambda: DiscPacking()(torch.tensor([[-0.1]])), "positive"),
        (lambda: Bounce(method="exact"), "time_of_impact"),
        (lambda: TwoDiscs(positions=((0.0, 0.0), (0.1, 0.0))), "overlap"),
        (lambda: TwoDiscs()(torch.tensor([[40.0, 40.0]])), "second collision"),
        (lambda: Choice(costs=(1.0,)), "two"),
        (lambda: BernoulliToy(costs=(1.0, 2.0)), "target"),
    ],
)
def test_bad_options(make_one, words):
    with pytest.raises(ValueError, match=words):
        make_one()
