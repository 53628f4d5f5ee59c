"""Optimize a push from 3 cm away with any torch optimizer and any gradient backend.

The exact gradient never finds the box from here; the smoothed one does.
"""

import torch

import carom
from carom.gradients import Autodiff, Smoothing, differentiable


def optimize(backend: object, iterations: int = 30) -> float:
    """Cost of the push after some steps of Adam on the backend's gradient."""
    task = carom.envs.make("push", start="apart")
    theta = task.initial_parameters().requires_grad_()
    cost = differentiable(task, backend, seed=0)
    adam = torch.optim.Adam([theta], lr=0.01)
    for _ in range(iterations):
        adam.zero_grad()
        cost(theta).backward()
        adam.step()
    return float(task(theta.detach()[None]))


def main() -> None:
    """Print the cost before and after, for two backends."""
    task = carom.envs.make("push", start="apart")
    print(f"at the start      {float(task(task.initial_parameters()[None])):.3f}")
    for backend in (Autodiff(), Smoothing(scale=0.02, samples=256)):
        print(f"{type(backend).__name__:<17} {optimize(backend):.3f}")


if __name__ == "__main__":
    main()
