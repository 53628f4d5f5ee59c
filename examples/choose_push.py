"""Which of several pushes? Learn the odds of discrete choices from simulated costs alone.

A push has four legs of 3 cm; each goes left, straight on or right. That is a choice among 3 in each of 4 factors, with
no gradient through it. The gradient of the *expected* cost with respect to the logits of the choices exists, and comes
from rollouts in one batch: by REINFORCE, or by RELAX, whose control variate lessens its variance. All 81 pushes
simulated once say what the best would have been.
"""

import torch

import carom
from carom.gradients import REINFORCE, RELAX, ControlVariateState, Enumeration, VarianceTraining, differentiable

LEGS, TURNS = 4, (0.015, 0.0, -0.015)  # [m] to the left


def make_cost() -> object:
    """A cost of choices [batch, legs]: how far the box ends from its goal."""
    task = carom.envs.make("push", start="touching", way_points=LEGS, step=0.01)
    start = torch.tensor(task.pusher_start)

    def cost(choices: torch.Tensor) -> torch.Tensor:
        sideways = torch.tensor(TURNS)[choices]
        legs = torch.stack([torch.full_like(sideways, 0.03), sideways], dim=-1)
        return task((start + legs.cumsum(1)).flatten(1))

    return cost


def learn(cost: object, backend: object, iterations: int = 30) -> torch.Tensor:
    """Logits [legs * turns] after some steps of Adam on the backend's gradient, from even odds."""
    logits = torch.zeros(LEGS * len(TURNS), requires_grad=True)
    expected = differentiable(cost, backend, seed=0)
    adam = torch.optim.Adam([logits], lr=0.3)
    for _ in range(iterations):
        adam.zero_grad()
        expected(logits).backward()
        adam.step()
    return logits.detach()


def main() -> None:
    """Print the expected cost and the likeliest push by two estimators, beside the best of all."""
    cost, turns = make_cost(), len(TURNS)
    exact = Enumeration(categories=turns)
    even = exact.estimate(cost, torch.zeros(LEGS * turns))
    print(f"even odds  expected cost {even.value:.3f}")
    relax = RELAX(
        categories=turns,
        samples=32,
        state=ControlVariateState(),  # the control variate goes on learning from step to step
        training=VarianceTraining(rounds=1, steps=10),
    )
    for backend in (REINFORCE(categories=turns, samples=32), relax):
        logits = learn(cost, backend)
        push = logits.view(LEGS, turns).argmax(1)
        name = type(backend).__name__
        print(f"{name:<10} expected cost {exact.estimate(cost, logits).value:.3f}, likeliest push ", end="")
        print(f"{push.tolist()}: {float(cost(push[None])):.3f}")
    best = even.diagnostics
    print(f"best of {turns**LEGS} {best['best_choice'].tolist()}: {best['best_cost']:.3f}")


if __name__ == "__main__":
    main()
