"""CMA-ES (the package cmaes) on a push: no gradient, one batch of rollouts a generation.

pip install 'carom[optimization]'
"""

import torch
from cmaes import CMA

import carom


def optimize(generations: int = 150, seed: int = 0) -> tuple[float, int]:
    """The best cost found, and the rollouts it took."""
    task = carom.envs.make("push", start="apart")
    start = task.initial_parameters()
    search = CMA(mean=start.double().numpy(), sigma=2 * task.smoothing_scale, seed=seed)
    best = float("inf")
    for _ in range(generations):
        points = [search.ask() for _ in range(search.population_size)]
        costs = task(torch.stack([torch.from_numpy(point) for point in points])).tolist()
        search.tell(list(zip(points, costs, strict=True)))
        best = min(best, *costs)
    return best, generations * search.population_size


def main() -> None:
    """Print what it found."""
    best, rollouts = optimize()
    print(f"cost {best:.4f} after {rollouts} rollouts")


if __name__ == "__main__":
    main()
