"""A corner just beyond the edge of a face: the normal turns within the gap, in single precision as in double."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from carom.sim import STATIC, ModelBuilder, Simulator, State

HALF, GAP, SPEED = 0.05, 5e-4, 0.3
BEYOND = np.array([-1e-4, -2e-5, -1e-6, 1e-6, 4e-6, 1e-5, 2e-5, 3e-5, 6e-5, 2e-4])
"""Distances of the corner from the plane through the side of the face [m]; outside if positive."""

CUBE = np.array(list(itertools.product((-HALF, HALF), repeat=3)))


def add(b, body, kind, **options):
    if kind == "box":
        return b.add_box(body, (HALF,) * 3, **options)
    return b.add_convex(body, CUBE, **options)


def hit(lower, upper, dtype):
    """Velocities [N, 6] after a step of a cube whose corner meets the edge of a cube that stands still."""
    b = ModelBuilder(gravity=(0.0, 0.0, 0.0))
    add(b, STATIC, lower, position=(0.0, 0.0, -HALF), friction=0.0)
    add(b, b.add_body(), upper, friction=0.0)
    model = b.finalize(dtype=dtype)
    turn = Rotation.from_euler("y", 0.5) * Rotation.from_euler("z", 0.25 * np.pi)  # its lowest face extends to -x
    corner = turn.apply(CUBE)
    corner = corner[corner[:, 2].argmin()]
    state = model.state(len(BEYOND))
    q, v = state.body_q.double().clone(), state.body_v.clone()
    place = np.stack([-HALF - BEYOND, np.full(len(BEYOND), 0.013), np.full(len(BEYOND), GAP)], 1) - corner
    q[:, 0, :3], q[:, 0, 3:] = torch.as_tensor(place), torch.as_tensor(turn.as_quat())
    v[:, 0, 2] = -SPEED
    end = Simulator(model, step=0.005, threads=1).rollout(State(q.to(model.dtype), v), steps=1).final
    return end.body_v[:, 0].double().numpy()


@pytest.mark.parametrize(("lower", "upper"), list(itertools.product(("box", "hull"), repeat=2)))
def test_the_normal_turns_alike_in_both_precisions(lower, upper):
    """The sideways velocity over the vertical one says the normal: the distance beyond the edge over the gap."""
    exact, rounded = hit(lower, upper, "float64"), hit(lower, upper, "float32")
    change = exact[:, :3] + np.array([0.0, 0.0, SPEED])
    assert np.abs(change[:, 0] / change[:, 2] + np.maximum(BEYOND, 0.0) / GAP).max() < 1e-6
    assert np.abs(rounded - exact).max() < 2e-3 * np.abs(exact).max()
    change = rounded[:, :3] + np.array([0.0, 0.0, SPEED])
    assert np.abs(change[:, 0] / change[:, 2] + np.maximum(BEYOND, 0.0) / GAP).max() < 1e-3
