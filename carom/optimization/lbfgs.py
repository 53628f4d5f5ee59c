"""L-BFGS-B of scipy, one evaluation at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.optimize
import torch

from ..gradients.core.checks import check_count
from ..plain import plain_numbers
from ..runs import RunError
from .checks import check_positive
from .interface import Step
from .problem import Problem

__all__ = ["LBFGS"]


@plain_numbers
@dataclass(frozen=True)
class LBFGS:
    """L-BFGS-B (Byrd, Lu, Nocedal and Zhu, 1995, by ``scipy.optimize.minimize``), with a line search, within bounds.

    The choice where the cost is smooth and the gradient belongs to it: it is the fastest there, and its line search
    fails where value and gradient disagree. A backend that samples gets the same seed every time, so that it is a fixed
    function; zeroth-order gradients are then still not quite the slope of that function.

    An iteration is one evaluation of value and gradient. The memory holds all evaluations, which scipy
    replays at every step, 25 to 50 us for each: meant for hundreds of evaluations, not for many thousands.
    """

    needs_gradient: ClassVar[bool] = True

    memory: int = 10
    """Pairs of steps and gradient changes from which the curvature is taken."""
    first_step: float | None = None
    """Length of the very first step, in the units of theta; by default the objective's ``smoothing_scale``, or 0.02.

    Scipy would step by 1 at most, which is 1 m on a table of 10 cm boxes.
    """
    tolerance: float = 1e-8
    """Tolerance: the optimization ends where a step lowers the cost by less than this (a share of the cost, where that
    is above 1)."""

    def __post_init__(self) -> None:
        check_count("memory", self.memory, 1)
        check_positive("first_step", self.first_step, optional=True)
        check_positive("tolerance", self.tolerance)

    def begin(self, problem: Problem, theta: torch.Tensor) -> dict[str, Any]:
        """No evaluations yet."""
        none = torch.zeros(0, dtype=torch.float64, device="cpu")
        start = theta.double().cpu()
        rows = none.reshape(0, len(start))
        return {"start": start, "next": start, "points": rows, "values": none, "slopes": rows}

    def step(
        self, problem: Problem, theta: torch.Tensor, memory: dict[str, Any], *, iteration: int, used: float
    ) -> Step:
        """One evaluation, at the point that scipy asks for next; then what it asks for after that."""
        estimate = problem.estimate(theta, problem.random_seed(0))
        cost = problem.cost(theta)
        log = {
            "start": memory["start"],
            "points": torch.cat([memory["points"], memory["next"][None]]),
            "values": torch.cat([memory["values"], estimate.value.double().cpu().reshape(1)]),
            "slopes": torch.cat([memory["slopes"], estimate.gradient.double().cpu()[None]]),
        }
        following, stop = self._asked(problem, log)
        error = estimate.standard_error
        bounds = problem.bounds(following)
        return Step(
            theta=following.to(theta),
            memory={**log, "next": following},
            cost=cost,
            best=(theta, cost),
            gradient_norm=float(torch.linalg.vector_norm(estimate.gradient.double())),
            error_norm=None if error is None else float(torch.linalg.vector_norm(error.double())),
            held=0 if bounds is None else int(((following == bounds[0]) | (following == bounds[1])).sum()),
            stop=stop,
        )

    def _asked(self, problem: Problem, log: dict[str, Any]) -> tuple[torch.Tensor, str | None]:
        """The point that scipy asks for after these evaluations; or its result, and the reason why no point follows."""
        start = log["start"].numpy()
        points, values, slopes = (log[name].numpy() for name in ("points", "values", "slopes"))
        # in units in which the first step, of length at most 1 in scipy's, has the length asked for
        unit = self.first_step or (0.02 if problem.scale is None else float(problem.scale))
        asked = 0

        def replay(x: np.ndarray) -> tuple[float, np.ndarray]:
            nonlocal asked
            point = start + unit * x
            if asked == len(points):
                raise _AskedError(point)
            if not np.array_equal(point, points[asked]):
                raise RunError(
                    "scipy's L-BFGS-B takes another way than it took when the run was begun: finish the run with the "
                    "version of scipy and the machine that began it, or begin anew"
                )
            asked += 1
            return float(values[asked - 1]), unit * slopes[asked - 1]

        bounds = problem.bounds(log["start"])
        box = None
        if bounds is not None:
            box = np.stack([(bound.numpy() - start) / unit for bound in bounds], axis=1)
        try:
            found = scipy.optimize.minimize(
                replay, np.zeros_like(start), jac=True, method="L-BFGS-B", bounds=box,
                options={"maxcor": self.memory, "ftol": self.tolerance, "gtol": 0.0, "maxiter": 10**9, "maxfun": 10**9},
            )  # fmt: skip
        except _AskedError as asking:
            return torch.from_numpy(asking.point), None
        return torch.from_numpy(start + unit * found.x), _reason(str(found.message))


class _AskedError(Exception):
    """Scipy asks for the value at a point that has not been evaluated."""

    def __init__(self, point: np.ndarray):
        self.point = point


def _reason(message: str) -> str:
    """Scipy's message as a phrase."""
    if "ABNORMAL" in message:
        return "the line search found nothing lower along the gradient: the cost is rough there, or at its minimum"
    if "PROJECTED GRADIENT" in message or "PGTOL" in message:
        return "the gradient is zero"
    if "REDUCTION" in message:
        return "converged: the cost falls no further"
    return message
