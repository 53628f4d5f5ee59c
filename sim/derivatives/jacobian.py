"""Batched Jacobians of one step in minimal coordinates, by the exact adjoint with one seed a row."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ...first_order import Limits, eager, inside_transform, numbers_only, refuse_transforms
from ..state import State
from ..stepping import checks
from ..stepping.simulator import Simulator
from ..stepping.torch_rollout import LIMITS

__all__ = ["JACOBIAN_LIMITS", "step_jacobian", "step_pullback", "tangent_basis"]


JACOBIAN_LIMITS = Limits(
    what="step_jacobian",
    instead="take central differences of A and B over states, controls or parameters; cut the graph where they count "
    "as constants, A.detach()",
    batch=LIMITS.batch,
    error=LIMITS.error,
)


def tangent_basis(q: torch.Tensor) -> torch.Tensor:
    """G with dq = G dr / 2 for a small turn dr [rad] about the world axes; unit quaternions [..., 4] to [..., 4, 3]."""
    x, y, z, w = q.unbind(-1)
    rows = [w, z, -y, -z, w, x, y, -x, w, -x, -y, -z]
    return torch.stack(rows, dim=-1).reshape(*q.shape[:-1], 4, 3)


@eager
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

    Raises:
        DerivativeError: A or B is differentiated.
    """
    both = (state.body_q, state.body_v) if isinstance(state, State) else ()
    sources = (*both, control, *(parameters or {}).values())
    refuse_transforms(JACOBIAN_LIMITS, *sources)
    if any(map(inside_transform, sources)):
        raise JACOBIAN_LIMITS.numbers()
    given = None if control is None else control.detach().unsqueeze(0)
    steps = 1 if given is None else None
    state, controls, values = checks.rollout_inputs(simulator.model, state, given, parameters or {}, steps)
    checks.restitution(simulator.model, simulator.options, values)
    checks.mass_alone(simulator.model, values, parameters or {}, simulator.told)
    q0, v0 = state.body_q.detach(), state.body_v.detach()
    values = {name: value.detach() for name, value in values.items()}
    path_q, path_v, _, _, _, staged = simulator.run_forward(q0, v0, controls, values, True)
    assert path_q is not None
    assert path_v is not None
    size = 12 * q0.shape[1]
    seeds = torch.eye(size, dtype=q0.dtype, device=q0.device).expand(q0.shape[0], -1, -1)
    found = step_pullback(simulator, path_q, path_v, controls, values, seeds, staged)
    a, b = numbers_only(JACOBIAN_LIMITS, found, (*sources, *values.values()))
    return a, b


def step_pullback(
    simulator: Simulator,
    path_q: torch.Tensor,
    path_v: torch.Tensor,
    control: torch.Tensor,
    values: Mapping[str, torch.Tensor],
    seeds: torch.Tensor,
    staged: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Products seeds A and seeds B with the Jacobians of a step, without the Jacobians.

    Args:
        simulator: The simulator.
        path_q: Poses before and after the step, [2, W, bodies, 7].
        path_v: Velocities before and after, [2, W, bodies, 6].
        control: [1, W, A].
        values: All physical parameters, as ``checks.rollout_inputs`` returns them.
        seeds: K rows for each world, in the coordinates of :func:`step_jacobian`; [W, K, 12 bodies].
        staged: Whether the step took several solves, bool [1, W], as ``run_forward`` says; found out by default.

    Returns:
        [W, K, 12 bodies] and [W, K, A].
    """
    worlds, rows = seeds.shape[:2]
    bodies = path_q.shape[2]
    half = 6 * bodies

    def repeat(x: torch.Tensor, dim: int) -> torch.Tensor:
        return x.repeat_interleave(rows, dim=dim)

    # By the poses after the step: positions as they are, turns through d(turn)/dq = 2 G^T.
    pose = seeds[..., :half].reshape(worlds, rows, bodies, 6)
    turn = 2.0 * tangent_basis(path_q[1, ..., 3:])
    seed_q = torch.cat([pose[..., :3], torch.einsum("wrbi,wbqi->wrbq", pose[..., 3:], turn)], dim=-1)
    seed_v = seeds[..., half:].reshape(worlds, rows, bodies, 6)
    out = simulator.run_backward(
        repeat(path_q, 1), repeat(path_v, 1), repeat(control, 1),
        {name: value if value.shape[0] == 1 else repeat(value, 0) for name, value in values.items()},
        {
            "path_q": None, "path_v": None,
            "final_q": seed_q.flatten(0, 1).contiguous(), "final_v": seed_v.flatten(0, 1).contiguous(),
        },
        staged=None if staged is None else repeat(staged, 1),
    )  # fmt: skip
    by_q = out["q0"].reshape(worlds, rows, bodies, 7)
    by_turn = torch.einsum("wrbq,wbqi->wrbi", by_q[..., 3:], 0.5 * tangent_basis(path_q[0, ..., 3:]))
    by_pose = torch.cat([by_q[..., :3], by_turn], dim=-1).flatten(2)
    by_state = torch.cat([by_pose, out["v0"].reshape(worlds, rows, half)], dim=-1)
    return by_state, out["control"][0].reshape(worlds, rows, -1)
