"""What a rollout is given and what it returns, checked."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch

from .errors import CapacityError, ConvergenceError, SimulationWarning, StateError
from .model import PARAMETERS, Model
from .options import SimulatorOptions
from .state import Diagnostics, State

if TYPE_CHECKING:
    from .lane import Lane
    from .simulator import Simulator

__all__ = ["overlap", "rollout_inputs", "rollout_result", "spinning", "sunk"]

DEEP = 0.1
"""Depth of an overlap, relative to half the width of the thinner shape, that cannot be meant."""


FAST = 1.0
"""Turn in a step [rad], times how unlike the moments of inertia are, beyond which free turning is not resolved."""


def _finite(value: torch.Tensor, what: str) -> None:
    good = torch.isfinite(value)
    if not bool(good.all()):
        where = tuple(torch.nonzero(~good)[0].tolist())
        count = int((~good).sum())
        raise StateError(
            f"{what} has {count} value{'s' if count > 1 else ''} that are not finite, the first at index {where}"
        )


def _shape(value: torch.Tensor, wanted: tuple[int, ...], what: str, names: str) -> None:
    if tuple(value.shape) != wanted:
        raise StateError(f"{what} must have shape {names} = {wanted}, got {tuple(value.shape)}")


def rollout_inputs(
    model: Model, state: State, control: torch.Tensor | None, parameters: Mapping[str, torch.Tensor], steps: int | None
) -> tuple[State, torch.Tensor, dict[str, torch.Tensor]]:
    """State, controls and all parameters of a rollout as contiguous tensors of the model's type, or a StateError."""

    def convert(value: torch.Tensor, what: str) -> torch.Tensor:
        if not isinstance(value, torch.Tensor):
            raise StateError(f"{what} must be a torch tensor, got {type(value).__name__}")
        if not value.is_floating_point():
            raise StateError(f"{what} must be of floating-point type, got {value.dtype}")
        _finite(value.detach(), what)
        return value.to(device=model.device, dtype=model.dtype).contiguous()

    if not isinstance(state, State):
        raise StateError(f"the state must be a State(body_q, body_v), got {type(state).__name__}; see Model.state")
    if not isinstance(parameters, Mapping):
        raise StateError(f"parameters must be tensors by name, {{name: tensor}}, got {type(parameters).__name__}")
    if steps is not None and not isinstance(steps, (int, np.integer)):
        raise StateError(f"steps must be an integer, got {steps!r}")
    q, v = convert(state.body_q, "body_q"), convert(state.body_v, "body_v")
    worlds = q.shape[0] if q.dim() == 3 else -1
    if worlds < 1 or (model.worlds not in (1, worlds)):
        raise StateError(
            f"body_q must have shape [worlds, bodies, 7] with worlds = {model.worlds if model.worlds > 1 else 'any'}, "
            f"bodies = {model.bodies}, got {tuple(state.body_q.shape)}"
        )
    _shape(q, (worlds, model.bodies, 7), "body_q", "[worlds, bodies, 7]")
    _shape(v, (worlds, model.bodies, 6), "body_v", "[worlds, bodies, 6]")
    norm = q.detach()[..., 3:].norm(dim=-1)
    if bool(((norm - 1.0).abs() > 1e-2).any()):
        w, b = torch.nonzero((norm - 1.0).abs() > 1e-2)[0].tolist()
        raise StateError(
            f"the quaternion of body {model.body_names[b]!r} in world {w} has norm {float(norm[w, b]):.4g}; "
            "normalize it (order x, y, z, w)"
        )
    if control is None:
        if model.actuators:
            raise StateError(
                f"the model has {model.actuators} actuators; give control of shape [steps, worlds, {model.actuators}]"
            )
        if steps is None or steps < 0:
            raise StateError(f"without control, steps must say how many steps to take, got {steps}")
        control = q.new_zeros((steps, worlds, 0))
    control = convert(control, "control")
    if control.dim() != 3 or tuple(control.shape[1:]) != (worlds, model.actuators):
        raise StateError(
            f"control must have shape [steps, worlds, actuators] = [steps, {worlds}, {model.actuators}], "
            f"got {tuple(control.shape)}"
        )
    if steps is not None and steps != control.shape[0]:
        raise StateError(f"control has {control.shape[0]} steps but steps={steps} was asked for")
    unknown = set(parameters) - set(PARAMETERS)
    if unknown:
        raise StateError(f"unknown parameter {sorted(unknown)[0]!r}; there are {', '.join(PARAMETERS)}")
    values = {"shape_size": model.shape_size}
    for name in PARAMETERS:
        default = getattr(model, name)
        value = convert(parameters[name], name) if name in parameters else default
        if value.dim() == default.dim() - 1:
            value = value.unsqueeze(0)
        if tuple(value.shape) not in {(1, *default.shape[1:]), (worlds, *default.shape[1:])}:
            raise StateError(
                f"{name} must have shape {tuple(default.shape[1:])} or {(worlds, *default.shape[1:])}, "
                f"got {tuple(value.shape)}"
            )
        values[name] = value
    _physical(model, values)
    return State(q, v), control, values


def _physical(model: Model, values: dict[str, torch.Tensor]) -> None:
    mass = values["body_mass"].detach()
    if not bool((mass > 0).all()):
        w, b = torch.nonzero(~(mass > 0))[0].tolist()
        raise StateError(
            f"body_mass of {model.body_names[b]!r} in world {w} must be positive [kg], got {float(mass[w, b]):.4g}"
        )
    inertia = values["body_inertia"].detach()
    skew = (inertia - inertia.mT).abs().amax(dim=(-2, -1))
    if bool((skew > 1e-4 * inertia.abs().amax(dim=(-2, -1))).any()):
        w, b = divmod(int(skew.argmax()), skew.shape[1])
        raise StateError(f"body_inertia of {model.body_names[b]!r} in world {w} must be symmetric")
    low = torch.linalg.eigvalsh(inertia)[..., 0]
    if not bool((low > 0).all()):
        w, b = torch.nonzero(~(low > 0))[0].tolist()
        raise StateError(f"body_inertia of {model.body_names[b]!r} in world {w} must be positive definite")
    for name, labels in (
        ("shape_friction", model.shape_names),
        ("shape_restitution", model.shape_names),
        ("shape_rolling_resistance", model.shape_names),
        ("shape_torsional_resistance", model.shape_names),
        ("actuator_stiffness", model.actuator_names),
        ("actuator_damping", model.actuator_names),
    ):
        value = values[name].detach()
        if value.numel() and not bool(value.min() >= 0):
            w, i = torch.nonzero(~(value >= 0))[0].tolist()
            raise StateError(f"{name} of {labels[i]!r} in world {w} must not be negative, got {float(value[w, i]):.4g}")

    bounce = values["shape_restitution"].detach()
    if bool((bounce > 1).any()):
        w, i = torch.nonzero(bounce > 1)[0].tolist()
        raise StateError(
            f"shape_restitution of {model.shape_names[i]!r} in world {w} must be 0 to 1, got {float(bounce[w, i]):.4g}"
        )


def restitution(model: Model, options: SimulatorOptions, values: dict[str, torch.Tensor]) -> None:
    """Raise where shapes bounce although the steps drop momentum, or contacts are softened."""
    if options.quasi_dynamic and bool((values["shape_restitution"] > 0).any()):
        raise StateError(
            "restitution has no meaning in quasi-dynamic stepping, which drops momentum; set shape_restitution to zero "
            "or pass quasi_dynamic=False to Simulator"
        )
    if options.softening.reach > 0.0 and bool((values["shape_restitution"] > 0).any()):
        s = int(torch.nonzero(values["shape_restitution"] > 0)[0, 1])
        raise StateError(
            f"shape {model.shape_names[s]!r} has restitution, and the simulator's contacts are softened: a force felt "
            "from a distance has no moment of impact. Set shape_restitution to zero, or use softening=Hard()"
        )


def overlap(model: Model, lane: Lane, worlds: int, first: int) -> None:
    """Raise if shapes start deep inside each other; the lane holds worlds ``first``, ``first + 1``, ..."""
    ratio = lane.depth_ratio.numpy()[:worlds]
    if not (ratio > DEEP).any():
        return
    w = int(ratio.argmax())
    a, b = (model.shape_names[i] for i in lane.depth_shapes.numpy()[w])
    raise StateError(
        f"shapes {a!r} and {b!r} start {lane.depth.numpy()[w]:.3g} m inside each other in world {first + w}; "
        "move them apart, exclude the pair in the builder, or pass allow_overlap=True to Simulator"
    )


def sunk(model: Model, lane: Lane, worlds: int, first: int) -> None:
    """Warn if shapes ended deep inside each other; the lane holds worlds ``first``, ``first + 1``, ..."""
    ratio = lane.depth_ratio.numpy()[:worlds]
    if not (ratio > DEEP).any():
        return
    w = int(ratio.argmax())
    a, b = (model.shape_names[i] for i in lane.depth_shapes.numpy()[w])
    warnings.warn(
        f"shapes {a!r} and {b!r} ended {lane.depth.numpy()[w]:.3g} m inside each other in world {first + w}. The "
        "derived stiffness carries bodies of like mass; for a heavy load on a light body give their shapes a "
        "stiffness, or take a smaller step",
        SimulationWarning,
        stacklevel=2,
    )


def spinning(model: Model, options: SimulatorOptions, inertia: torch.Tensor, final_v: torch.Tensor) -> None:
    """Warn if bodies end spinning faster than a step resolves; ``inertia`` [1 or W, B, 3, 3], ``final_v`` [W, B, 6]."""
    turn = final_v[..., 3:].norm(dim=-1) * options.step
    if not bool((turn > FAST).any()):
        return
    if not options.quasi_dynamic:  # a body of three equal moments, or that turns about fixed axes, spins at any speed
        moments = torch.linalg.eigvalsh(inertia)
        turn = turn * (1.0 - moments[..., 0] / moments[..., 2])
        turn = turn * torch.as_tensor(model.body_free[:, 3:].all(axis=1), device=turn.device)
    if not bool((turn > FAST).any()):
        return
    w, b = divmod(int(turn.argmax()), model.bodies)
    speed = float(final_v[w, b, 3:].norm())
    warnings.warn(
        f"body {model.body_names[b]!r} ended spinning at {speed:.3g} rad/s in world {w}, "
        f"{speed * options.step:.2g} rad a step: a step resolves less than about 1, and beyond that "
        "its axis wanders. Take a step of "
        f"{0.5 / speed:.1g} s or less, or look for a torque that is too great or an inertia that is too small",
        SimulationWarning,
        stacklevel=2,
    )


def capacity(simulator: Simulator, contacts: np.ndarray, first: int = 0) -> None:
    """Raise if one of the worlds ``first``, ``first + 1``, ... listed more contacts than it has room for."""
    room = simulator.contact_capacity
    most = int(contacts.max())
    if most > room:
        softened = simulator.options.softening.reach > 0.0
        raise CapacityError(
            f"world {first + int(contacts.argmax())} met {most} contacts but there is room for {room}; pass "
            f"contact_capacity={most} or more to Simulator, or reduce "
            + ("the width of softened contact" if softened else "contact_margin")
        )


def rollout_result(simulator: Simulator, d: Diagnostics, final_q: torch.Tensor, final_v: torch.Tensor) -> None:
    """Raise what went wrong in a rollout."""
    capacity(simulator, d.contacts.numpy())
    bad = d.failed_steps > 0
    if bool(bad.any()):
        world = int(torch.nonzero(bad)[0])
        raise ConvergenceError(
            f"the contact solve did not converge in {int(bad.sum())} of {len(bad)} worlds; first in world {world} at "
            f"step {int(d.first_failure[world])} (relative gradient norm {float(d.residual[world]):.3g} after at most "
            f"{simulator.options.max_iterations} iterations). Likely causes: values near the limits of the precision, "
            "or extreme ratios of mass or stiffness. Try dtype='float64', a smaller step, a larger stiction speed, or "
            "a larger tolerance or max_iterations"
        )
    if not bool(torch.isfinite(final_q).all() and torch.isfinite(final_v).all()):
        good = (torch.isfinite(final_q).all(dim=-1) & torch.isfinite(final_v).all(dim=-1)).all(dim=-1)
        w = int(torch.nonzero(~good)[0])
        raise ConvergenceError(
            f"world {w} ended with a state that is not finite; reduce the step or check forces and masses"
        )
