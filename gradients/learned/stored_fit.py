"""Fitted surrogates written to disk."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from .data import Identity, RegionData
from .files import write_model
from .fit import Fit, FitOptions, FitReport
from .options import SurrogateOptions
from .regions import Region

__all__ = ["KIND", "StoredFit", "write_fit"]

KIND = "objective surrogate"
"""Kind of such a file."""


class StoredFit(Protocol):
    """The parts of a fitted surrogate that are kept."""

    identity: Identity
    data: tuple[RegionData, ...]
    networks: FitOptions
    options: SurrogateOptions
    fit: Fit
    refits: int
    extensions: int
    rollouts: int

    @property
    def regions(self) -> tuple[Region, ...]:
        """Regions of the fit."""
        ...

    @property
    def report(self) -> FitReport:
        """Quality of the fit."""
        ...


def write_fit(path: str | Path, surrogate: StoredFit) -> None:
    """Write weights and data to ``path`` (.npz), whole or not at all."""
    fit = surrogate.fit
    arrays = {f"weight{i}": weight.numpy() for i, weight in enumerate(fit.network.weights)}
    arrays |= {"centre": fit.centre.numpy(), "spread": fit.spread.numpy(), "plane": fit.plane.numpy()}
    for i, part in enumerate(surrogate.data):
        arrays |= {f"points{i}": part.points.numpy(), f"costs{i}": part.costs.numpy()}
    header = {
        "objective": surrogate.identity.name,
        "parameters": surrogate.identity.parameters,
        "parameter_names": surrogate.identity.parameter_names,
        "regions": [region.as_dict() for region in surrogate.regions],
        "eps": [part.eps for part in surrogate.data],
        "networks": asdict(surrogate.networks),
        "options": asdict(surrogate.options),
        "report": asdict(surrogate.report),
        "offset": fit.offset,
        "cost_spread": fit.cost_spread,
        "counts": [surrogate.refits, surrogate.extensions, surrogate.rollouts],
    }
    write_model(path, KIND, header, arrays)
