"""Iterative LQR as MPC on exact, first-order and zeroth-order models: planar box pushing (Suh, Pang, Tedrake, 2022).

Each iteration takes linear models of the step along the trajectory so far, then goes along it again: at every step it
solves for all changes of the command still to come, within their bounds, and carries out the first. The exact model
does not see the box, 10 cm from the pusher, and never moves it; models averaged over noise ("bundles") do.

    python examples/ilqr_bundles.py        # joint damping of 100, as published
    python examples/ilqr_bundles.py 0      # without
"""

import sys

import numpy as np
import torch
from scipy.optimize import lsq_linear

import carom
from carom.gradients import Bundle, Bundling
from carom.sim import SimulatorStep

FIRST_SCALE, DECAY = 0.1, 0.5
"""Standard deviation of the noise on the commands in iteration 1 [m], and the power of 1/iteration it falls by."""

STATE_SHARE = torch.tensor([0.3, 0.3, 0.6, 0.3, 0.3])
"""That on the states, by that on the commands: zeroth order fits A as well, and needs to see it vary [1 or rad/m]."""


class PushStep:
    """One step of the task as a function: states (box x, y, yaw; pusher x, y), controls the commanded position."""

    def __init__(self, task: carom.envs.BoxPushing):
        self.task, self.inner = task, SimulatorStep(task.simulator)
        self.start = self.inner.coordinates.vector(task.model.state(1))

    def __call__(self, states: torch.Tensor, commands: torch.Tensor) -> torch.Tensor:
        """Next states [batch, 5]."""
        return self.inner(states, self.task.full_control(commands))

    def step_jacobian(self, states: torch.Tensor, commands: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A [batch, 5, 5] and B [batch, 5, 2]."""
        a, b = self.inner.step_jacobian(states, self.task.full_control(commands))
        return a, b[:, :, :2]


def model(
    step: PushStep, states: torch.Tensor, commands: torch.Tensor, kind: str, iteration: int, samples: int, seed: int
) -> Bundle:
    """x+ = next_state + A dx + B du along the trajectory; ``kind`` is "exact", "first" or "zeroth"."""
    if kind == "exact":
        a, b = step.step_jacobian(states[:-1], commands)
        none = torch.zeros_like
        return Bundle(a, b, states[1:], none(a), none(b), none(states[1:]), len(a), 0.0)
    scale = FIRST_SCALE / (iteration + 1) ** DECAY
    state_scale = scale * STATE_SHARE if kind == "zeroth" else 0.0
    bundling = Bundling(control_scale=scale, state_scale=state_scale, samples=samples, order=kind)
    return bundling.bundle(step, states[:-1], commands, seed=1000 * seed + iteration)


def plan(
    task: carom.envs.BoxPushing, bundle: Bundle, states: np.ndarray, commands: np.ndarray, t: int, now: np.ndarray,
    command: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Changes of the command [T - t, 2] for the rest of the way, from state ``now``: least squares under bounds."""
    steps = len(commands)
    size = 2 * (steps - t)
    slope, offset = np.zeros((5, size)), now - states[t]  # of the deviation from the trajectory, by the changes
    moved = np.zeros((2, size))  # of the command
    rows, errors = [], []
    for k in range(t, steps):
        moved[:, 2 * (k - t) : 2 * (k - t) + 2] = np.eye(2)
        a, b = bundle.A[k].numpy(), bundle.B[k].numpy()
        drift = bundle.next_state[k].numpy() - states[k + 1]
        slope, offset = a @ slope + b @ moved, drift + a @ offset + b @ (command - commands[k])
        weight = np.sqrt(np.array(task.weights) * (task.final_factor if k == steps - 1 else 1.0))
        rows.append(weight[:, None] * slope[:3])
        errors.append(weight * (np.array(task.goal) - states[k + 1, :3] - offset[:3]))
    rows.append(1e-3 * np.eye(size))  # no weight is published; this decides where the model sees no difference
    errors.append(np.zeros(size))
    found = lsq_linear(np.concatenate(rows), np.concatenate(errors), bounds=(-task.step_bound, task.step_bound))
    return found.x.reshape(-1, 2)


def optimize(
    kind: str, *, iterations: int = 10, samples: int = 100, seed: int = 0, task: carom.envs.BoxPushing | None = None
) -> list[float]:
    """Cost before and after each iteration."""
    task = task or carom.envs.make("box_pushing", dtype="float64")
    step = PushStep(task)
    theta = task.initial_parameters()
    costs = [float(task(theta[None]))]
    first = step.start[:, 3:]
    for iteration in range(iterations):
        commands = task.way_points(theta)
        states = [step.start]
        for u in commands.split(1):
            states.append(step(states[-1], u))
        states = torch.cat(states)
        bundle = model(step, states, commands, kind, iteration, samples, seed)
        now, command, changes = step.start, first, []
        for t in range(task.steps):
            plan_t = plan(task, bundle, states.numpy(), commands.numpy(), t, now[0].numpy(), command[0].numpy())
            changes.append(torch.from_numpy(plan_t[:1]))
            command = command + changes[-1]
            now = step(now, command)
        theta = torch.cat(changes).reshape(-1).clamp(-task.step_bound, task.step_bound)
        costs.append(float(task(theta[None])))
    return costs


def main() -> None:
    """Print the cost by iteration, and the best."""
    damping = float(sys.argv[1]) if len(sys.argv) > 1 else 100.0
    task = carom.envs.make("box_pushing", dtype="float64", joint_damping=damping)
    for kind in ("exact", "first", "zeroth"):
        costs = optimize(kind, task=task)
        print(f"{kind:<7} best {min(costs):7.2f}   " + " ".join(f"{cost:.1f}" for cost in costs), flush=True)


if __name__ == "__main__":
    main()
