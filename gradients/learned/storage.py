"""Reading of fitted surrogates from disk, with its checks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..core.errors import GradientError
from ..core.interface import Objective
from ..core.objective import evaluate
from ..estimators.network import Ensemble
from .data import Identity, RegionData, objective_dtype
from .files import read_model, require
from .fit import Fit, FitOptions, FitReport, layer_shapes
from .fitted import FittedSurrogate
from .options import SurrogateOptions
from .regions import region_from_dict
from .stored_fit import KIND

if TYPE_CHECKING:
    from .progress import ProgressCallback

__all__ = ["load_surrogate"]


def load_surrogate(
    path: str | Path,
    objective: Objective | None = None,
    *,
    probes: int = 8,
    progress: bool | ProgressCallback | None = None,
) -> FittedSurrogate:
    """Read a surrogate, checked: format, architecture, region, and that it belongs to ``objective``.

    The objective is compared by name, number and names of parameters, and by ``probes`` rollouts at points of the
    stored data: a task of the same name with other options gives other costs there.

    Args:
        path: A file of ``FittedSurrogate.save``.
        objective: Objective that the surrogate is for; None: not compared.
        probes: Rollouts of the comparison; 0 for none.
        progress: Progress of later refits, as in ``fit_surrogate``.

    Raises:
        FileNotFoundError: There is no such file.
        GradientError: A damaged file, another version or kind, another architecture than it says, another objective.
    """
    header, arrays = read_model(path, KIND)
    try:
        surrogate = _build(path, header, arrays, progress)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        if isinstance(error, GradientError):
            raise
        raise GradientError(
            f"{path} cannot be used: its header is incomplete ({error}); fit again and save it"
        ) from None
    if objective is not None:
        surrogate.identity.check(objective, surrogate.identity.parameters, where=f"the surrogate in {path}")
        if probes:
            _probe(path, surrogate, objective, probes)
    return surrogate


def _build(
    path: str | Path,
    header: dict[str, Any],
    arrays: dict[str, np.ndarray],
    progress: bool | ProgressCallback | None,
) -> FittedSurrogate:
    parameters = int(header["parameters"])
    networks = FitOptions(**header["networks"])
    options = SurrogateOptions(**{name: _plain(value) for name, value in header["options"].items()})
    names = header["parameter_names"]
    require(names is None or len(names) == parameters, path, "it names another number of parameters than it has")

    def tensor(name: str, shape: tuple[int, ...], dtype: str) -> torch.Tensor:
        require(name in arrays, path, f"its array {name!r} is missing")
        array = arrays[name]
        require(
            array.shape == shape and array.dtype == dtype,
            path,
            f"its array {name!r} is {array.dtype} {list(array.shape)}, its architecture asks for {dtype} {list(shape)}",
        )
        return torch.from_numpy(array.copy())

    network = Ensemble(
        inputs=parameters,
        hidden=networks.hidden,
        members=networks.ensemble,
        copies=1,
        seed=0,
        dtype=torch.float32,
        device=torch.device("cpu"),
    )
    network.weights = [
        tensor(f"weight{i}", shape, "float32") for i, shape in enumerate(layer_shapes(parameters, networks))
    ]
    data = []
    for i, (stored, eps) in enumerate(zip(header["regions"], header["eps"], strict=True)):
        region = region_from_dict(stored)
        require(len(region.centre) == parameters, path, "its region has another number of parameters")
        count = arrays[f"costs{i}"].shape[0]
        points, costs = tensor(f"points{i}", (count, parameters), "float64"), tensor(f"costs{i}", (count,), "float64")
        data.append(RegionData(region, points, costs, float(eps)))
    require(len(data) > 0, path, "it has no region")
    fit = Fit(
        tensor("centre", (parameters,), "float64"),
        tensor("spread", (parameters,), "float64"),
        float(header["offset"]),
        float(header["cost_spread"]),
        tensor("plane", (1 + parameters,), "float64"),
        network,
        networks,
        FitReport(**header["report"]),
    )
    require(bool((fit.spread > 0).all()) and fit.cost_spread > 0, path, "its scales are not positive")
    identity = Identity(str(header["objective"]), parameters, None if names is None else tuple(map(str, names)))
    surrogate = FittedSurrogate(identity, tuple(data), networks, options, progress=progress, fit=fit)
    surrogate.refits, surrogate.extensions, surrogate.rollouts = map(int, header["counts"])
    return surrogate


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _probe(path: str | Path, surrogate: FittedSurrogate, objective: Objective, probes: int) -> None:
    """Compare the objective with the stored costs; a tenth of their spread is more than rounding ever makes."""
    part = surrogate.data[-1]
    dtype = objective_dtype(objective)
    rows = part.points[:probes].to(device=getattr(objective, "device", "cpu"), dtype=dtype)
    found = evaluate(objective, rows).double().cpu()
    off = float((found - part.costs[:probes]).square().mean().sqrt())
    if not off <= 0.1 * surrogate.fit.cost_spread or math.isnan(off):
        raise GradientError(
            f"the surrogate in {path} was fitted to another {surrogate.identity.name!r}: at {len(rows)} of its points "
            f"the costs differ by {off:.3g} (root mean square), {off / surrogate.fit.cost_spread:.2g} standard "
            "deviations. Make the task with the options it was fitted with, or fit a surrogate to this one"
        )
