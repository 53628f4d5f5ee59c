"""Contacts in the samples of a smoothed gradient that theta itself does not make, or makes at another time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...plain import plain_numbers
from ..core.arrays import as_theta
from ..core.checks import Scale, as_batch, check_count, check_scale, expand_scale
from ..core.errors import GradientError
from ..core.interface import Objective
from ..noise.counter_random import draw_uniforms
from .linearized_rollout import contact_history_of

__all__ = ["ContactChanges", "PairChanges", "contact_changes"]


@dataclass(frozen=True)
class PairChanges:
    """Contact changes of one pair of shapes, in the samples against theta."""

    name: str
    at_theta: bool
    """Whether the pair ever touches at theta."""
    other: float
    """Share of the samples that touch where theta never does, or never where theta does."""
    retimed: float
    """Share of the samples in which the pair is in contact in other steps than at theta."""
    first_step: int | None
    """First step in which any sample differs; None if none does."""


@dataclass(frozen=True)
class ContactChanges:
    """Contacts of perturbed rollouts held against those of theta."""

    samples: int
    other_pairs: float
    """Share of the samples in which some pair touches that never does at theta, or the reverse."""
    other_order: float
    """Share in which some pair makes or breaks contact another number of times than at theta."""
    other_steps: float
    """Share in which any contact is made or broken in another step. Timing shifts with any noise; it is no jump yet."""
    pairs: tuple[PairChanges, ...]
    """The pairs that differ anywhere, those met by most samples first."""


@plain_numbers
def contact_changes(
    objective: Objective,
    theta: torch.Tensor,
    *,
    scale: Scale = 0.02,
    samples: int = 64,
    seed: int = 0,
    chunk: int | None = 256,
) -> ContactChanges:
    """Shares of rollouts under Gaussian noise on theta whose contacts differ from those at theta.

    Args:
        objective: Objective with ``contact_history(theta)``, such as a simulated task.
        theta: [parameters].
        scale: Standard deviation of the noise, one number or one per coordinate.
        samples: Perturbed rollouts.
        seed: Seed of the noise.
        chunk: Most rollouts in one call of the objective.

    Raises:
        GradientError: theta is a batch, or the objective has no ``contact_history``.
    """
    theta = as_theta(theta)
    batch, single = as_batch(theta)
    if not single:
        raise GradientError(f"contact_changes takes one theta, shape [parameters], not {list(theta.shape)}")
    check_count("samples", samples, 1)
    spread = expand_scale(check_scale(scale), batch)
    uniforms = draw_uniforms(seed, "contact changes", first=0, rows=samples, columns=batch.shape[1])
    noise = torch.special.ndtri(uniforms).to(spread.device)
    rows = (batch.double() + spread * noise).to(batch.dtype)
    base, names = contact_history_of(objective, batch)
    tables: dict[str, np.ndarray] = {name: np.zeros((samples, base.shape[1]), dtype=bool) for name in names}
    done = 0
    for part in rows.split(chunk or samples):
        active, found = contact_history_of(objective, part)
        for i, name in enumerate(found):
            table = tables.setdefault(name, np.zeros((samples, base.shape[1]), dtype=bool))
            table[done : done + len(part)] = active[:, :, i]
        done += len(part)
    at_theta = {name: base[0, :, i] for i, name in enumerate(names)}
    never = np.zeros(base.shape[1], dtype=bool)
    pairs, others, orders, retimings = [], [], [], []
    for name, table in tables.items():
        own = at_theta.get(name, never)
        other = table.any(1) != own.any()
        order = np.abs(np.diff(table, axis=1)).sum(1) != np.abs(np.diff(own)).sum()
        differs = table != own
        if differs.any():
            first = int(np.argmax(differs.any(0)))
            pairs.append(PairChanges(name, bool(own.any()), float(other.mean()), float(differs.any(1).mean()), first))
        others.append(other)
        orders.append(order)
        retimings.append(differs.any(1))

    def share(tables: list[np.ndarray]) -> float:
        return float(np.any(tables, axis=0).mean()) if tables else 0.0

    pairs.sort(key=lambda pair: (-pair.other, -pair.retimed, pair.name))
    return ContactChanges(samples, share(others), share(orders), share(retimings), tuple(pairs))
