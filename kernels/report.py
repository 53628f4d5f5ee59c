"""What a solve writes about a step that did not converge; a step may take several solves."""

import warp as wp

__all__ = ["step_failed"]


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
