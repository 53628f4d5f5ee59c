"""Parts of a learned one-step model of any system: frames of reference around a network."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import torch

from ..noise.counter_random import derive_seed, draw_uniforms

__all__ = ["DynamicsTask", "StepModel", "initialise", "mlp"]


class DynamicsTask(Protocol):
    """A task as a chain of states and actions: the data that a learned model of the dynamics needs.

    T is the number of steps of an episode, which may be coarser than those of the simulator.
    """

    name: str
    parameter_names: tuple[str, ...]

    def start(self, count: int) -> torch.Tensor:
        """Initial states [count, ...state]."""
        ...

    def actions(self, theta: torch.Tensor) -> torch.Tensor:
        """Actions [T, batch, actions] of the parameters [batch, parameters]; differentiable."""
        ...

    def cost(self, final: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        """Cost [batch] of the final states [batch, ...state]; differentiable in both."""
        ...

    def simulate(self, theta: torch.Tensor) -> torch.Tensor:
        """The simulator's states [T + 1, batch, ...state]."""
        ...

    def distance(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Distance of states [..., ...state], one length for each [m]: the measure of a model's error."""
        ...

    def model(self, seed: int) -> StepModel:
        """A fresh network for its states and actions."""
        ...


class StepModel(torch.nn.Module, ABC):
    """A model of one step: the change of the state, in a frame that moves with it, from quantities in that frame.

    A subclass gives the frame: ``change`` and its inverse ``apply``, and the network ``predict``. Changes are
    standardized by their ``mean`` and ``deviation`` over the training data, set by ``standardize``.
    """

    def __init__(self, changes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(changes, dtype=torch.float32, device="cpu"))
        self.register_buffer("deviation", torch.ones(changes, dtype=torch.float32, device="cpu"))
        self.mean: torch.Tensor
        self.deviation: torch.Tensor

    @abstractmethod
    def change(self, state: torch.Tensor, action: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """Change from ``state`` to ``after`` [batch, ...state], shape [batch, ..., changes]."""

    @abstractmethod
    def apply_change(self, state: torch.Tensor, action: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
        """The state [batch, ...state] to which ``change`` leads."""

    @abstractmethod
    def predict(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """The standardized change [batch, ..., changes]."""

    def standardize(self, state: torch.Tensor, action: torch.Tensor, after: torch.Tensor) -> None:
        """Take mean and deviation of the changes from transitions; a change that never varies keeps its unit."""
        changes = self.change(state, action, after).reshape(-1, len(self.mean))
        deviation = changes.std(0)
        self.mean.copy_(changes.mean(0))
        self.deviation.copy_(torch.where(deviation > 0, deviation, torch.ones_like(deviation)))

    def forward(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """The state after one step [batch, ...state]."""
        return self.apply_change(state, action, self.mean + self.deviation * self.predict(state, action))

    def mean_step(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """The state after the mean change of the training data: the prediction of a model without a network."""
        shape = (*state.shape[: state.dim() - 1], len(self.mean))
        return self.apply_change(state, action, self.mean.expand(shape))


def mlp(sizes: Sequence[int]) -> torch.nn.Sequential:
    """Linear layers with SiLU between them; smooth, as it is there to be differentiated."""
    layers: list[torch.nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        # weights come from ``initialise``; torch's own start would draw from the global generator
        linear = torch.nn.utils.skip_init(torch.nn.Linear, fan_in, fan_out, dtype=torch.float32, device="cpu")
        layers += [linear, torch.nn.SiLU()]
    return torch.nn.Sequential(*layers[:-1])


def initialise(module: torch.nn.Module, seed: int) -> None:
    """Even weights within sqrt(3 / inputs) (variance 1 / inputs) from a seed, biases 0."""
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if weight.dim() < 2:
                weight.zero_()
                continue
            uniforms = draw_uniforms(
                derive_seed(seed, name), "weights", first=0, rows=weight.shape[0], columns=weight.shape[1]
            )
            weight.copy_((2.0 * uniforms - 1.0) * math.sqrt(3.0 / weight.shape[1]))
