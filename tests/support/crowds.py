"""Random scenes in which bodies of all shapes fly at each other."""

import torch
from collisions import SHAPES, add_shape

from carom.sim import ModelBuilder, Simulator

H = 0.002


def crowd(seed, *, worlds, restitution, friction=0.0, ground=False, size=0.05, spread=0.12, **options):
    """Bodies of all shapes that fly at each other without gravity; W worlds."""
    gen = torch.Generator().manual_seed(seed)
    b = ModelBuilder(gravity=(0.0, 0.0, 0.0))
    if ground:
        b.add_ground(restitution=1.0, friction=friction)
    for i, kind in enumerate(SHAPES):
        body = b.add_body(position=(0.0, 0.0, 1.0 + i), name=f"{kind} {i}")
        add_shape(b, body, kind, size, seed + i, restitution=restitution[i % len(restitution)], friction=friction)
    m = b.finalize(dtype="float64")
    state = m.state(worlds)
    n = len(SHAPES)
    # on a line apart, so that they begin outside each other
    centre = torch.zeros(worlds, n, 3, dtype=torch.float64)
    centre[..., 0] = spread * (torch.arange(n) - n / 2)
    centre[..., 1:] = 0.03 * torch.randn(worlds, n, 2, generator=gen, dtype=torch.float64)
    centre[..., 2] += 0.12
    turn = torch.randn(worlds, n, 4, generator=gen, dtype=torch.float64)
    state.body_q[..., :3] = centre
    state.body_q[..., 3:] = turn / turn.norm(dim=-1, keepdim=True)
    state.body_v[..., :3] = torch.randn(worlds, n, 3, generator=gen, dtype=torch.float64) - 6.0 * centre
    state.body_v[..., 3:] = 10.0 * torch.randn(worlds, n, 3, generator=gen, dtype=torch.float64)
    return m, Simulator(m, step=H, **options), state
