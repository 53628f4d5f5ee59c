"""Time by which contacts are listed ahead of the approach of their bodies."""

from __future__ import annotations

import math

import torch

from ...kernels.contact.hard import CONTACT_PERIOD_STEPS

__all__ = ["look_ahead"]


def look_ahead(values: dict[str, torch.Tensor], step: float, resists: bool) -> torch.Tensor:
    """Time [s] whose product with the speed of approach is the distance within which contacts are listed.

    No impulse jumps where a contact enters the list. The time is the largest (h + d/k)(1 + mu), one number a world,
    [W] or [1]: the contacts that a world lists must not depend on the other worlds.
    """
    stiffness, damping, mass = values["shape_stiffness"], values["shape_damping"], values["body_mass"]
    delay = mass.new_full((1,), step * CONTACT_PERIOD_STEPS / math.pi)
    if stiffness.shape[1] == 0:
        return step + delay
    never = torch.full_like(stiffness, math.inf)
    # two soft shapes act in series; a derived stiffness is least for the lightest body
    soft = torch.where(stiffness > 0.0, stiffness, never).amin(dim=1) / 2.0
    rigid = mass.amin(dim=1) * (2.0 * math.pi / (CONTACT_PERIOD_STEPS * step)) ** 2 / 2.0
    delay = torch.maximum(delay, 2.0 * torch.sqrt(mass.amax(dim=1) / soft))
    delay = torch.maximum(delay, damping.amax(dim=1).clamp(min=0.0) / torch.minimum(rigid, soft))
    slip = 1.0 + values["shape_friction"].amax(dim=1)
    return (step + delay) * (slip + _resisted(values) if resists else slip)


def _resisted(values: dict[str, torch.Tensor]) -> torch.Tensor:
    """Greatest (mu_r + mu_t) of a pair over the least radius of a shape, [W] or [1]; resistance adds it to 1 + mu."""
    arm = values["shape_rolling_resistance"] + values["shape_torsional_resistance"]
    radius = values["shape_size"][..., 0]
    radius = torch.where(radius > 0.0, radius, torch.full_like(radius, math.inf)).amin(dim=1)
    return arm.topk(min(2, arm.shape[1]), dim=1).values.sum(dim=1) / radius
