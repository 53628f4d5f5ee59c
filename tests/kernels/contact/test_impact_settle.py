"""The impulse of an impact's contact alone: its equations, put in again in numpy, at every ratio of their terms."""

import numpy as np
import pytest
import warp as wp

from carom.kernels.core.precision import precision
from carom.kernels.restitution import impact_settle

COUNT = 4000


def solve(dtype, w, u0, numbers):
    """Impulses [N, 3] of contacts of matrices ``w``, velocities ``u0`` and a, k, beside, limit, eps in ``numbers``."""
    p = precision(dtype)
    alone = impact_settle.make(dtype).alone

    @wp.kernel(enable_backward=False, module="unique")
    def evaluate(
        w: wp.array(dtype=p.mat33), u0: wp.array(dtype=p.vec3), x: wp.array2d(dtype=dtype),
        # out
        push: wp.array(dtype=p.vec3),
    ):  # fmt: skip
        i = wp.tid()
        push[i] = alone(w[i], u0[i], x[i, 0], x[i, 1], x[i, 2], x[i, 3], x[i, 4])

    push = wp.zeros(len(w), dtype=p.vec3, device="cpu")
    given = [wp.array(w, dtype=p.mat33), wp.array(u0, dtype=p.vec3), wp.array(numbers, dtype=dtype)]
    wp.launch(evaluate, dim=len(w), inputs=given, outputs=[push], device="cpu")
    return push.numpy().astype(float)


@pytest.mark.parametrize("dtype", [wp.float64, wp.float32])
def test_impulse_of_a_contact_alone_solves_its_equations(dtype):
    """They have one solution: the law is the gradient of a convex energy. Slip from 1e-6 to 1e6 stiction speeds."""
    rng = np.random.default_rng(0)
    root = rng.normal(size=(COUNT, 3, 3))
    w = root @ root.transpose(0, 2, 1) + 0.1 * np.eye(3)
    u0 = rng.normal(size=(COUNT, 3)) * 10.0 ** rng.uniform(-3, 1, (COUNT, 1))
    k = 1e3 / w[:, 0, 0]
    beside = np.where(rng.random(COUNT) < 0.7, 1e-3, 0.0) * rng.exponential(size=COUNT)
    limit = np.where(beside > 0.0, 10.0 ** rng.uniform(-6, 2, COUNT), 0.0)
    a = rng.normal(size=COUNT) + k * rng.normal(size=COUNT) * np.abs(u0[:, 0])
    eps = 10.0 ** rng.uniform(-5, -2, COUNT)
    real = np.float64 if dtype is wp.float64 else np.float32
    w, u0, numbers = (x.astype(real) for x in (w, u0, np.stack([a, k, beside, limit, eps], 1)))
    push = solve(dtype, w, u0, numbers)

    w, u0 = w.astype(float), u0.astype(float)
    a, k, beside, limit, eps = numbers.astype(float).T
    unit = np.finfo(real).eps
    gained = np.einsum("nij,nj->ni", w, push)
    u = u0 + gained
    # what rounds in a velocity, or moves it by a rounding of an impulse
    size = np.linalg.norm(u0, axis=1) + np.linalg.norm(w, axis=(1, 2)) * np.linalg.norm(push, axis=1)
    rounding = 16 * unit * (size + np.abs(a / k))
    acts = push[:, 0] > beside
    assert float((np.abs((push[:, 0] - beside - a) / k + u[:, 0]) / rounding)[acts].max()) < 1.0
    assert float(np.abs(push[:, 0] - beside)[~acts].max()) == 0.0
    assert float(((a / k - u[:, 0]) / rounding)[~acts].max()) < 1.0  # the law gives none there
    slip = np.sqrt((u[:, 1:] ** 2).sum(1) + eps**2)
    off = np.abs(push[:, 1:] + limit[:, None] * u[:, 1:] / slip[:, None]).max(1)
    assert float((off / (16 * unit * np.abs(push[:, 1:]).max(1) + limit / slip * rounding + 1e-30)).max()) < 1.0
    rubs = limit > 0.0
    held = rubs & (np.linalg.norm(u[:, 1:], axis=1) < eps)
    assert 0.1 < acts.mean() < 0.9
    assert held.sum() > 100
    assert (rubs & ~held).sum() > 100
