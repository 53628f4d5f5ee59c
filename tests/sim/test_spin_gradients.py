"""Exact gradients of bodies that spin fast, with torques and contacts, against central differences in float64."""

import pytest
import torch
from differences import Problem, compare, directions_for
from scenes import about

from carom.sim import ModelBuilder, Simulator


def weighted_end(t):
    q, v = t.final.body_q, t.final.body_v
    weights = [
        torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(s)).double() for s, x in ((0, q), (1, v))
    ]
    return (q * weights[0]).sum((1, 2)) + 0.03 * (v * weights[1]).sum((1, 2))


@pytest.mark.parametrize(("spin", "ground", "restitution"), [(60.0, False, 0.0), (60.0, True, 0.0), (30.0, True, 0.5)])
def test_gradient_of_a_spinning_brick(spin, ground, restitution):
    """0.15 to 0.3 rad a step, under torques about all axes; on one corner of the ground, or in the air."""
    b = ModelBuilder()
    if ground:
        b.add_ground(friction=0.4, restitution=restitution)
    body = b.add_body(
        position=(0, 0, 0.085), rotation=about((1, 2, 3), 0.9), velocity=(0.4, 0.1, -0.6),
        angular_velocity=(0.6 * spin, 0.2 * spin, 0.75 * spin),
    )  # fmt: skip
    b.add_box(body, (0.06, 0.05, 0.04), friction=0.4, restitution=restitution)
    for axis in ("rx", "ry", "rz"):
        b.add_actuator(body, axis, "force")
    model = b.finalize(dtype="float64")
    state = model.state()
    inputs = {"body_q": state.body_q, "body_v": state.body_v, "body_inertia": model.body_inertia.clone()}
    inputs["control"] = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64).expand(12, 1, 3).contiguous()
    problem = Problem(Simulator(model, tolerance=1e-13), inputs, weighted_end)
    for label, exact, value, scale in compare(problem, directions_for(inputs, seed=2)):
        assert abs(exact - value) <= 1e-6 * scale + 1e-9, (label, exact, value)
