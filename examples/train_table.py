"""Policies trained with every gradient for the same number of steps: success on unseen goals, side by side."""

import sys

import torch

from carom.envs.control import make_control
from carom.training import train
from carom.training.registry import METHODS, make_method


def main(steps: int, names: list[str]) -> None:
    """Print a row for each as it is done: success with its 95 % confidence interval, cost of an episode, core time."""
    torch.set_num_threads(1)  # the networks are small
    print("gradient    steps      success (95 % interval)     cost   core s", flush=True)
    for name in names or list(METHODS):
        method = make_method(name)
        softening = {} if method.softening is None else {"softening": method.softening}
        result = train(make_control("push", **softening), method, steps=steps, seed=0)
        found, (low, high) = result.evaluation, result.evaluation.interval
        print(
            f"{name:<11} {result.steps:<10,} {100 * found.success:5.1f} % ({100 * low:.1f} to {100 * high:.1f} %)"
            f"{found.cost:13.2f} {result.core_seconds:8.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000, sys.argv[2:])
