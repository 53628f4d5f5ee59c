"""Choice of the perturbed parameters: indices or names, as columns of theta."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..core.checks import suggest
from ..core.errors import GradientError
from ..core.objective import objective_name

__all__ = ["check_parameters", "chosen_columns"]


def check_parameters(parameters: Sequence[int | str]) -> tuple[int | str, ...]:
    """Indices and names as a tuple; refuses anything else."""
    entries = (parameters,) if isinstance(parameters, (int, str)) else tuple(parameters)
    if not entries:
        raise GradientError("parameters is empty: name at least one, or give None to smooth all")
    for entry in entries:
        if isinstance(entry, bool) or not isinstance(entry, (int, str)):
            raise GradientError(f"parameters has the entry {entry!r}: give indices or names")
    return entries


def chosen_columns(parameters: Sequence[int | str] | None, objective: object, batch: torch.Tensor) -> torch.Tensor:
    """Columns of ``batch`` [batch, parameters] that are chosen, in the order given; all of them for None."""
    count = batch.shape[1]
    if parameters is None:
        return torch.arange(count, device=batch.device)
    names = list(getattr(objective, "parameter_names", ()))
    places = []
    for entry in parameters:
        if isinstance(entry, str):
            if entry not in names:
                has = suggest("parameter", entry, names) if names else f"parameter {entry!r}: it has no names"
                raise GradientError(f"objective {objective_name(objective)!r}: {has}; or give indices")
            places.append(names.index(entry))
        elif -count <= entry < count:
            places.append(entry % count)
        else:
            raise GradientError(f"parameters names index {entry}, but theta has {count} parameters")
    if len(set(places)) < len(places):
        raise GradientError(f"parameters is {tuple(parameters)!r}: some parameter is named twice")
    return torch.tensor(places, dtype=torch.int64, device=batch.device)
