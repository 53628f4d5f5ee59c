"""Control variates by a network, mixtures of orders and estimators for choices: variances, measured.

    python benchmarks/control_variates.py              all, some minutes
    python benchmarks/control_variates.py toy          one of: lax, mixed, choices, toy

Variances are traces of one estimate's covariance as its standard error reports it, mean over seeds.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from common import heading, table

from carom.envs.testbeds import BallWithWall, BernoulliToy, GapPush, Heaviside, MomentumTransfer, Quadratic
from carom.gradients import (
    LAX,
    REBAR,
    REINFORCE,
    RELAX,
    AlphaOrder,
    Backend,
    ControlVariateState,
    InverseVariance,
    Mixed,
    RelaxedObjective,
    Remainder,
    Smoothing,
    VarianceTraining,
)

SEEDS = 20


def mean_variance(backend: Backend, objective: object, theta: torch.Tensor, seeds: int = SEEDS) -> float:
    """Mean reported trace variance."""
    estimates = [backend.estimate(objective, theta, seed=seed) for seed in range(seeds)]
    return sum(float(e.diagnostics["trace_variance"]) for e in estimates) / seeds


def lax() -> None:
    """LAX beside the zeroth order with leave-one-out, with and without pairs."""
    heading("LAX: variance over that of the zeroth order with leave-one-out, same rollouts")
    rows = []
    for objective, scale in (
        (Quadratic(), 0.3),
        (GapPush(gap=0.01), 0.05),
        (Heaviside(), 0.05),
        (Heaviside(dimension=3), 0.05),
    ):
        theta = objective.initial_parameters() * 0.5
        for samples in (256, 1024):
            plain = mean_variance(Smoothing(scale=scale, samples=samples, antithetic=False), objective, theta)
            pairs = mean_variance(Smoothing(scale=scale, samples=samples), objective, theta)
            ours = mean_variance(LAX(scale=scale, samples=samples), objective, theta, 4)
            name = f"{objective.name} ({len(theta)})"
            rows.append([name, samples, f"{plain:.3g}", f"{pairs / plain:.2f}", f"{ours / plain:.2f}"])
    table(["objective", "rollouts", "leave-one-out", "pairs", "LAX"], rows)


def mixed() -> None:
    """Weights and errors of the mixtures, at jumps and away from them."""
    heading("Mixed, 1,000 samples of each order: alpha, |mean error| and sd over 20 seeds, relative to the gradient")
    rows = []
    wall = BallWithWall()
    for objective, theta, scale in (
        (Quadratic(), Quadratic().initial_parameters() * 0.5, 0.3),
        (MomentumTransfer(), MomentumTransfer().initial_parameters(), 0.02),
        (wall, torch.tensor([0.1], dtype=torch.float64), 0.1),
        (wall, torch.tensor([0.69], dtype=torch.float64), 0.1),
        (Heaviside(), Heaviside().initial_parameters(), 0.05),
    ):
        truth = objective.smoothed_gradient(theta, scale)
        plain = {"scale": scale, "samples": 1000, "antithetic": False}
        first, zeroth = Smoothing(order="first", **plain), Smoothing(**plain)
        backends: Mapping[str, Backend] = {
            "first": first,
            "zeroth": zeroth,
            "inverse variance": Mixed(first, zeroth, InverseVariance(split=False)),
            "AoBG, gamma F0/4": Mixed(first, zeroth, AlphaOrder(gamma=0.25, unit="zeroth")),
            "AoBG, gamma 1.5 eps": Mixed(first, zeroth, AlphaOrder()),
            "remainder": Mixed(first, zeroth, Remainder()),
            "remainder, pairs": Mixed(replace(first, antithetic=True), replace(zeroth, antithetic=True)),
        }
        for name, backend in backends.items():
            found = [backend.estimate(objective, theta, seed=seed) for seed in range(SEEDS)]
            gradients = torch.stack([e.gradient for e in found])
            size = float(truth.norm())
            alphas = [e.diagnostics["alpha"] for e in found if "alpha" in e.diagnostics]
            alpha = f"{sum(float(torch.as_tensor(a).mean()) for a in alphas) / SEEDS:.2f}" if alphas else ""
            bias = float((gradients.mean(0) - truth).norm()) / size
            spread = math.sqrt(float(gradients.var(0).sum())) / size
            where = f"{objective.name} at {', '.join(f'{x:.2g}' for x in theta.tolist())}"
            rows.append([where, name, alpha, f"{100 * bias:.1f} %", f"{100 * spread:.1f} %"])
    table(["objective", "backend", "alpha", "error of the mean", "sd"], rows)


def smooth_choices(factors: int, categories: int) -> RelaxedObjective:
    """A quadratic of positions, each picked from a row of places: smooth in the weights of the choice."""
    places = torch.linspace(-1.0, 1.0, categories, dtype=torch.float64)

    def relaxed(weights: torch.Tensor) -> torch.Tensor:
        return 2.0 + (weights.double() @ places).sum(-1).sub(0.5).square()

    return RelaxedObjective(lambda c: relaxed(torch.nn.functional.one_hot(c, categories)), relaxed)


def table_of_choices(factors: int, categories: int) -> RelaxedObjective:
    """Independent random costs for every choice: nothing to learn but the table."""
    costs = 2.0 + torch.randn([categories] * factors, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def relaxed(weights: torch.Tensor) -> torch.Tensor:
        mixed_costs = costs.expand(len(weights), *costs.shape)
        for factor in range(factors):
            mixed_costs = torch.einsum("nk...,nk->n...", mixed_costs, weights[:, factor].double())
        return mixed_costs

    return RelaxedObjective(lambda c: costs[tuple(c.T)], relaxed)


def choices() -> None:
    """Estimators for choices at equal odds, on costs with and without structure."""
    heading("Choices at even odds, 512 rollouts: variance over that of REINFORCE with leave-one-out")
    rows = []
    for kind, make in (("smooth", smooth_choices), ("table", table_of_choices)):
        for factors, categories in ((1, 2), (1, 5), (3, 3), (3, 5)):
            objective, theta = make(factors, categories), torch.zeros(factors * categories, dtype=torch.float64)
            options = {"categories": categories, "samples": 512}
            plain = mean_variance(REINFORCE(**options), objective, theta)
            others = (
                REINFORCE(**options, baseline="none"),
                REBAR(**options),
                RELAX(**options),
                RELAX(**options, use_relaxed=False),
            )
            ratios = [f"{mean_variance(other, objective, theta, 5) / plain:.2f}" for other in others]
            rows.append([f"{kind}, {factors} of {categories}", f"{plain:.3g}", *ratios])
    table(["cost", "leave-one-out", "no baseline", "REBAR", "RELAX", "RELAX, black box"], rows)


def toy() -> None:
    """E (b - 0.499)^2 of Grathwohl et al.: descent on the logits, and the variance on the way."""
    heading("The toy, t = 0.499, 16 rollouts a step, Adam 0.02: expected cost above the best (0.002 between the two)")
    problem = BernoulliToy()
    objective = RelaxedObjective(lambda c: problem.cost(c[:, 0]), lambda w: problem.relaxed_cost(w[:, 0]))
    best, marks = 0.499**2, (1, 100, 200, 400, 600)
    rows = []
    for name, kind, options in (
        ("REINFORCE, no baseline", REINFORCE, {"baseline": "none"}),
        ("REINFORCE, leave-one-out", REINFORCE, {}),
        ("REBAR, no baseline", REBAR, {"baseline": "none"}),
        ("RELAX, no baseline", RELAX, {"baseline": "none"}),
        ("RELAX, no baseline, black box", RELAX, {"baseline": "none", "use_relaxed": False}),
        ("RELAX, leave-one-out, black box", RELAX, {"use_relaxed": False}),
    ):
        if kind is not REINFORCE:
            training = VarianceTraining(rounds=1, steps=1, validation=0.0)
            options = {**options, "state": ControlVariateState(), "training": training}
        backend = kind(categories=2, samples=16, **options)
        theta = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        adam = torch.optim.Adam([theta], lr=0.02)
        cells, variances = [], []
        for step in range(1, marks[-1] + 1):
            estimate = backend.estimate(objective, theta.detach(), seed=step)
            variances.append(16 * float(estimate.diagnostics["trace_variance"]))
            if step in marks:
                recent = sum(variances[-20:]) / len(variances[-20:])
                cells.append(f"{float(problem(theta.detach()[None])) - best:.5f} ({recent:.1g})")
            theta.grad = estimate.gradient
            adam.step()
        rows.append([name, *cells])
    table(["estimator (variance of a sample)", *[f"step {mark}" for mark in marks]], rows)


PARTS = {"lax": lax, "mixed": mixed, "choices": choices, "toy": toy}


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="parts to run; all if none is given")
    for part in parser.parse_args().parts or PARTS:
        PARTS[part]()


if __name__ == "__main__":
    main()
