"""L-BFGS of scipy on a push that touches from the start: where cost and gradient are smooth, nothing is as fast."""

import numpy as np
import torch
from scipy.optimize import minimize

import carom
from carom.gradients import Autodiff


def optimize(evaluations: int = 60) -> tuple[float, float, int]:
    """Cost before and after, and the evaluations it took."""
    task = carom.envs.make("push", dtype="float64")
    start = task.initial_parameters()
    unit = task.smoothing_scale  # scipy's first step has length 1: a centimetre, then, not a metre

    def cost(x: np.ndarray) -> tuple[float, np.ndarray]:
        estimate = Autodiff().estimate(task, start + unit * torch.from_numpy(x))
        return float(estimate.value), unit * estimate.gradient.numpy()

    found = minimize(cost, np.zeros(len(start)), jac=True, method="L-BFGS-B", options={"maxfun": evaluations})
    return float(task(start[None])), float(found.fun), int(found.nfev)


def main() -> None:
    """Print what it found."""
    before, after, evaluations = optimize()
    print(f"cost {before:.4f} -> {after:.6f} in {evaluations} evaluations of value and exact gradient")


if __name__ == "__main__":
    main()
