"""Train a policy by PPO of stable-baselines3, the baseline; pip install 'carom[training]'."""

import sys

import torch

from carom.envs.control import make_control
from carom.training import train
from carom.training.proximal import ProximalPolicy


def main(steps: int) -> None:
    """Print the success on unseen goals as training goes on, and at the end with a 95 % confidence interval."""
    torch.set_num_threads(1)  # the networks are small
    task = make_control("push")
    method = ProximalPolicy()

    def report(now: object, count: int) -> None:
        success = now.history["validation_success"][now.iteration - 1]
        if success is not None:
            print(f"iteration {now.iteration} of {count}: {100 * success:.0f} %", flush=True)

    result = train(task, method, steps=steps, seed=0, report=report)
    low, high = result.evaluation.interval
    print(f"success on unseen goals {100 * result.evaluation.success:.1f} % ({100 * low:.1f} to {100 * high:.1f} %)")
    print(f"{result.steps:,} control intervals in {result.core_seconds:.0f} core seconds")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000)
