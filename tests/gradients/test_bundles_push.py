"""Bundles of a simulated push: first order against differences of the smoothed step, zeroth order against first."""

from __future__ import annotations

import runpy
from pathlib import Path

import torch

from carom.gradients import Bundling
from carom.sim import ModelBuilder, Simulator, SimulatorStep

SCALES = {"state_scale": (1e-3, 1e-3, 0.02, 1e-3, 0.02, 0.02, 0.2, 0.02), "control_scale": 0.02}
"""The pusher meets the box within the step in some samples and not in others."""


def planar_push():
    """A box on ice that moves in a plane, a pusher on a spring along x, 20 ms; and knots: a gap of 1 mm, and none."""
    b = ModelBuilder(gravity=(0, 0, 0))
    box = b.add_body(mass=1.0, locked=("z", "rx", "ry"), name="box")
    b.add_box(box, (0.05, 0.05, 0.05), friction=0.4)
    tip = b.add_body(position=(-0.07, 0.01, 0), mass=0.5, locked=("y", "z", "angular"), name="tip")
    b.add_sphere(tip, 0.02, friction=0.4)
    b.add_actuator(tip, "x", stiffness=1000.0, damping=10.0)
    step = SimulatorStep(Simulator(b.finalize(dtype="float64"), threads=1), substeps=4)
    x = step.coordinates.vector(step.simulator.model.state(1)).repeat(2, 1)
    x[0, 3] -= 1e-3
    x[:, 2] = 0.1
    x[:, 7] = 0.05
    return step, x, torch.tensor([[-0.05], [-0.06]], dtype=torch.float64)


def test_first_order_is_the_slope_of_the_smoothed_step():
    """Same seed, same noise: the mean next state is a function of its own, whose exact slope is the mean Jacobian.

    Central differences of 1e-8 of it: a sample within 1e-8 of meeting the box (scale 1e-3, 120 samples, a slope of
    order 10 that jumps) would show; the seed is fixed and has none.
    """
    step, x, u = planar_push()
    bundle = Bundling(**SCALES, samples=60).bundle(step, x, u, seed=1)
    assert (bundle.B_error[:, 4, 0] > 0.1).all()  # samples differ: some push the box
    values = Bundling(**SCALES, samples=60, order="zeroth")  # the same noise and mean, without Jacobians
    eps = 1e-8
    for k in (2, 3, 7, 8):
        dx, du = torch.zeros_like(x), torch.zeros_like(u)
        (dx if k < 8 else du)[:, k % 8] = eps
        ahead, behind = (values.bundle(step, x + s * dx, u + s * du, seed=1).next_state for s in (1, -1))
        column = bundle.A[:, :, k] if k < 8 else bundle.B[:, :, 0]
        torch.testing.assert_close((ahead - behind) / (2 * eps), column, rtol=1e-5, atol=2e-6)


def test_orders_agree_on_a_continuous_step():
    """z of their difference, 2 knots of 8 rows and 9 columns: at 5 a right pair fails with 1e-4 (normal tails)."""
    step, x, u = planar_push()
    first = Bundling(**SCALES, samples=200).bundle(step, x, u, seed=2)
    zeroth = Bundling(**SCALES, samples=600, order="zeroth").bundle(step, x, u, seed=3)
    a, b = torch.cat([first.A, first.B], 2), torch.cat([zeroth.A, zeroth.B], 2)
    error_a, error_b = torch.cat([first.A_error, first.B_error], 2), torch.cat([zeroth.A_error, zeroth.B_error], 2)
    z = (a - b).abs() / (error_a.square() + error_b.square()).sqrt().clamp_min(1e-9)
    assert float(z.max()) < 5.0
    # contact made by some samples only, and both see it
    assert (zeroth.B[:, 4, 0] > 5.0 * zeroth.B_error[:, 4, 0]).all()


def test_lqr_on_bundles_finds_the_box():
    """The example: 10 cm to a millimetre, where LQR on the exact model never touches the box."""
    names = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "bundled_lqr.py"))
    assert names["optimize"](0.0, iterations=1) == 0.0
    assert abs(names["optimize"](0.04) - names["GOAL"]) < 1e-3
