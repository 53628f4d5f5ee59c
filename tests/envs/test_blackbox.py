"""Sorting and shortest paths against the definitions, by brute force."""

from __future__ import annotations

import itertools

import pytest
import torch

from carom.envs import TaskError
from carom.envs.testbeds.blackbox import Ranks, ShortestPath, SortingPermutation


def numbers(rows, columns, seed=0):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_sorting(size):
    x = numbers(50, size)
    matrices = SortingPermutation(size=size)(x).view(50, size, size)
    torch.testing.assert_close((matrices @ x[:, :, None])[:, :, 0], x.sort(dim=1).values, rtol=0.0, atol=0.0)
    assert bool((matrices.sum(1) == 1).all())
    smaller = (x[:, None, :] < x[:, :, None]).sum(2)  # how many are smaller than each
    assert torch.equal(Ranks(size=size)(x), smaller.double())
    assert torch.equal(Ranks(size=size)(x), (matrices * torch.arange(size)[None, :, None]).sum(1))


@pytest.mark.parametrize("size", [2, 3, 4])
def test_shortest_paths(size):
    x = numbers(40, size * size, seed=1)  # costs of both signs
    images = ShortestPath(size=size)(x).view(40, size, size)

    def paths(place):
        if place == (size - 1, size - 1):
            yield [place]
        for step in ((0, 1), (1, 0), (1, 1)):
            ahead = (place[0] + step[0], place[1] + step[1])
            if max(ahead) < size:
                yield from ([place, *rest] for rest in paths(ahead))

    every = list(paths((0, 0)))
    for costs, image in zip(x.view(40, size, size), images, strict=True):
        best = min(every, key=lambda path: sum(float(costs[node]) for node in path))
        assert {tuple(node) for node in image.nonzero().tolist()} == set(best)


def test_refusals():
    for kind, size in itertools.product((Ranks, SortingPermutation, ShortestPath), (1, 2.0, True)):
        with pytest.raises(TaskError, match="size"):
            kind(size=size)
    with pytest.raises(TaskError, match=r"shortest-path: inputs have shape \[2, 3\]: give \[batch, 9\]"):
        ShortestPath()(torch.zeros(2, 3))
