"""Checks of the inputs and of the results of a rollout."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...kernels.bodies.motion import ACTUATOR_POSITION
from ...kernels.contact.hard import AUTO
from ...plain import plain
from ..errors import ConvergenceError, DerivativeError, SimulationWarning, StateError
from ..scene.descriptions import MOST_FRICTION
from ..scene.mass import TRIANGLE, triangle_fault
from ..scene.model import PARAMETERS, Model
from ..state import Diagnostics, State
from .options import SimulatorOptions
from .parameter_key import parameter_key

if TYPE_CHECKING:
    from .world_batch import WorldBatch

__all__ = ["far_away", "mass_alone", "overlap", "rollout_inputs", "rollout_result", "spinning", "sunk", "turn_targets"]

DEEP = 0.1
"""Depth of an overlap, relative to half the width of the thinner shape, from which on it is refused or warned of."""


MASS_CHANGE = 0.01
"""Part by which a body's mass may change without its inertia and without a warning: differences, disturbances."""

COARSE = 1e-3
"""Spacing of floating-point numbers, relative to the smallest shape, from which on contacts are not resolved."""

ZENO = 5
"""Steps in a row with too many impacts from which on there is a warning."""

FINE = 1e-6
"""Spacing of floating-point numbers [m] that resolves shapes larger than a millimetre."""

FAST = 1.0
"""Rotation in a step [rad], times the relative difference of the moments of inertia, beyond which a step does not
resolve free rotation."""


def _finite(value: torch.Tensor, what: str) -> None:
    good = torch.isfinite(value) if value.is_cuda else _finite_numbers(value)
    if not bool(good.all()):
        where = tuple(torch.nonzero(~good)[0].tolist())
        count = int((~good).sum())
        raise StateError(
            f"{what} has {count} value{'s' if count > 1 else ''} that are not finite, the first at index {where}"
        )


def _finite_numbers(value: torch.Tensor) -> torch.Tensor:
    """``torch.isfinite`` without torch's thread pool, where the tensor is one of numbers in memory."""
    try:
        return torch.from_numpy(np.asarray(np.isfinite(value.numpy())))
    except (RuntimeError, TypeError):  # the tensors of torch's transforms have no memory, bfloat16 has no NumPy type
        return torch.isfinite(value)


def _shape(value: torch.Tensor, wanted: tuple[int, ...], what: str, names: str) -> None:
    if tuple(value.shape) != wanted:
        raise StateError(f"{what} must have shape {names} = {wanted}, got {tuple(value.shape)}")


def rollout_inputs(
    model: Model, state: State, control: torch.Tensor | None, parameters: Mapping[str, torch.Tensor],
    steps: int | None, good: set[bytes] | None = None,
) -> tuple[State, torch.Tensor, dict[str, torch.Tensor]]:  # fmt: skip
    """State, controls and all parameters of a rollout as contiguous tensors of the model's type, or a StateError.

    ``good`` holds the key of the parameters last found good, which are not checked again.
    """

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
    steps = plain(steps)
    if steps is not None and not isinstance(steps, int):
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
    if model.shape_size.requires_grad:
        raise DerivativeError(
            "shape_size of the model requires a gradient, and a rollout has no derivative with respect to sizes: give "
            "model.shape_size.detach(), and take differences over models of other sizes"
        )
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
    key = None if good is None else parameter_key(values)
    if good is None or key is None or key not in good:
        _physical(model, values)
        if good is not None and key is not None:
            good.clear()
            good.add(key)
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
    moments = torch.linalg.eigvalsh(inertia)
    low = moments[..., 0]
    if not bool((low > 0).all()):
        w, b = torch.nonzero(~(low > 0))[0].tolist()
        raise StateError(
            f"body_inertia of {model.body_names[b]!r} in world {w} must be positive definite; its least principal "
            f"moment is {float(low[w, b]):.4g} kg m^2"
        )
    beyond = moments[..., 2] * (2.0 - TRIANGLE) > moments.sum(dim=-1)
    if bool(beyond.any()):
        turns = np.asarray(model.body_free[:, 3:].any(axis=1))
        for w, b in torch.nonzero(beyond).tolist():
            fault = triangle_fault(moments[w, b].tolist())
            if turns[b] and fault is not None:
                raise StateError(f"body_inertia of {model.body_names[b]!r} in world {w} {fault}")
    for name, unit, least in (("shape_stiffness", "N/m", "positive"), ("shape_damping", "N s/m", "zero or more")):
        value = values[name].detach()
        lowest, highest = (float(x) for x in value.aminmax()) if value.numel() else (AUTO, AUTO)
        if lowest > 0.0 or lowest == highest == AUTO:
            continue
        good = (value == AUTO) | (value > 0.0) | ((value == 0.0) & (least != "positive"))
        if not bool(good.all()):
            w, i = torch.nonzero(~good)[0].tolist()
            raise StateError(
                f"{name} of {model.shape_names[i]!r} in world {w} must be {least} [{unit}], or {AUTO:g} to have it "
                f"derived from mass and step, got {float(value[w, i]):.4g}. No other number stands for a derived one: "
                "an optimizer that comes down to zero would get a rigid contact. Keep it above with a bound, or "
                "optimize its logarithm"
            )
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

    friction = values["shape_friction"].detach()
    if bool((friction > MOST_FRICTION).any()):
        w, i = torch.nonzero(friction > MOST_FRICTION)[0].tolist()
        raise StateError(
            f"shape_friction of {model.shape_names[i]!r} in world {w} must be at most {MOST_FRICTION:g}, got "
            f"{float(friction[w, i]):.4g}; no known material exceeds about 4. To hold a body use 1 to 2"
        )
    bounce = values["shape_restitution"].detach()
    if bool((bounce > 1).any()):
        w, i = torch.nonzero(bounce > 1)[0].tolist()
        raise StateError(
            f"shape_restitution of {model.shape_names[i]!r} in world {w} must be 0 to 1, got {float(bounce[w, i]):.4g}"
        )


def mass_alone(
    model: Model, values: dict[str, torch.Tensor], given: Mapping[str, torch.Tensor], told: set[str]
) -> None:
    """Warn, once, of masses that were changed without the inertia of bodies that can turn."""
    if "body_mass" not in given or "body_inertia" in given or "mass alone" in told:
        return
    turns = torch.as_tensor(model.body_free[:, 3:].any(axis=1), device=model.device)
    mass = values["body_mass"].detach()
    changed = ((mass / model.body_mass - 1.0).abs() > MASS_CHANGE) & turns
    if not bool(changed.any()):
        return
    told.add("mass alone")
    w, b = torch.nonzero(changed)[0].tolist()
    before = float(model.body_mass[w if len(model.body_mass) > 1 else 0, b])
    warnings.warn(
        f"body_mass of {model.body_names[b]!r} in world {w} is {float(mass[w, b]):.4g} kg instead of {before:.4g} kg, "
        "and its inertia stays: it turns like the body of the old mass. If the density was meant to change, pass "
        '"body_inertia": model.body_inertia * (mass / model.body_mass)[..., None, None] too; if not, pass '
        '"body_inertia": model.body_inertia. A gradient by the mass is that of what was passed',
        SimulationWarning,
        stacklevel=2,
    )


def many_impacts(options: SimulatorOptions, in_a_row: torch.Tensor, told: set[str]) -> None:
    """Warn, once, of worlds, [W], in which step after step had more impacts one after another than are resolved."""
    w = int(in_a_row.argmax())
    if int(in_a_row[w]) < ZENO or "many impacts" in told:
        return
    told.add("many impacts")
    warnings.warn(
        f"world {w} had more than {options.impact_rounds} impacts one after another in each of {int(in_a_row[w])} "
        "steps in a row: something bounces ever faster, as between walls that close. What was left took near contacts "
        "at once, in the end without restitution. Take a smaller step, a smaller restitution, a larger "
        "restitution_threshold or more impact_rounds",
        SimulationWarning,
        stacklevel=4,
    )


def coarse_slip(model: Model, options: SimulatorOptions, v: torch.Tensor, told: set[str]) -> None:
    """Warn, once, where rounding of a speed is more than the stiction speed, so that friction is; ``v`` [W, B, 6]."""
    if not model.shapes or "coarse slip" in told or v.numel() == 0:
        return
    rounding = torch.finfo(v.dtype).eps * float(v.detach()[..., :3].abs().max())
    if not rounding > options.stiction:
        return
    told.add("coarse slip")
    w, b = divmod(int(v.detach()[..., :3].abs().amax(dim=2).argmax()), model.bodies)
    warnings.warn(
        f"body {model.body_names[b]!r} moves at {float(v.detach()[w, b, :3].norm()):.3g} m/s in world {w}, which "
        f"{str(v.dtype).removeprefix('torch.')} knows to {rounding:.1g} m/s, more than the stiction speed of "
        f"{options.stiction:.1g} m/s: friction where it sticks may be off by some percent of the speed. Take "
        "dtype='float64' or a larger stiction",
        SimulationWarning,
        stacklevel=4,
    )


def far_away(model: Model, q: torch.Tensor, told: set[str]) -> None:
    """Warn, once, of bodies so far from the origin that their precision does not resolve contacts; ``q`` [W, B, 7]."""
    if not model.shapes or "far away" in told:
        return
    low, high = q.detach().aminmax()  # of quaternions too, which are small
    spacing = max(-float(low), float(high)) * torch.finfo(q.dtype).eps
    if spacing <= FINE:
        return
    radius = model.shape_size[..., 0]
    least = float(torch.where(radius > 0.0, radius, torch.full_like(radius, math.inf)).min())
    if spacing <= COARSE * least:
        return
    place = q.detach()[..., :3].abs().amax(dim=2)
    told.add("far away")
    w, b = divmod(int(place.argmax()), model.bodies)
    warnings.warn(
        f"body {model.body_names[b]!r} is {float(place[w, b]):.4g} m from the origin in world {w}, where {q.dtype} "
        f"resolves {spacing:.2g} m, coarse for shapes as small as {least:.2g} m: contacts there are noise. Move the "
        "scene to the origin" + ("" if q.dtype == torch.float64 else ", or take dtype='float64'"),
        SimulationWarning,
        stacklevel=3,
    )


def turn_targets(model: Model, control: torch.Tensor, told: set[str]) -> None:
    """Warn, once, of position targets about an axis that no angle reaches; ``control`` [T, W, A]."""
    turns = np.asarray((model.actuator_kind == int(ACTUATOR_POSITION)) & (model.actuator_axis >= 3))
    if not turns.any() or not control.numel() or "turn targets" in told:
        return
    beyond = control.detach().abs() * torch.as_tensor(turns, device=control.device)
    if not bool((beyond > math.pi).any()):
        return
    told.add("turn targets")
    t, w, a = torch.nonzero(beyond > math.pi)[0].tolist()
    warnings.warn(
        f"the target of actuator {model.actuator_names[a]!r} is {float(control[t, w, a]):.4g} rad at step {t} in world "
        f"{w}: a position about an axis is measured within -pi to pi, so it is never reached and the actuator turns "
        "on and on. Use a velocity actuator for whole turns",
        SimulationWarning,
        stacklevel=3,
    )


def restitution(model: Model, options: SimulatorOptions, values: dict[str, torch.Tensor]) -> None:
    """Raise if shapes have restitution and the steps are quasi-dynamic or the contacts softened."""
    if options.quasi_dynamic and bool((values["shape_restitution"] > 0).any()):
        raise StateError(
            "restitution has no meaning in quasi-dynamic stepping, which drops momentum; set shape_restitution to zero "
            "or pass quasi_dynamic=False to Simulator"
        )
    if options.softening.reach > 0.0 and bool((values["shape_restitution"] > 0).any()):
        s = int(torch.nonzero(values["shape_restitution"] > 0)[0, 1])
        raise StateError(
            f"shape {model.shape_names[s]!r} has restitution, and the simulator's contacts are softened: "
            "a force that acts before the shapes touch has no time of impact. Set shape_restitution to zero, or use "
            "softening=Hard()"
        )


def overlap(model: Model, batch: WorldBatch, numbers: Sequence[int]) -> None:
    """Raise if shapes start deep inside each other; the batch holds the worlds of these ``numbers``."""
    ratio = batch.depth_ratio.numpy()[: len(numbers)]
    if not (ratio > DEEP).any():
        return
    w = int(ratio.argmax())
    a, b = (model.shape_names[i] for i in batch.depth_shapes.numpy()[w])
    raise StateError(
        f"shapes {a!r} and {b!r} start {batch.depth.numpy()[w]:.3g} m inside each other in world {numbers[w]}; "
        "move them apart, exclude the pair in the builder, or pass allow_overlap=True to Simulator"
    )


def sunk(model: Model, batch: WorldBatch, numbers: Sequence[int]) -> None:
    """Warn if shapes ended deep inside each other; the batch holds the worlds of these ``numbers``."""
    ratio = batch.depth_ratio.numpy()[: len(numbers)]
    if not (ratio > DEEP).any():
        return
    w = int(ratio.argmax())
    a, b = (model.shape_names[i] for i in batch.depth_shapes.numpy()[w])
    warnings.warn(
        f"shapes {a!r} and {b!r} ended {batch.depth.numpy()[w]:.3g} m inside each other in world {numbers[w]}. The "
        "derived stiffness carries bodies of like mass; for a heavy load on a light body give their shapes a "
        f"stiffness, or take a smaller step{_slip_too(batch)}",
        SimulationWarning,
        stacklevel=2,
    )


def _slip_too(batch: WorldBatch) -> str:
    """Text on shapes that sink where slip ends, for options that do not resolve slip; else empty."""
    if batch.resolves_slip or batch.options.quasi_dynamic:
        return ""
    return (
        ". A body that lands while it slides fast also sinks, in a step in which its slip ends, by the step times "
        "friction times the change of slip: resolve_slip=True takes that away"
    )


def spinning(model: Model, options: SimulatorOptions, inertia: torch.Tensor, final_v: torch.Tensor) -> None:
    """Warn if a step does not resolve a body's final spin; ``inertia`` [1 or W, B, 3, 3], ``final_v`` [W, B, 6]."""
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


def _unsolved(options: SimulatorOptions, where: str, step: int, residual: float) -> ConvergenceError:
    return ConvergenceError(
        f"the contact solve did not converge {where} at step {step} (relative gradient norm {residual:.3g} after at "
        f"most {options.max_iterations} iterations). Likely causes: values near the limits of the precision, "
        "or extreme ratios of mass or stiffness. Try dtype='float64', a smaller step, a larger stiction speed, or "
        "a larger tolerance or max_iterations"
    )


def solved_again(
    options: SimulatorOptions, batch: WorldBatch, what: str, place: Callable[[int, int], tuple[int, int]]
) -> None:
    """Raise if a solve did not converge when the pass ``what`` over a finished rollout repeated it.

    ``place(row, count)`` gives the world and the step of a row of the batch that failed at its solve number ``count``.
    """
    _iterations, failed, first, residual = batch.solver_outcome()
    if not (failed > 0).any():
        return
    row = int((failed > 0).argmax())
    world, step = place(row, int(first[row]))
    raise _unsolved(options, f"in {what} of world {world}", step, float(residual[row]))


def rollout_result(options: SimulatorOptions, d: Diagnostics, final_q: torch.Tensor, final_v: torch.Tensor) -> None:
    """Raise the error of a rollout that did not converge or is not finite."""
    bad = d.failed_steps > 0
    if bool(bad.any()):
        world = int(torch.nonzero(bad)[0])
        raise _unsolved(
            options, f"in {int(bad.sum())} of {len(bad)} worlds; first in world {world}", int(d.first_failure[world]),
            float(d.residual[world]),
        )  # fmt: skip
    if not bool(torch.isfinite(final_q).all() and torch.isfinite(final_v).all()):
        good = (torch.isfinite(final_q).all(dim=-1) & torch.isfinite(final_v).all(dim=-1)).all(dim=-1)
        w = int(torch.nonzero(~good)[0])
        raise ConvergenceError(
            f"world {w} ended with a state that is not finite; reduce the step or check forces and masses"
        )
