"""Report of the solver on iterations and failures. A step may take several solves."""

import functools
from dataclasses import dataclass
from typing import Any

import warp as wp

from .struct_arguments import filled

__all__ = ["SolverReport", "count_step", "make", "step_failed"]


@functools.cache
def make(dtype: Any) -> Any:
    """The struct ``Report`` for one precision: the arrays of ``SolverReport`` as one argument of kernels."""

    @wp.struct
    class Report:
        """How the solver fared; fields as in ``SolverReport``."""

        iterations: wp.array(dtype=int)
        steps: wp.array(dtype=int)
        failed: wp.array(dtype=int)
        first_failure: wp.array(dtype=int)
        last_failure: wp.array(dtype=int)
        residual: wp.array(dtype=dtype)

    return Report


@dataclass(frozen=True)
class SolverReport:
    """How the solver fared, accumulated over steps until cleared. All [W]. Frozen, since ``struct`` is filled once."""

    iterations: wp.array  # int32: Newton iterations, summed over steps
    steps: wp.array  # int32: steps taken
    failed: wp.array  # int32: steps that did not converge
    first_failure: wp.array  # int32: number of the first such step, counted from 0; -1 if none
    last_failure: wp.array  # int32: the same of the last such step
    residual: wp.array  # scalar: largest relative gradient norm at the end of a step

    @classmethod
    def allocate(cls, worlds: int, dtype: Any, device: Any) -> "SolverReport":
        """A cleared report."""
        ints = [wp.zeros(worlds, dtype=wp.int32, device=device) for _ in range(3)]
        none = [wp.full(worlds, -1, dtype=wp.int32, device=device) for _ in range(2)]
        return cls(*ints, *none, wp.zeros(worlds, dtype=dtype, device=device))

    @functools.cached_property
    def struct(self) -> Any:
        """The struct ``Report`` of these arrays."""
        struct = make(self.residual.dtype)
        return filled(struct, **{name: getattr(self, name) for name in struct.vars})

    def clear(self) -> None:
        """Clear the report."""
        for array in (self.iterations, self.steps, self.failed, self.residual):
            array.zero_()
        self.first_failure.fill_(-1)
        self.last_failure.fill_(-1)


@wp.func
def step_failed(
    world: int, steps: wp.array(dtype=int), failed: wp.array(dtype=int), first_failure: wp.array(dtype=int),
    last_failure: wp.array(dtype=int),
):  # fmt: skip
    """Count the current step of a world as failed, once however many of its solves failed."""
    step = steps[world] - 1
    if last_failure[world] != step:
        failed[world] = failed[world] + 1
        last_failure[world] = step
    if first_failure[world] < 0:
        first_failure[world] = step


@wp.kernel(enable_backward=False, module="unique")
def _count_kernel(steps: wp.array(dtype=int), by: int):
    world = wp.tid()
    steps[world] = steps[world] + by


def count_step(steps: wp.array, by: int = 1) -> None:
    """Begin another step in all worlds, [W], or ``by`` more, for solves that do not count steps themselves."""
    wp.launch(_count_kernel, dim=steps.shape, inputs=[steps, by], device=steps.device)
