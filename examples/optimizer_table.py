"""The same task and the same budget of rollouts for every optimizer and gradient, over several seeds: a table.

    python examples/optimizer_table.py push --options start=apart --rollouts 3000 --seeds 5

The budget counts a backward pass as two rollouts. "Best" is the cost of the best theta found on the way, "last" that of
the theta with which the last iteration began, each one rollout without noise; intervals are Student's t at 95 % over
the seeds. Optimizers without randomness run once. Seconds are those of processor cores, so that other programs on the
machine count little.
"""

import argparse
import ast
import time

import torch
from scipy.stats import t as student

import carom
from carom.gradients import make_backend
from carom.optimization import make_optimizer, minimize

METHODS = "adam:autodiff,adam:smoothing,adam:smoothing-first,adam:softened,lbfgs:autodiff,cmaes,mppi"
DETERMINISTIC = ("autodiff", "softened", "softened-forward")


def run(task: object, method: str, rollouts: int, seed: int, options: dict[str, float]) -> tuple[float, float, float]:
    """Best and last cost, and core seconds, of one run; ``method`` is "optimizer:gradient" or "optimizer"."""
    optimizer, _, gradient = method.partition(":")
    scale = options.get("scale") or default_scale(task)
    backend = make_backend(gradient, scale=scale, samples=int(options["samples"])) if gradient else None
    given = {name: options.get(name) for name in ("learning_rate", "scale")}
    clock = time.process_time()
    result = minimize(
        task, task.initial_parameters(), make_optimizer(optimizer, **given), backend=backend, rollouts=rollouts,
        iterations=int(options["iterations"]), seed=seed,
    )  # fmt: skip
    return result.cost, result.history["cost"][-1], time.process_time() - clock


def default_scale(task: object) -> float:
    """The noise that the task says is informative, or with which a paper ran it."""
    return getattr(task, "smoothing_scale", None) or getattr(getattr(task, "experiment", None), "noise", 0.02)


def interval(numbers: list[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % confidence interval."""
    values = torch.tensor(numbers, dtype=torch.float64)
    if len(values) < 2:
        return float(values.mean()), float("nan")
    error = float(values.std()) / len(values) ** 0.5
    return float(values.mean()), float(student.ppf(0.975, len(values) - 1)) * error


def summary(numbers: list[float]) -> str:
    """Mean, and half its interval where there is one."""
    mean, half = interval(numbers)
    return f"{mean:.4g}" + (f" ± {half:.2g}" if len(numbers) > 1 else "")


def table(task: object, methods: list[str], *, rollouts: int, seeds: int, **options: float) -> dict[str, list[float]]:
    """Best costs by method; prints a row for each."""
    options = {"samples": 32, "iterations": 1000} | options
    start = float(task(task.initial_parameters()[None])[0])
    print(
        f"| {task.name}, {rollouts} rollouts, from {start:.4g} | best cost (95 % interval) | last cost | core seconds |"
    )
    print("| --- | --- | --- | --- |")
    found = {}
    for method in methods:
        once = method.partition(":")[2] in DETERMINISTIC
        runs = [run(task, method, rollouts, seed, options) for seed in range(1 if once else seeds)]
        found[method] = [best for best, _, _ in runs]
        columns = [summary(list(column)) for column in zip(*runs, strict=True)]
        print(f"| {method} | {' | '.join(columns)} |", flush=True)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("task")
    parser.add_argument("--options", default="", help="of the task: name=value,name=value")
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--rollouts", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=5)
    for name in ("scale", "samples", "learning-rate", "iterations"):
        parser.add_argument(f"--{name}", type=float)
    given = vars(parser.parse_args())
    torch.set_num_threads(1)
    pairs = [pair.split("=") for pair in given.pop("options").split(",") if pair]
    options = {name: value if value.isidentifier() else ast.literal_eval(value) for name, value in pairs}
    task = carom.envs.make(given.pop("task"), **options)
    methods = given.pop("methods").split(",")
    table(task, methods, **{name: value for name, value in given.items() if value is not None})


if __name__ == "__main__":
    main()
