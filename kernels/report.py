"""What a solve writes about a step that did not converge; a step may take several solves."""

import warp as wp

__all__ = ["count_step", "step_failed"]


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
