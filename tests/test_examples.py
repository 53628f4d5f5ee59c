"""The longer examples, held against closed forms and truths that they do not see."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch

from carom.gradients import Boundary, Smoothing

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def test_identify_push(tmp_path: Path):
    names = runpy.run_path(str(EXAMPLES / "identify_push.py"))
    model = names["TASK"].model  # twice the box's mass: twice its inertia, and all else the task's own
    twice = torch.tensor([2.0, 1.0], dtype=torch.float64)
    heavy = names["parameters"](2.0 * model.body_mass[:, 0], model.shape_friction[:, 0])
    torch.testing.assert_close(heavy["body_mass"], twice * model.body_mass)
    torch.testing.assert_close(heavy["body_inertia"], twice[:, None, None] * model.body_inertia)
    torch.testing.assert_close(heavy["shape_friction"], model.shape_friction)
    names["record"](tmp_path / "push.npz")
    truth = torch.tensor([names["MASS"], names["FRICTION"]], dtype=torch.float64)
    close = names["identify"](tmp_path / "push.npz", worlds=1, noise=(1e-6, 1e-6, 1e-5))[0]
    torch.testing.assert_close(close, truth, rtol=1e-3, atol=0.0)  # a thousandth of the noise of the next
    found = names["identify"](tmp_path / "push.npz", worlds=8)
    error = found.std(0) / 8**0.5
    # Student's t of 7 degrees of freedom beyond 7.1 on one of two sides: a false alarm in 2,500 seeds
    assert ((found.mean(0) - truth).abs() < 7.1 * error).all()
    assert (error / truth < 0.02).all()


def test_mujoco_black_box():
    pytest.importorskip("mujoco", reason="MuJoCo is not installed: pip install mujoco")
    names = runpy.run_path(str(EXAMPLES / "mujoco_black_box.py"))
    throw, seconds = names["Throw"](), names["SECONDS"]
    high = torch.tensor([2.2, 8.0], dtype=torch.float64)  # over the wall, and still in the air at the end
    far = high[0] * seconds - names["TARGET"]
    torch.testing.assert_close(throw(high[None])[0], far**2, rtol=1e-9, atol=0.0)
    slope = torch.stack([2.0 * seconds * far, torch.zeros_like(far)])  # of the mean over noise on theta, too
    backends = (
        Smoothing(scale=0.1, samples=256, order="zeroth"),
        Boundary(scale=0.1, samples=8, continuous="line"),
    )
    for backend in backends:
        estimate = backend.estimate(throw, high, seed=0)
        # four standard errors, and what interpolation of the lines is off by: a false alarm in 4,000 (256 samples)
        assert ((estimate.gradient - slope).abs() <= 4.0 * estimate.standard_error + 1e-6).all()
    assert estimate.diagnostics["jumps"] == 0

    near = torch.tensor([1.9, 3.5], dtype=torch.float64)  # some throws clear the wall, some do not
    boundary = Boundary(scale=0.2, samples=8, continuous="line").estimate(throw, near, seed=0)
    assert boundary.diagnostics["jumps_per_line"] > 0.5
    zeroth = Smoothing(scale=0.2, samples=512, order="zeroth").estimate(throw, near, seed=0)
    both = torch.hypot(boundary.standard_error, zeroth.standard_error)
    # about ten degrees of freedom: five errors are a false alarm in 1,000 for both coordinates
    assert ((boundary.gradient - zeroth.gradient).abs() < 5.0 * both).all()
