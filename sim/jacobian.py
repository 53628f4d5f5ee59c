"""Batched Jacobians of one step, in minimal coordinates, from the exact adjoint with one seed a row."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from . import checks
from .simulator import Simulator
from .state import State

__all__ = ["step_jacobian", "tangent_basis"]


def tangent_basis(q: torch.Tensor) -> torch.Tensor:
    """G with dq = G dr / 2 for a small turn dr [rad] about the world axes; unit quaternions [..., 4] to [..., 4, 3]."""
    x, y, z, w = q.unbind(-1)
    rows = [w, z, -y, -z, w, x, y, -x, w, -x, -y, -z]
    return torch.stack(rows, dim=-1).reshape(*q.shape[:-1], 4, 3)


def step_jacobian(
    simulator: Simulator,
    state: State,
    control: torch.Tensor | None = None,
    parameters: Mapping[str, torch.Tensor] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Derivatives of a step: A of the next state by the state, B by the control.

    The coordinates of a state are, body after body, position [m] and turn about the world axes [rad] of all bodies,
    then linear [m/s] and angular [rad/s] velocity of all bodies: 12 per body.

    Args:
        simulator: The simulator.
        state: W worlds.
        control: [W, A].
        parameters: As in ``Simulator.rollout``.

    Returns:
        A [W, 12 bodies, 12 bodies] and B [W, 12 bodies, A].
    """
    given = None if control is None else control.detach().unsqueeze(0)
    steps = 1 if given is None else None
    state, controls, values = checks.rollout_inputs(simulator.model, state, given, parameters or {}, steps)
    checks.restitution(simulator.options, values)
    q0, v0 = state.body_q.detach(), state.body_v.detach()
    worlds, bodies = q0.shape[:2]
    values = {name: value.detach() for name, value in values.items()}
    path_q, path_v, q1, _, _ = simulator.run_forward(q0, v0, controls, values, True)
    assert path_q is not None
    assert path_v is not None

    half = 6 * bodies
    rows = 2 * half

    def repeat(x: torch.Tensor, dim: int) -> torch.Tensor:
        return x.repeat_interleave(rows, dim=dim)

    # seeds: the rows of d(minimal coordinates)/d(q, v) of the next state
    seed_q = q1.new_zeros((worlds, rows, bodies, 7))
    seed_v = q1.new_zeros((worlds, rows, bodies, 6))
    turn = 2.0 * tangent_basis(q1[..., 3:])
    for body in range(bodies):
        for axis in range(3):
            seed_q[:, 6 * body + axis, body, axis] = 1.0
            seed_q[:, 6 * body + 3 + axis, body, 3:] = turn[:, body, :, axis]
        for axis in range(6):
            seed_v[:, half + 6 * body + axis, body, axis] = 1.0
    out = simulator.run_backward(
        repeat(path_q, 1), repeat(path_v, 1), repeat(controls, 1),
        {name: value if value.shape[0] == 1 else repeat(value, 0) for name, value in values.items()},
        {"path_q": None, "path_v": None, "final_q": seed_q.flatten(0, 1), "final_v": seed_v.flatten(0, 1)},
    )  # fmt: skip
    by_q = out["q0"].reshape(worlds, rows, bodies, 7)
    by_turn = torch.einsum("wrbq,wbqi->wrbi", by_q[..., 3:], 0.5 * tangent_basis(q0[..., 3:]))
    by_pose = torch.cat([by_q[..., :3], by_turn], dim=-1).flatten(2)
    a = torch.cat([by_pose, out["v0"].reshape(worlds, rows, half)], dim=-1)
    return a, out["control"][0].reshape(worlds, rows, -1)
