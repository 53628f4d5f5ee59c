"""Energy of states, with velocities at the time of the poses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ..errors import ModelError, StateError
from ..state import State, Trajectory
from ..stepping.simulator import Simulator

__all__ = ["Energy", "energy"]


@dataclass(frozen=True)
class Energy:
    """Energy of the bodies of one state, or of T of them with a leading T."""

    kinetic: torch.Tensor
    """Of translation and rotation [J], [worlds, bodies]."""
    potential: torch.Tensor
    """In gravity, zero at the world's origin [J], [worlds, bodies]."""

    @property
    def total(self) -> torch.Tensor:
        """Sum over the bodies [J], [worlds], without the energy stored in contacts and in springs of actuators."""
        return (self.kinetic + self.potential).sum(-1)


def energy(
    simulator: Simulator,
    state: State | Trajectory,
    control: torch.Tensor | None = None,
    parameters: Mapping[str, torch.Tensor] | None = None,
) -> Energy:
    """Kinetic and potential energy of a state, or of each state but the last of a recorded trajectory.

    A step moves poses by the velocities after it, so a stored velocity is that of half a step before its pose. The
    momentum at the time of a pose is taken as the mean of the stored ones before and after the step that starts there.
    (By the stored velocities, the energy of a body in free flight is off by m g h v/2.) A body at rest has no kinetic
    energy, and one in free flight keeps its energy to rounding. In a step with an impact the energy is that of the mean
    momentum, which lies between the momenta before and after.

    Differentiable by torch. A single state costs one step.

    Args:
        simulator: The simulator of the states.
        state: W worlds, or a trajectory with its states (``record=True``).
        control: Targets or forces of the actuators in the step that starts at the state, [W, A]; may be left out if
            the model has none. Not with a trajectory.
        parameters: As in ``Simulator.rollout``.

    Returns:
        Tensors [W, B], of a trajectory of T steps [T, W, B].

    Raises:
        ModelError: The simulator is quasi-dynamic: its bodies have no momentum.
        StateError: A trajectory without its states, or one together with a control, or an input that a step refuses.
    """
    model = simulator.model
    if simulator.options.quasi_dynamic:
        raise ModelError("quasi-dynamic steps drop momentum, so there is no kinetic energy; use quasi_dynamic=False")
    if isinstance(state, Trajectory):
        if control is not None:
            raise StateError("a trajectory was made with its own controls; leave out `control`")
        if state.body_q is None or state.body_v is None:
            raise StateError("the trajectory has only its last state; roll out with record=True, or pass `final`")
        if state.body_q.shape[0] < 2:
            raise StateError("the trajectory has no step; pass its `final` state")
        q, v, q1, v1 = state.body_q[:-1], state.body_v[:-1], state.body_q[1:], state.body_v[1:]
    else:
        after = simulator.step(state, control, parameters)
        q, v, q1, v1 = state.body_q, state.body_v, after.body_q, after.body_v
    values = {
        name: (parameters or {}).get(name, getattr(model, name)).to(q)
        for name in ("gravity", "body_mass", "body_inertia")
    }
    mass, inertia = values["body_mass"], values["body_inertia"]
    linear = 0.5 * (v[..., :3] + v1[..., :3])
    rotation = _matrix(q[..., 3:])
    spin = 0.5 * (_spin_momentum(rotation, v, inertia) + _spin_momentum(_matrix(q1[..., 3:]), v1, inertia))
    local = (rotation.mT @ spin[..., None])[..., 0]
    turning = (local * torch.linalg.solve(inertia.expand(*local.shape, 3), local)).sum(-1)
    kinetic = 0.5 * (mass * (linear**2).sum(-1) + turning)
    return Energy(kinetic, -mass * (values["gravity"][:, None, :] * q[..., :3]).sum(-1))


def _matrix(q: torch.Tensor) -> torch.Tensor:
    """Rotation matrices [..., 3, 3] of unit quaternions (x, y, z, w)."""
    x, y, z, w = q.unbind(-1)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def _spin_momentum(rotation: torch.Tensor, v: torch.Tensor, inertia: torch.Tensor) -> torch.Tensor:
    """Angular momentum about the centre of mass, world axes [..., 3]."""
    local = rotation.mT @ v[..., 3:, None]
    return (rotation @ (inertia @ local))[..., 0]
