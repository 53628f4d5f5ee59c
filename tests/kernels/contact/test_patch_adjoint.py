"""The adjoint by hand of patches on a plane (``kernels/contact/face_friction.py``) against central differences."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import warp as wp

from carom.envs import make
from carom.kernels.contact import face_friction
from carom.sim.stepping.world_batch import WorldBatch


@pytest.mark.parametrize("tilt", [(0.0, 0.0), (1e-3, 4e-4), (-3e-3, 2e-3), (6e-3, 1e-3), (0.0, 2e-2)])
def test_adjoint_of_a_tilted_box(tilt: tuple[float, float]) -> None:
    """Centre and pull of a box on the ground: all corners deep, some near the end of their weights, an edge alone."""
    task = make("push", start="apart", dtype="float64", device="cpu")
    simulator = task.simulator
    batch = WorldBatch(simulator.model, dataclasses.replace(simulator.options, even_faces=True), 1, 16)
    batch.add_adjoints()
    stage, f, height = batch.stage(), batch.features, float(batch.q_view[0, 0, 0, 2])
    generator = np.random.default_rng(0)
    pose = batch.q.numpy()[0].copy()
    axis = np.array([tilt[0], tilt[1], 0.3])
    angle = np.linalg.norm(axis)
    pose[0, 0, 3:] = [*(np.sin(angle / 2) * axis / angle), np.cos(angle / 2)]
    pose[0, 0, 2] = height - 2e-5 + 0.02 * np.hypot(*tilt)
    batch.q[0].assign(pose)
    batch.list_contacts(0, stage)
    begins, corners = f.patch_start.numpy()[0], f.patch_count.numpy()[0]
    starts = [c for c in range(int(f.count.numpy()[0])) if corners[c] > 0 and begins[c] == c]
    assert len(starts) == 1
    c = starts[0]
    seed_centre, seed_pull = generator.normal(size=3), generator.normal()

    def value(q: np.ndarray) -> float:
        batch.q[0].assign(q)
        batch.prepare_rows(0, stage, batch.v[0])
        return float(stage.rows.centre.numpy()[0, c] @ seed_centre + stage.rows.pull.numpy()[0, c] * seed_pull)

    differences = np.zeros(7)
    for i in range(7):
        d = np.zeros_like(pose)
        d[0, 0, i] = 1e-8
        differences[i] = (value(pose + d) - value(pose - d)) / 2e-8
    value(pose)
    g = dataclasses.replace(batch.adjoints, body_q=wp.zeros_like(batch.q[0]))
    centre, pull = g.centre.numpy(), g.pull.numpy()
    centre[0, c], pull[0, c] = seed_centre, seed_pull
    g.centre.assign(centre)
    g.pull.assign(pull)
    face_friction.find_adjoint(batch.real, batch.arrays, batch.q[0], f, stage.rows, g)
    np.testing.assert_allclose(g.body_q.numpy()[0, 0], differences, rtol=1e-5, atol=1e-5 * np.abs(differences).max())
    assert not g.centre.numpy().any()
    assert not g.pull.numpy().any()
