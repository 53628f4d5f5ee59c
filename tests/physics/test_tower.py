"""A tower of cubes buckles where the corners of its near-rigid contacts give way: Greenhill's column, in closed form.

Every joint turns against k a^2/4, the stiffness k = m/2 (2 pi/h)^2 of two cubes on four corners (m (2 pi/h)^2 at the
ground). So N^3 = 7.837 pi^2 a/(2 g h^2) = 38.7 a/(g h^2): 25.1 for cubes of 10 cm at 5 ms, 46.2 at 2 ms, 15.8 at 10 ms.
"""

import math

import numpy as np
import pytest
import torch
from scenes import G

from carom.sim import ModelBuilder, Simulator

EDGE = 0.1


def least_that_buckles(h):
    """The same for N rigid links with these joints: the least N whose stiffness less gravity is not positive."""
    k = 0.5 * (2 * math.pi / h) ** 2 * EDGE**2 / 4
    for n in range(1, 200):
        matrix = np.zeros((n, n))
        matrix[0, 0] = 2 * k
        for i in range(n - 1):
            matrix[i : i + 2, i : i + 2] += k * np.array([[1, -1], [-1, 1]])
        matrix -= np.diag(G * EDGE * (n - 0.5 - np.arange(n)))
        if np.linalg.eigvalsh(matrix)[0] <= 0:
            return n
    raise AssertionError


@pytest.mark.parametrize(("h", "number"), [(0.002, 47), (0.005, 26), (0.01, 16)])
def test_greenhills_column_gives_the_number_of_the_joints(h, number):
    assert least_that_buckles(h) == number
    assert (38.7 * EDGE / (G * h**2)) ** (1 / 3) == pytest.approx(number, abs=1.0)


@pytest.mark.parametrize(("cubes", "stands"), [(14, True), (18, False)])
def test_a_tower_at_10_ms_stands_below_16_cubes_and_buckles_above(cubes, stands):
    """The top of a tower that gets a push of 1 mm/s swings back, or goes on."""
    b = ModelBuilder()
    b.add_ground(friction=1.0)
    for i in range(cubes):
        top = i == cubes - 1
        body = b.add_body(position=(0, 0, EDGE * (i + 0.5)), mass=1.0, velocity=(1e-3 if top else 0.0, 0, 0))
        b.add_box(body, (EDGE / 2,) * 3, friction=1.0)
    model = b.finalize(dtype="float64")
    t = Simulator(model, step=0.01, stiction=1e-6).rollout(model.state(), steps=500)
    lean = t.body_q[:, 0, -1, 0].abs()
    if stands:
        assert lean.max() < 1e-3
    else:
        assert lean[-1] > 0.05 or not torch.isfinite(lean[-1])
