"""Calls of a user's objective, with its answers checked; and the assembly of an estimate."""

from __future__ import annotations

from typing import Any

import torch

from .arrays import as_numbers, as_theta, called, takes_arrays
from .error_bars import ErrorBar
from .errors import GradientError
from .interface import Estimate, Objective
from .optional import optional

__all__ = [
    "assemble",
    "evaluate",
    "evaluate_in_calls",
    "evaluate_with_gradient",
    "objective_name",
    "refuse_non_finite",
]

_SHOWN_ROWS = 3
_SHOWN_PARAMETERS = 8


def objective_name(objective: object) -> str:
    """Name of an objective in messages: its ``name``, its function name, or its class."""
    for attribute in ("name", "__name__"):
        name = getattr(objective, attribute, None)
        if isinstance(name, str) and name:
            return name
    return type(objective).__name__


def evaluate(objective: Objective, rows: torch.Tensor, *, finite: bool = True) -> torch.Tensor:
    """Costs of ``rows`` [n, parameters], shape [n], in theta's dtype and on its device; refused if not ``finite``.

    The objective may be written for NumPy: it may return an array or a list, and takes an array where it fails with a
    tensor. Rows may be an array or a list too, as float64.
    """
    rows = as_theta(rows)
    if not callable(objective):
        raise GradientError(
            f"the objective is a {type(objective).__name__}: give a callable [batch, parameters] -> [batch]"
        )
    with torch.no_grad():
        values = called(objective, rows)
    return _checked_values(objective, rows, values, finite)


def evaluate_in_calls(
    objective: Objective, rows: torch.Tensor, *, at_once: int = 64, finite: bool = True
) -> torch.Tensor:
    """Costs of ``rows`` as ``evaluate`` gives them, by calls that all have ``at_once`` rows.

    The last call is filled up with copies of its last row: a simulator keeps a set of buffers for every number of
    worlds, and makes each once, which takes longer than a few further worlds.

    Without ``finite``, a row for which the objective raises (a theta outside of its domain) is nan too, as long as
    another row has a cost.
    """
    calls = []
    failure: Exception | None = None
    for part in rows.split(at_once):
        filled = torch.cat([part, part[-1:].expand(at_once - len(part), -1)])
        try:
            calls.append(evaluate(objective, filled, finite=finite)[: len(part)])
        except Exception as error:
            if finite:
                raise
            failure = error
            calls.append(torch.cat([_cost_or_nan(objective, row) for row in part[:, None]]))
    costs = torch.cat(calls)
    if failure is not None and bool(torch.isnan(costs).all()):
        raise failure
    return costs


def _cost_or_nan(objective: Objective, row: torch.Tensor) -> torch.Tensor:
    try:
        return evaluate(objective, row, finite=False)
    except Exception:
        return torch.full_like(row[:, 0], torch.nan)


def evaluate_with_gradient(
    objective: Objective, rows: torch.Tensor, *, finite: bool = True
) -> tuple[torch.Tensor, torch.Tensor]:
    """Costs [n] and exact gradients [n, parameters] of ``rows``; gradients are not checked for being finite.

    Uses ``objective.value_and_gradient`` where the objective has it, else torch.autograd on the sum of the costs, which
    is each row's own gradient as long as rows do not affect each other (an objective is a map of rows).
    """
    gradient_method = optional(objective, "value_and_gradient")
    if callable(gradient_method):
        answer = called(gradient_method, rows)
        slopes = as_numbers(answer[1]) if isinstance(answer, tuple) and len(answer) == 2 else None
        if slopes is None:
            raise GradientError(
                f"value_and_gradient of {objective_name(objective)!r} must return (values [batch], gradients "
                "[batch, parameters])"
            )
        values, gradients = _checked_values(objective, rows, answer[0], finite), slopes.detach()
        if gradients.shape != rows.shape:
            raise GradientError(
                f"value_and_gradient of {objective_name(objective)!r} returned gradients of shape "
                f"{list(gradients.shape)} for theta of shape {list(rows.shape)}: the shapes must be equal"
            )
        return values, gradients.to(rows)
    if not callable(objective):
        raise GradientError(
            f"the objective is a {type(objective).__name__}: give a callable [batch, parameters] -> [batch]"
        )
    leaf = rows.detach().clone().requires_grad_()
    with torch.enable_grad():
        try:
            costs = objective(leaf.clone())  # an objective may work in place, which a leaf refuses
        except RuntimeError as error:
            if "call numpy() on Tensor that requires grad" not in str(error):
                raise
            raise _without_gradient(objective) from error
        except (TypeError, AttributeError) as error:
            if not takes_arrays(objective, rows):
                raise
            raise _without_gradient(objective) from error
        values = _checked_values(objective, rows, costs, finite)
        gradient = (
            torch.autograd.grad(costs.sum(), leaf, allow_unused=True)[0]
            if isinstance(costs, torch.Tensor) and costs.requires_grad
            else None
        )
    if gradient is None:
        raise _without_gradient(objective)
    return values, gradient.detach()


def _without_gradient(objective: Objective) -> GradientError:
    return GradientError(
        f"objective {objective_name(objective)!r} has no exact gradient: it has no value_and_gradient(theta), "
        "and torch.autograd does not reach theta through it. Write it in torch operations without detach(), numpy "
        'or comparisons, or use Smoothing(order="zeroth"), which needs only its values'
    )


def _checked_values(objective: object, rows: torch.Tensor, values: object, finite: bool) -> torch.Tensor:
    name = objective_name(objective)
    given, values = values, as_numbers(values)
    if values is None:
        raise GradientError(
            f"objective {name!r} returned a {type(given).__name__}: return a torch tensor or a NumPy array [batch]"
        )
    if values.shape != rows.shape[:1]:
        raise GradientError(
            f"objective {name!r} returned shape {list(values.shape)} for theta of shape {list(rows.shape)}: "
            f"return one cost per row, shape {[rows.shape[0]]}"
        )
    if values.is_complex():
        raise GradientError(f"objective {name!r} returned {values.dtype}: return real costs")
    values = values.detach().to(rows)
    if finite:
        refuse_non_finite(name, rows, values, "cost")
    return values


def refuse_non_finite(
    name: str,
    rows: torch.Tensor,
    results: torch.Tensor,
    what: str,
    *,
    first: int = 0,
    total: int | None = None,
    advice: str = "",
) -> None:
    """Raise if a row of ``results`` ([n] or [n, parameters]) is not finite, naming how many and the first few.

    ``first`` is the number of the first row where these are part of ``total`` rollouts.
    """
    fine = torch.isfinite(results) if results.ndim == 1 else torch.isfinite(results).all(1)
    bad = (~fine).nonzero().reshape(-1).tolist()
    if not bad:
        return
    shown = "; ".join(f"row {first + i}, theta = {_short(rows[i])}: {_short(results[i])}" for i in bad[:_SHOWN_ROWS])
    more = f"; and {len(bad) - _SHOWN_ROWS} more" if len(bad) > _SHOWN_ROWS else ""
    part = "" if total in (None, len(rows)) else f"the {len(rows)} rollouts from number {first} of the "
    raise GradientError(
        f"objective {name!r} returned a {what} that is not finite in {len(bad)} of {part}{total or len(rows)} rollouts "
        f"({shown}{more}). An average over them would mean nothing: make the objective finite there (e.g. cap the cost "
        f"of a failed rollout), or use a smaller scale so that fewer rollouts leave its domain{advice}"
    )


def _short(numbers: torch.Tensor) -> str:
    flat = numbers.reshape(-1)
    text = ", ".join(f"{number:.6g}" for number in flat[:_SHOWN_PARAMETERS].tolist())
    if numbers.ndim == 0:
        return text
    return f"[{text}, ...]" if flat.numel() > _SHOWN_PARAMETERS else f"[{text}]"


def assemble(
    theta: torch.Tensor,
    single: bool,
    *,
    value: torch.Tensor,
    gradient: torch.Tensor,
    standard_error: torch.Tensor | None,
    evaluations: int,
    seconds: float,
    diagnostics: dict[str, Any],
    bar: ErrorBar | None = None,
) -> Estimate:
    """An estimate from batched tensors, in theta's dtype; the batch dimension goes where theta had none."""

    def finish(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.is_floating_point():
            tensor = tensor.to(theta)
        return tensor[0] if single else tensor

    def plain(measure: Any) -> Any:
        if not isinstance(measure, torch.Tensor):
            return measure
        measure = finish(measure)
        return measure.item() if measure.ndim == 0 else measure

    return Estimate(
        value=finish(value),
        gradient=finish(gradient),
        standard_error=None if standard_error is None else finish(standard_error),
        evaluations=evaluations,
        seconds=seconds,
        diagnostics={name: plain(measure) for name, measure in diagnostics.items()}
        | ({} if bar is None or bar.reason is None else {"no_error_bar": bar.reason}),
        degrees_of_freedom=None if bar is None or bar.degrees is None else finish(bar.degrees),
    )
