"""An ensemble of small networks, trained together in batched matrix products."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from ..noise.counter_random import draw_uniforms
from ..noise.distributions import Gaussian
from .adam import Adam

__all__ = ["Ensemble", "one_thread"]

_GAIN = 1.6  # keeps the variance of a unit normal input about constant through SiLU layers
_SMALL = 2**19  # numbers in a layer of all members below which a second thread makes it slower
_LOOK = 20  # steps between checks whether all members are done


class Ensemble:
    """Networks with SiLU hidden layers, from x [points, inputs] to y [members, points], each with weights of its own.

    SiLU because the network is there to be differentiated: it is smooth, where a ReLU network's gradient jumps from
    kink to kink, and it fits a one-sided contact (nothing, then a slope) with few units. Against tanh and softplus at
    equal size it had the smallest held-out error on quadratics, sines and gaps. Outputs start at exactly 0, so that a
    member that learns nothing adds nothing.
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
        """``members`` random starts, the whole set repeated ``copies`` times (once for each theta of a batch)."""
        self.weights: list[torch.Tensor] = []
        sizes = [inputs, *hidden, 1]
        for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
            uniforms = draw_uniforms(seed, f"network {layer}", first=0, rows=members, columns=fan_in * fan_out)
            spread = _GAIN / math.sqrt(fan_in) if layer < len(hidden) else 0.0
            start = Gaussian().sample(uniforms).view(members, fan_in, fan_out) * spread
            self.weights.append(start.repeat(copies, 1, 1).to(device=device, dtype=dtype))
            self.weights.append(torch.zeros(members * copies, 1, fan_out, dtype=dtype, device=device))

    def __call__(self, x: torch.Tensor, weights: Sequence[torch.Tensor] | None = None) -> torch.Tensor:
        """Outputs [members, points] at x [points, inputs], with the fitted weights or other ones."""
        weights = self.weights if weights is None else weights
        y = x
        for layer in range(0, len(weights), 2):
            y = y @ weights[layer] + weights[layer + 1]
            if layer + 2 < len(weights):
                y = torch.nn.functional.silu(y)
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
        on_step: Callable[[int, torch.Tensor, torch.Tensor], None] | None = None,
    ) -> torch.Tensor:
        """Least squares by full-batch Adam; each member keeps its best weights on the points that it does not train on.

        x [points, inputs], y [members, points], train [members, points] bool. The learning rate falls along a cosine.
        A member is done after ``patience`` steps without a better validation error. ``on_step`` is called after every
        20 steps with the number of steps done and the mean squared errors [members] on training and validation
        points. Returns the step of each member's best weights, shape [members].
        """
        with one_thread():
            return self._fit(x, y, train, steps=steps, learning_rate=learning_rate, patience=patience, on_step=on_step)

    def _fit(
        self,
        x: torch.Tensor,
        y: torch.Tensor,
        train: torch.Tensor,
        *,
        steps: int,
        learning_rate: float,
        patience: int,
        on_step: Callable[[int, torch.Tensor, torch.Tensor], None] | None,
    ) -> torch.Tensor:
        train_weight = train.to(y) / train.sum(1, keepdim=True)
        check_weight = (~train).to(y) / (~train).sum(1, keepdim=True)
        current = [weight.clone().requires_grad_() for weight in self.weights]
        optimizer = Adam(current, lr=learning_rate)
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
            if step % _LOOK == _LOOK - 1:
                if on_step is not None:
                    on_step(step + 1, (squares.detach() * train_weight).sum(1), error)
                if not bool(active.any()):
                    break
            for weight, gradient in zip(current, gradients, strict=True):
                weight.grad = gradient
            optimizer.step()
        return best_step

    def gradients(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Outputs [members, points] and their derivatives [members, points, inputs] at x [points, inputs].

        Written out instead of by autograd, whose bookkeeping takes longer than the arithmetic of a few points; one
        thread for these, as a second one only waits.
        """
        members, wide = len(self.weights[0]), max(weight.shape[-1] for weight in self.weights)
        with torch.no_grad(), one_thread(when=members * len(x) * wide < _SMALL):
            slopes, y = [], x.expand(members, *x.shape)
            for layer in range(0, len(self.weights) - 2, 2):
                before = torch.baddbmm(self.weights[layer + 1], y, self.weights[layer])
                gate = torch.sigmoid(before)
                y = before.mul_(gate)
                slopes.append(torch.addcmul(y, gate, y, value=-1.0).add_(gate))
            last = self.weights[-2].mT
            values = (y * last).sum(-1) + self.weights[-1].squeeze(-1)
            back = last
            for layer, slope in zip(range(len(self.weights) - 4, -1, -2), reversed(slopes), strict=True):
                back = torch.bmm(slope.mul_(back), self.weights[layer].mT)
        return values, back


@contextmanager
def one_thread(when: bool = True) -> Iterator[None]:
    """Limit torch to one CPU thread within the block.

    The number of threads is restored afterwards. Thousands of products this small gain nothing from a second thread,
    and on a machine with other work its spinning at barriers made a fit of 0.6 s take 30 s.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if when else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
