"""Unrolled objectives of one line, whose gradients are known in closed form, smoothed and not."""

from __future__ import annotations

import torch

from carom.gradients import UnrolledObjective


def driven(matrix: torch.Tensor, start: torch.Tensor, steps: int, *, running: bool = False) -> UnrolledObjective:
    """x+ = A x + u_t, theta = (u_0, ..., u_(T-1)); cost |x_T|^2 / 2, with ``running`` the sum over x_1 ... x_T."""
    n = len(start)

    def step(x: torch.Tensor, theta: torch.Tensor, t: int) -> torch.Tensor:
        return x @ matrix.T + theta[:, t * n : (t + 1) * n]

    def cost(x: torch.Tensor, after: torch.Tensor, theta: torch.Tensor, t: int) -> torch.Tensor:
        square = 0.5 * after.square().sum(1)
        return square if running or t == steps - 1 else torch.zeros_like(square)

    return UnrolledObjective(lambda theta: start.expand(len(theta), n), step, cost, steps, "driven")


def states_of(matrix: torch.Tensor, start: torch.Tensor, theta: torch.Tensor) -> list[torch.Tensor]:
    """x_0 ... x_T of ``driven``."""
    states = [start]
    for u in theta.reshape(-1, len(start)):
        states.append(matrix @ states[-1] + u)
    return states


def growing(steps: int, start: float = 1.0, *, running: bool = False) -> UnrolledObjective:
    """x+ = theta x, cost x_T, or with ``running`` the sum over t of x_t^2 / 2, t = 1 ... T."""

    def cost(x: torch.Tensor, after: torch.Tensor, theta: torch.Tensor, t: int) -> torch.Tensor:
        if running:
            return 0.5 * after[:, 0].square()
        return after[:, 0] if t == steps - 1 else torch.zeros_like(after[:, 0])

    return UnrolledObjective(
        lambda theta: torch.full_like(theta, start), lambda x, theta, t: theta * x, cost, steps, "growing"
    )
