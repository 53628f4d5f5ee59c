"""Warnings on gradients with respect to parameters that are zero, or mean little, at the value of the parameter.

Friction, damping, resistance and actuator gains of zero have the derivative from above. The warnings are on the
exceptions.
"""

from __future__ import annotations

import warnings

import torch

from ..errors import SimulationWarning
from ..scene.model import Model

__all__ = ["warn_of_bounds"]


def warn_of_bounds(model: Model, values: dict[str, torch.Tensor]) -> None:
    """Warn of parameters that require a gradient at a value where it is no derivative; once a call site."""
    if not torch.is_grad_enabled():
        return
    for name in ("shape_friction", "shape_restitution", "shape_stiffness", "shape_damping"):
        value = values[name]
        if value.requires_grad and len(model.pairs):
            text = _derived(model, name, value) if name in _DERIVED else _at_zero(model, name, value)
            if text:
                warnings.warn(text, SimulationWarning, stacklevel=3)


_DERIVED = {"shape_stiffness": "stiffness", "shape_damping": "damping"}


def _derived(model: Model, name: str, value: torch.Tensor) -> str | None:
    meets = torch.zeros(model.shapes, dtype=torch.bool, device=value.device)
    meets[torch.as_tensor(model.pairs, dtype=torch.long, device=value.device).reshape(-1)] = True
    derived = (value.detach() <= 0.0) if name == "shape_stiffness" else (value.detach() < 0.0)
    where = torch.nonzero(derived & meets)
    if not len(where):
        return None
    w, s = where[0].tolist()
    what, entry = _DERIVED[name], float(value.detach()[w, s])
    return (
        f"{name} of {model.shape_names[s]!r} in world {w} is {entry:.4g}, which stands for no {what} of "
        f"its own: it has no effect, and its gradient is zero ({len(where)} such entries). Where neither shape of a "
        f"pair has one, it is derived from mass and step. To differentiate with respect to {what}, give the shape one"
    )


def _at_zero(model: Model, name: str, value: torch.Tensor) -> str | None:
    pairs = torch.as_tensor(model.pairs, dtype=torch.long, device=value.device)
    zero = value.detach()[:, pairs] == 0.0  # [W, P, 2]
    both = torch.nonzero(zero.all(dim=2))
    what = name.removeprefix("shape_")
    if name == "shape_restitution":
        some = torch.nonzero(zero.any(dim=2))
        if not len(some):
            return None
        w, p = some[0].tolist()
        a, b = (model.shape_names[s] for s in model.pairs[p])
        first, second = value.detach()[w, pairs[p]].tolist()
        return (
            f"the restitution of shapes {a!r} and {b!r} in world {w} is {first:.4g} and {second:.4g}, that of their "
            f"pair exactly 0 ({len(some)} such pairs), and its gradient is reported as zero. That is not a derivative "
            "from above: contacts without restitution have no impact within the step, and the result jumps to that of "
            "impacts as restitution becomes positive. For the slope with impacts start from 1e-6 for both shapes"
        )
    if not len(both):
        return None
    w, p = both[0].tolist()
    a, b = (model.shape_names[s] for s in model.pairs[p])
    return (
        f"the {what} of shapes {a!r} and {b!r} in world {w} is exactly 0 for both ({len(both)} such pairs), and its "
        "gradient is zero: that is right for either coefficient alone, as that of the pair, their harmonic mean, stays "
        "zero, but not where both follow one parameter. For that slope start from 1e-9 for both shapes"
    )
