"""Contacts that only come to act because something else does within the same step.

A ball strikes a second one, which stands just before a third. Bodies locked to one axis make a dense system of three
axes; with all axes free the same row of balls is solved by islands. Both must answer as one system of three masses,
whether the second contact was listed and asleep at the start of the step, or not even listed.
"""

import numpy as np
import pytest
import torch

from carom import ModelBuilder, Simulator

RADIUS, STEP, SPEED = 0.05, 0.005, 1.0


def after_one_step(gap, locked, margin):
    b = ModelBuilder(gravity=(0, 0, 0))
    for x, speed in ((-2 * RADIUS - 0.001, SPEED), (0.0, 0.0), (2 * RADIUS + gap, 0.0)):
        body = b.add_body(position=(x, 0, 0), velocity=(speed, 0, 0), mass=1.0, locked=locked)
        b.add_sphere(body, RADIUS, friction=0.0)
    model = b.finalize(dtype="float64")
    return Simulator(model, step=STEP, contact_margin=margin).step(model.state()).body_v[0, :, 0].numpy()


def closed_form(gap):
    """Velocities of three unit masses on two compliant contacts, both acting: a linear system.

    A near-rigid contact of reduced mass m has a period of one step, k = m (2 pi / h)^2, and critical damping.
    """
    m = 0.5
    k = m * (2 * np.pi / STEP) ** 2
    d = 2 * np.sqrt(k * m)
    b = STEP**2 * k + STEP * d
    hessian, right = np.eye(3), np.array([SPEED, 0.0, 0.0])
    for i, phi in ((0, 0.001), (1, gap)):
        j = np.zeros(3)
        j[i], j[i + 1] = -1.0, 1.0  # relative velocity of the later ball along the normal
        hessian += b * np.outer(j, j)
        right += j * (-STEP * k * phi)
    v = np.linalg.solve(hessian, right)
    assert all(-STEP * k * phi - b * (v[i + 1] - v[i]) > 0 for i, phi in ((0, 0.001), (1, gap)))  # both act
    return v


@pytest.mark.parametrize("locked", [("y", "z", "angular"), ()], ids=["dense", "islands"])
@pytest.mark.parametrize("gap", [0.0004, 0.0008, 0.002])
@pytest.mark.parametrize("margin", [None, 0.02], ids=["not listed", "listed"])
def test_both_contacts_act(gap, locked, margin):
    v = torch.from_numpy(after_one_step(gap, locked, margin))
    torch.testing.assert_close(v, torch.from_numpy(closed_form(gap)), rtol=1e-9, atol=1e-12)
