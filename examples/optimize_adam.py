"""Adam on a push, with the gradient of any backend by its name; the loop is torch's own.

The pusher starts 3 cm from the box: the exact gradient never finds it, smoothed and softened ones do. The same with
checkpoints and a curve: ``carom optimize push --start apart --gradient smoothing``.
"""

import sys

import torch

import carom
from carom.gradients import differentiable, make_backend


def optimize(name: str, iterations: int = 60) -> float:
    """Cost of the push after some steps of Adam along the backend's gradient."""
    task = carom.envs.make("push", start="apart")
    theta = task.initial_parameters().requires_grad_()
    cost = differentiable(task, make_backend(name, scale=task.smoothing_scale, samples=64), seed=0)
    adam = torch.optim.Adam([theta], lr=0.01)
    schedule = torch.optim.lr_scheduler.ExponentialLR(adam, 0.1 ** (1 / iterations))
    for _ in range(iterations):
        adam.zero_grad()
        cost(theta).backward()
        adam.step()
        schedule.step()
    return float(task(theta.detach()[None]))


def main() -> None:
    """Print the cost before and after, for the backends named on the command line."""
    task = carom.envs.make("push", start="apart")
    print(f"at the start  {float(task(task.initial_parameters()[None])):.4f}")
    for name in sys.argv[1:] or ("autodiff", "smoothing", "softened"):
        print(f"{name:<12}  {optimize(name):.4f}", flush=True)


if __name__ == "__main__":
    main()
