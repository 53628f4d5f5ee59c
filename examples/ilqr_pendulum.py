"""Iterative LQR on exact, first-order and zeroth-order models: swinging up a pendulum, where all three agree.

The problem of Suh, Pang and Tedrake, "Bundled Gradients through Contact via Randomized Smoothing" (2022), and its
published costs, those of the exact model to the digit: where the dynamics are smooth, averaging the model over noise
costs little and helps little. Box pushing, where it decides, is ``ilqr_bundles.py``.
"""

import math

import torch

from carom.gradients import Bundle, Bundling

STEPS, STEP = 200, 0.05  # [s]
GOAL = torch.tensor([math.pi, 0.0], dtype=torch.float64)  # upright, at rest
FINAL, TORQUE = 20.0, 0.5  # weights of the last state and of torques in the plan; the published cost has 1 for both


def pendulum(states: torch.Tensor, torques: torch.Tensor) -> torch.Tensor:
    """Next angle [rad] and speed, [batch, 2], of a pendulum of unit length, mass and gravity; semi-implicit Euler."""
    speed = states[:, 1] + STEP * (torques[:, 0] - states[:, 0].sin())
    return torch.stack([states[:, 0] + STEP * speed, speed], dim=1)


def jacobian(states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A [batch, 2, 2] and B [batch, 2, 1] of the step."""
    slope = -STEP * states[:, 0].cos()
    one = torch.ones_like(slope)
    a = torch.stack([torch.stack([1 + STEP * slope, STEP * one], 1), torch.stack([slope, one], 1)], 1)
    return a, torch.tensor([[STEP**2], [STEP]], dtype=torch.float64).expand(len(states), 2, 1)


def cost(states: torch.Tensor, torques: torch.Tensor) -> float:
    """Of a trajectory, states [T + 1, 2] and torques [T, 1]."""
    error = (states - GOAL).square().sum(-1)
    return float(error.sum() + torques.square().sum())


def model(kind: str, states: torch.Tensor, torques: torch.Tensor, iteration: int, samples: int, seed: int) -> Bundle:
    """x+ = next_state + A dx + B du along the trajectory; the noise falls with the root of the iteration."""
    if kind == "exact":
        a, b = jacobian(states[:-1])
        none = torch.zeros_like
        return Bundle(a, b, states[1:], none(a), none(b), none(states[1:]), len(a), 0.0)
    scale = 1.0 / math.sqrt(iteration + 1)
    bundling = Bundling(control_scale=scale, state_scale=scale, samples=samples, order=kind)
    return bundling.bundle(pendulum, states[:-1], torques, seed=1000 * seed + iteration)


def feedback(bundle: Bundle, states: torch.Tensor, torques: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gains [T, 1, 2] and changes [T, 1] of the torques: Riccati's recursion along ``states``.

    As published, the model goes through the trajectory itself: of the bundle only A and B are used.
    """
    error, identity = states - GOAL, torch.eye(2, dtype=torch.float64)
    quadratic, linear = FINAL * identity, FINAL * error[-1]
    gains, changes = [], []
    for t in reversed(range(STEPS)):
        a, b = bundle.A[t], bundle.B[t]
        curvature = TORQUE + b.T @ quadratic @ b
        gains.append(-(b.T @ quadratic @ a) / curvature)
        changes.append(-(b.T @ linear + TORQUE * torques[t]) / curvature[0])
        linear = error[t] + a.T @ (quadratic @ b @ changes[-1] + linear)
        quadratic = identity + a.T @ quadratic @ (a + b @ gains[-1])
    return torch.stack(gains[::-1]), torch.stack(changes[::-1])


def optimize(kind: str, *, iterations: int = 8, samples: int = 1000, seed: int = 0) -> list[float]:
    """Cost before and after each iteration; ``kind`` is "exact", "first" or "zeroth"."""
    torques = torch.full((STEPS, 1), 0.1, dtype=torch.float64)
    start = torch.zeros(1, 2, dtype=torch.float64)
    path = [start]
    for torque in torques.split(1):
        path.append(pendulum(path[-1], torque))
    states = torch.cat(path)
    costs = [cost(states, torques)]
    for iteration in range(iterations):
        gains, changes = feedback(model(kind, states, torques, iteration, samples, seed), states, torques)
        path, tried = [start], []
        for t in range(STEPS):
            tried.append(torques[t : t + 1] + changes[t] + (path[-1] - states[t]) @ gains[t].T)
            path.append(pendulum(path[-1], tried[-1]))
        states, torques = torch.cat(path), torch.cat(tried)
        costs.append(cost(states, torques))
    return costs


def main() -> None:
    """Print the cost by iteration."""
    for kind in ("exact", "first", "zeroth"):
        print(f"{kind:<7}" + " ".join(f"{c:8.2f}" for c in optimize(kind)), flush=True)


if __name__ == "__main__":
    main()
