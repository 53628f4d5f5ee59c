"""Derivatives of a free turn by the inertia: those of single precision are those of double, for round bodies too.

A step restores the energy by a turn that is a quotient: the energy gained, of which a nearly round body has none but
rounding, over the square of the angle between spin and momentum. In single precision that was up to half of the
derivative.
"""

import pytest
import torch

from carom.sim import ModelBuilder, Simulator


def gradients(dtype, half, spin, steps):
    """Of random sums of pose and velocity after the steps, by the parts of the inertia: 2 x [3, 3]."""
    b = ModelBuilder(gravity=(0, 0, 0))
    b.add_box(b.add_body(angular_velocity=spin), half)
    model = b.finalize(dtype=dtype)
    inertia = model.body_inertia.clone().requires_grad_()
    final = Simulator(model, threads=1).rollout(model.state(), None, {"body_inertia": inertia}, steps=steps).final
    gen = torch.Generator().manual_seed(0)
    found = []
    for y in (final.body_q, final.body_v):
        loss = (y * torch.randn(y.shape, generator=gen, dtype=torch.float64).to(y)).sum()
        (g,) = torch.autograd.grad(loss, inertia, retain_graph=True)
        found.append((g + g.mT).double())
    return found


@pytest.mark.parametrize("speed", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("off", [0.0, 1e-3, 3e-3, 1e-2, 0.2], ids=lambda x: f"off a cube by {x}")
def test_the_derivative_by_the_inertia_is_that_of_double_precision(off, speed):
    half = (0.05, 0.05 * (1 + off), 0.05 * (1 - 0.7 * off))
    for steps in (1, 20):
        spin = (3.0 * speed, 4.0 * speed, -2.0 * speed)
        wanted, got = (gradients(dtype, half, spin, steps) for dtype in ("float64", "float32"))
        for w, g in zip(wanted, got, strict=True):
            assert (w - g).norm() < 0.06 * w.norm(), (off, speed, steps)
