"""A linear-quadratic problem whose expected cost, and its gradient, follow from the moments of the state alone."""

from __future__ import annotations

import torch

from carom.gradients.policy import ControlProblem

A = torch.tensor([[1.0, 0.2], [-0.1, 0.9]], dtype=torch.float64)
B = torch.tensor([[0.1], [0.5]], dtype=torch.float64)
Q = torch.tensor([[1.0, 0.2], [0.2, 0.5]], dtype=torch.float64)
R, FINAL = 0.3, 2.0
STARTS = torch.tensor([[1.0, -0.5], [0.3, 0.8]], dtype=torch.float64)
HORIZON = 5


def step(states, actions):
    costs = torch.einsum("bi,ij,bj->b", states, Q, states) + R * actions.square().sum(1) + 1.0
    return states @ A.T + actions @ B.T, costs


def problem(discount=1.0, starts=STARTS):
    return ControlProblem(
        step, starts, HORIZON, final_cost=lambda x: FINAL * x.square().sum(1), discount=discount, name="lq"
    )


def expected_cost(gain, log_scale, *, variance=1.0, mean=0.0, discount=1.0, starts=STARTS):
    """E cost of a = gain x + exp(log_scale) w, w of this mean and variance: by recursion of E x x^T and E x.

    Differentiable by torch in ``gain`` [1, 2] and ``log_scale`` [1]. Equal shares of the starts.
    """
    scale = log_scale.exp()
    total = torch.zeros((), dtype=torch.float64)
    for start in starts:
        m, second = start, torch.outer(start, start)
        for time in range(HORIZON):
            shift = scale * mean  # mean of the action beside gain x
            action = gain @ second @ gain.T + 2 * (gain @ m) * shift + scale.square() * (variance + mean**2)
            total = total + discount**time * ((Q * second).sum() + R * action.sum() + 1.0)
            closed, push = A + B @ gain, (B * shift)[:, 0]
            cross = torch.outer(closed @ m, push)
            spread = B @ B.T * scale.square() * variance
            second = closed @ second @ closed.T + cross + cross.T + torch.outer(push, push) + spread
            m = closed @ m + push
        total = total + discount**HORIZON * FINAL * second.trace()
    return total / len(starts)


def exact_gradient(gain, log_scale, **options):
    """Of the expected cost by gain and log_scale, flat."""
    leaves = [gain.detach().clone().requires_grad_(), log_scale.detach().clone().requires_grad_()]
    return torch.cat([g.flatten() for g in torch.autograd.grad(expected_cost(*leaves, **options), leaves)])


class Feedback(torch.nn.Module):
    """a = gain x + exp(log_scale) w, both learned."""

    def __init__(self, gain=(-0.4, -0.6), log_scale=-1.0):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor([gain], dtype=torch.float64))
        self.log_scale = torch.nn.Parameter(torch.tensor([log_scale], dtype=torch.float64))

    def forward(self, states):
        return states @ self.gain.T, self.log_scale
