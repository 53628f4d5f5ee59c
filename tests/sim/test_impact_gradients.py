"""Gradients over many steps of random scenes whose bodies hit each other, against differences of several widths."""

import pytest
import torch
from crowds import crowd

from carom.sim import State

WORLDS = 24
STEPS = 15

SCENES = {
    "elastic, no friction": {"restitution": (1.0,)},
    "several restitutions, friction": {"restitution": (1.0, 0.3, 0.8), "friction": 0.4},
    "the same on the ground": {"restitution": (1.0, 0.3, 0.8), "friction": 0.4, "ground": True},
}


@pytest.mark.parametrize("name", [*list(SCENES)[:2], pytest.param(list(SCENES)[2], marks=pytest.mark.slow)])
def test_gradients_of_crowds(name):
    """Along one random direction of poses and velocities a world, of a random sum of the last poses and velocities.

    The difference is that which agrees best with the one of four times its width; all worlds have some that agree.
    """
    _, simulator, state = crowd(len(name), worlds=WORLDS, tolerance=1e-13, allow_overlap=True, **SCENES[name])
    state = simulator.rollout(state, steps=30).final
    gen = torch.Generator().manual_seed(7)

    def normal(like):
        return torch.randn(like.shape, generator=gen, dtype=torch.float64)

    q, v = state.body_q.clone(), state.body_v.clone()
    move, push = 1e-3 * normal(q[..., :3]), normal(v) * torch.tensor([1, 1, 1, 5, 5, 5])
    of_q, of_v = 100.0 * normal(q[..., :3]), normal(v)

    def cost(along):
        by = along[:, None, None]
        start = State(torch.cat([q[..., :3] + by * move, q[..., 3:]], -1), v + by * push)
        final = simulator.rollout(start, steps=STEPS, record=False).final
        return (of_q * final.body_q[..., :3]).sum((1, 2)) + (of_v * final.body_v).sum((1, 2)), final

    along = torch.zeros(WORLDS, dtype=torch.float64, requires_grad=True)
    total, final = cost(along)
    (exact,) = torch.autograd.grad(total.sum(), along)
    assert ((final.body_v.detach() - v).norm(dim=-1) > 1e-3).any(1).all()  # without gravity: by impacts

    with torch.no_grad():
        slopes = []
        for eps in (1e-4, 2.5e-5, 6e-6, 1.5e-6, 4e-7):
            by = torch.full((WORLDS,), eps, dtype=torch.float64)
            slopes.append((cost(by)[0] - cost(-by)[0]) / (2 * eps))
    slopes = torch.stack(slopes)
    size = slopes.abs().clamp(min=1.0)
    apart = (slopes[1:] - slopes[:-1]).abs() / size[1:]
    assert float(apart.amin(0).max()) < 1e-5
    best = apart.argmin(0)
    wrong = ((slopes - exact).abs() / size)[1:].gather(0, best[None])[0]
    assert float(wrong.max()) < 5e-6, wrong
