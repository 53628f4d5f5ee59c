"""An ensemble of small networks, trained together in batched matrix products."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from .distributions import Gaussian
from .noise import draw_uniforms

__all__ = ["Ensemble"]


class Ensemble:
    """Networks with tanh hidden layers, from x [points, inputs] to y [members, points], each with weights of its own.

    tanh because the network is there to be differentiated: it is infinitely smooth (no kinks for the gradient to jump
    across, as ReLU has), odd and bounded, so a fit stays tame between the data; inputs and outputs are normalised, where it
    bends about where the data do. Measured against SiLU and softplus at equal size, see ``docs``-free note in the tests.
    """

    def __init__(
        self,
        *,
        inputs: int,
        hidden: Sequence[int],
        members: int,
        copies: int,
        seed: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        """``members`` different random starts, the whole set repeated ``copies`` times (one for each theta of a batch)."""
        self.weights: list[torch.Tensor] = []
        sizes = [inputs, *hidden, 1]
        for layer, (fan_in, fan_out) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
            uniforms = draw_uniforms(seed, f"network {layer}", first=0, rows=members, columns=fan_in * fan_out)
            spread = math.sqrt(1.0 / fan_in)
            start = Gaussian().sample(uniforms).view(members, fan_in, fan_out) * spread
            self.weights.append(start.repeat(copies, 1, 1).to(device=device, dtype=dtype))
            self.weights.append(torch.zeros(members * copies, 1, fan_out, dtype=dtype, device=device))

    def __call__(self, x: torch.Tensor, weights: Sequence[torch.Tensor] | None = None) -> torch.Tensor:
        weights = self.weights if weights is None else weights
        y = x
        for layer in range(0, len(weights), 2):
            y = y @ weights[layer] + weights[layer + 1]
            if layer + 2 < len(weights):
                y = torch.tanh(y)
        return y.squeeze(-1)

    def fit(
        self,
        x: torch.Tensor,
        y: torch.Tensor,
        train: torch.Tensor,
        *,
        steps: int,
        learning_rate: float,
        patience: int,
    ) -> torch.Tensor:
        """Least squares by full-batch Adam; each member keeps its best weights on the points that it does not train on.

        x [points, inputs], y [members, points], train [members, points] bool. The learning rate falls along a cosine. A
        member is done after ``patience`` steps without a better validation error. Returns the step of each member's best
        weights, shape [members].
        """
        train_weight = train.to(y) / train.sum(1, keepdim=True)
        check_weight = (~train).to(y) / (~train).sum(1, keepdim=True)
        current = [weight.clone().requires_grad_() for weight in self.weights]
        optimizer = torch.optim.Adam(current, lr=learning_rate)
        best_error = torch.full((len(y),), math.inf, dtype=y.dtype, device=y.device)
        best_step = torch.zeros(len(y), dtype=torch.long, device=y.device)
        active = torch.ones_like(best_step, dtype=torch.bool)
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * 0.5 * (1.0 + math.cos(math.pi * step / steps))
            with torch.enable_grad():
                squares = (self(x, current) - y).square()
                gradients = torch.autograd.grad((squares * train_weight).sum(), current)
            error = (squares.detach() * check_weight).sum(1)
            better = active & (error < best_error)
            best_error = torch.where(better, error, best_error)
            best_step = torch.where(better, step, best_step)
            active = active & (step - best_step < patience)
            for kept, weight in zip(self.weights, current, strict=True):
                kept.copy_(torch.where(better[:, None, None], weight.detach(), kept))
            if step % 20 == 19 and not bool(active.any()):
                break
            for weight, gradient in zip(current, gradients, strict=True):
                weight.grad = gradient
            optimizer.step()
        return best_step

    def gradient(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Outputs [members] and their derivatives [members, inputs] at one point x [inputs]."""
        leaf = x.expand(len(self.weights[0]), 1, len(x)).clone().requires_grad_()
        with torch.enable_grad():
            values = self(leaf).squeeze(1)
            slopes = torch.autograd.grad(values.sum(), leaf)[0]
        return values.detach(), slopes.squeeze(1)
