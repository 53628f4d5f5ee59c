"""Push-T: the block's mass, centre and inertia against the integrals over the T, its outline, its gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from carom.envs import make, tasks


@pytest.fixture(scope="module")
def task():
    return make("push_t", dtype="float64", threads=1)


def test_block_is_a_uniform_t(task):
    """Centre of mass and inertia by summing over the squares of a grid, each with its own a^2/12 terms."""
    u, height = 0.03, 0.1
    squares = [(0.5, y) for y in (-1.5, -0.5, 0.5, 1.5)] + [
        (x, 0.0) for x in (1.5, 2.5, 3.5)
    ]  # 7 units, bar's face at 0
    x, y = u * np.array(squares).T
    m = 1.0 / 7
    x = x - x.mean()
    own = m * u * u / 12
    inertia = np.diag(
        [
            (m * y * y + own + m * height**2 / 12).sum(),
            (m * x * x + own + m * height**2 / 12).sum(),
            (m * (x * x + y * y) + 2 * own).sum(),
        ]
    )
    assert float(task.model.body_mass[0, 0]) == 1.0
    np.testing.assert_allclose(task.model.body_com[0], 0.0, atol=1e-15)
    np.testing.assert_allclose(task.model.body_inertia[0, 0].numpy(), inertia, rtol=1e-12, atol=1e-16)


def test_outline_has_the_area_and_centroid_of_the_t(task):
    x, y = np.array(task.outline).T
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    assert 0.5 * cross.sum() == pytest.approx(7 * 0.03**2, rel=1e-12)
    assert ((x + np.roll(x, -1)) * cross).sum() == pytest.approx(0.0, abs=1e-15)
    assert (x.max() - x.min(), y.max() - y.min()) == pytest.approx((0.12, 0.12))


def test_pusher_starts_at_the_bar(task):
    """The gap to the bar's face is zero when touching, 3 cm when apart."""
    face = min(x for x, _ in task.outline)
    assert task.pusher_start[0] + task.pusher_radius == pytest.approx(face, abs=1e-15)
    apart = make("push_t", start="apart")
    assert apart.pusher_start[0] + apart.pusher_radius == pytest.approx(face - 0.03, abs=1e-15)


def test_symmetric_push_is_straight():
    task = make("push_t", dtype="float64", offset=0.0, threads=1)
    out = task.outputs(task.initial_parameters()[None])[0]
    assert float(out[0]) > 0.08
    assert out[1:3].abs().max() < 1e-9


def test_gradient_matches_central_differences(task):
    generator = torch.Generator().manual_seed(1)
    theta = task.initial_parameters() + 0.004 * torch.randn(8, generator=generator, dtype=torch.float64)
    _, gradient = task.value_and_gradient(theta[None])
    d = torch.randn(3, 8, generator=generator, dtype=torch.float64)
    d = d / d.norm(dim=1, keepdim=True)
    values = [(task(theta + e * d) - task(theta - e * d)) / (2 * e) for e in (1e-5, 2e-5)]
    numeric = (4 * values[0] - values[1]) / 3
    torch.testing.assert_close(d @ gradient[0], numeric, rtol=1e-6, atol=1e-6 * float(gradient.norm()))


def test_registered():
    assert {"push_t", "box_pushing"} <= set(tasks())
