"""Batched Jacobians of a step against central differences in minimal coordinates."""

import torch
from scenes import about, free_body, multiply, push, push_targets

from carom.sim import Simulator, State, step_jacobian


def moved(q, v, d):
    """State after a small change d [12 bodies]: positions and turns about the world axes, then velocities."""
    bodies = q.shape[1]
    pose, speed = d[: 6 * bodies].reshape(bodies, 6), d[6 * bodies :].reshape(bodies, 6)
    q = q.clone()
    q[..., :3] += pose[:, :3]
    angle = pose[:, 3:].norm(dim=-1, keepdim=True)
    turn = torch.cat([pose[:, 3:] / (angle + 1e-300) * torch.sin(angle / 2), torch.cos(angle / 2)], -1)
    q[..., 3:] = multiply(turn.expand_as(q[..., 3:]), q[..., 3:])
    return q, v + speed


def difference(after, before):
    """Minimal coordinates of the change from one state to another that is near."""
    inverse = torch.cat([-before.body_q[..., 3:6], before.body_q[..., 6:]], -1)
    turn = multiply(after.body_q[..., 3:], inverse)
    pose = torch.cat([after.body_q[..., :3] - before.body_q[..., :3], 2 * turn[..., :3] / turn[..., 3:]], -1)
    return torch.cat([pose.flatten(1), (after.body_v - before.body_v).flatten(1)], -1)


def test_jacobians_of_every_world(device):
    model = push(half=(0.05, 0.06, 0.04)).finalize(dtype="float64", device=device)
    simulator = Simulator(model, tolerance=1e-13)
    t = simulator.rollout(model.state(), push_targets(60, distance=0.1).to(device))
    q, v = t.body_q[[5, 30, 59], 0], t.body_v[[5, 30, 59], 0]
    control = torch.tensor([[-0.05, 0.02], [-0.01, 0.021], [0.05, 0.019]], dtype=torch.float64, device=device)
    a, b = step_jacobian(simulator, State(q, v), control)
    assert a.shape == (3, 24, 24)
    assert b.shape == (3, 24, 2)
    eye = torch.eye(24, dtype=torch.float64, device=device)

    def richardson(after, eps):
        """Central differences at eps and eps/2, extrapolated: Taylor's error is of the order of eps^4."""
        d = [difference(after(e), after(-e)) / (2 * e) for e in (eps, eps / 2)]
        return (4 * d[1] - d[0]) / 3

    # Contact turns a displacement of 1e-6 m into some 4e-4 m/s, and the friction law bends over 1e-3 m/s. So poses move
    # by 3e-8, a hundredth of that; velocities and controls by 1e-5. The differences then carry 1e-16/3e-8 of rounding.
    for k in range(24):
        numeric = richardson(
            lambda e, k=k: simulator.step(State(*moved(q, v, e * eye[k])), control), 3e-8 if k < 12 else 1e-5
        )
        assert torch.allclose(a[..., k], numeric, rtol=1e-6, atol=1e-6)
    for k in range(2):
        unit = torch.zeros_like(control)
        unit[:, k] = 1.0
        numeric = richardson(lambda e, unit=unit: simulator.step(State(q, v), control + e * unit), 1e-5)
        assert torch.allclose(b[..., k], numeric, rtol=1e-6, atol=1e-9)


def test_jacobian_of_free_fall():
    """Without contact: position takes h times velocity, velocity stays."""
    model = free_body((0.1, 0.1, 0.1), gravity=(0, 0, -9.81), rotation=about((1, 2, 3), 1.0)).finalize(dtype="float64")
    a, b = step_jacobian(Simulator(model, step=0.01), model.state())
    eye = torch.eye(6, dtype=torch.float64)
    expected = torch.cat([torch.cat([eye, 0.01 * eye], 1), torch.cat([0 * eye, eye], 1)], 0)
    assert b.shape == (1, 12, 0)
    assert (a[0] - expected).abs().max() < 1e-14
