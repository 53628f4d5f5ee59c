"""Networks and optimizers whose every random number follows from a seed, and copies of their state."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["minibatches", "seeded", "snapshot"]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw torch's own random numbers (initial weights) from ``seed``; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def snapshot(part: torch.nn.Module | torch.optim.Optimizer) -> dict[str, Any]:
    """A copy of the state of a network or optimizer, which later steps leave alone."""
    copied: dict[str, Any] = copy.deepcopy(part.state_dict())
    return copied


def minibatches(count: int, epochs: int, parts: int, seed: int) -> Iterator[torch.Tensor]:
    """Indices of ``parts`` equal random minibatches of ``count`` points, anew in each of ``epochs``."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        yield from torch.randperm(count, generator=generator, device="cpu").split(max(1, -(-count // parts)))
