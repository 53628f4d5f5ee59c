"""MPPI as MPC on the box-pushing task: many rollouts of noisy commands, their weighted mean, one step, and again.

Williams et al., "Information theoretic MPC for model-based reinforcement learning" (2017), algorithm 2, without its
control cost. Every world of the batch is one sample; the simulator is the model and the world.
"""

import torch

import carom
from carom.envs.control import make_control


def control(
    horizon: int = 15, samples: int = 128, scale: float = 0.02, temperature: float = 0.1, seed: int = 0
) -> tuple[float, float]:
    """Cost of the episode from the start without a push, and with MPPI."""
    task = make_control("box_pushing", goals=None)  # the published goal alone
    limit = float(carom.envs.BoxPushing.step_bound)
    generator = torch.Generator().manual_seed(seed)
    state = task.reset(1, seed=0)
    plan = torch.zeros(horizon, 2)
    idle = acted = 0.0
    still = state
    for _ in range(task.horizon):
        noise = scale * torch.randn(horizon, samples, 2, generator=generator)
        noise[:, 0] = 0.0
        actions = (plan[:, None] + noise).clamp(-limit, limit)
        costs, ahead = torch.zeros(samples), state.select(torch.zeros(samples, dtype=torch.int64))
        for t in range(horizon):
            ahead, cost, _ = task.step(ahead, actions[t])
            costs += cost
        weights = torch.softmax(-(costs - costs.min()) / (temperature * costs.std()).clamp_min(1e-9), dim=0)
        plan = torch.einsum("s,tsa->ta", weights, actions)
        state, cost, _ = task.step(state, plan[:1])
        still, cost_still, _ = task.step(still, torch.zeros(1, 2))
        acted, idle = acted + float(cost), idle + float(cost_still)
        plan = torch.cat([plan[1:], plan[-1:]])
    return idle, acted


def main() -> None:
    """Print the cost with and without it."""
    idle, acted = control()
    print(f"cost of the episode: {idle:.2f} without a push, {acted:.2f} with MPPI")


if __name__ == "__main__":
    main()
