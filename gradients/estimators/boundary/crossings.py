"""Search for jumps of a cost along lines: a grid of rollouts in one batch, then batched bisection of suspect intervals.

Everything is in units of the noise: a line is the points theta + L (w + t v), and t its coordinate. All lines are
searched together, so that each level of the bisection is one call of the objective.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

__all__ = ["Ask", "Found", "ask_grid", "density", "search_events", "search_values"]

_SPLIT = 0.45  # not 1/2: a staircase whose steps fall evenly into the halves would look like a slope
_MOST_LEVELS = 60  # an interval of 1 is then below any resolution of float64

Ask = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Answers [n] or [n, events] at the coordinates t [n] of the lines with the numbers [n]; arguments (line, t)."""


def density(t: torch.Tensor) -> torch.Tensor:
    """The standard normal density."""
    return torch.exp(-0.5 * t.square()) / math.sqrt(2.0 * math.pi)


@dataclass(frozen=True)
class Found:
    """Jumps found on the lines; entries in no particular order."""

    line: torch.Tensor
    """Line of each jump, shape [jumps]."""
    t: torch.Tensor
    """Coordinate of each jump, shape [jumps]."""
    size: torch.Tensor
    """Change of the cost across it in the direction of growing t, shape [jumps]."""
    smooth: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
    """The intervals without a jump: line, left end, right end, change of the cost. Empty after a search by events."""
    evaluations: int
    """Rollouts used."""
    event_evaluations: int = 0
    """Rows passed to the event functions."""


class _Brackets:
    """Intervals [a, b] of lines, with the known data at both ends; columns of equal length."""

    def __init__(self, line: torch.Tensor, *ends: torch.Tensor) -> None:
        self.columns = (line, *ends)

    def __len__(self) -> int:
        return len(self.columns[0])

    def keep(self, which: torch.Tensor) -> _Brackets:
        return _Brackets(*(column[which] for column in self.columns))

    @staticmethod
    def join(parts: list[_Brackets]) -> _Brackets:
        return _Brackets(*(torch.cat(columns) for columns in zip(*(part.columns for part in parts), strict=True)))


def ask_grid(ask: Ask, nodes: torch.Tensor) -> torch.Tensor:
    """Answers at the nodes [lines, nodes] of all lines, shape [lines, nodes] or [lines, nodes, events]."""
    count, width = nodes.shape
    line = torch.arange(count, device=nodes.device).repeat_interleave(width)
    answers = ask(line, nodes.reshape(-1))
    return answers.view(count, width, *answers.shape[1:])


def search_values(
    costs: Ask, nodes: torch.Tensor, values: torch.Tensor, *, smallest: torch.Tensor, resolution: float
) -> Found:
    """Jumps of the cost on lines, by its values alone.

    An interval is suspect where the cost changes by something else than over its neighbours, and stays so while a
    split in two gives unequal slopes. A smooth cost's inequality falls by four a level and a kink's by two, a jump's
    not at all: what is left when an interval is shorter than ``resolution`` is a jump.

    Args:
        costs: Costs on the lines, float64.
        nodes: Coordinates of the grid, ascending, shape [lines, nodes].
        values: The costs there.
        smallest: Jump that may be missed where the density is greatest, shape [lines]; more where it is less, in
            proportion: what is missed then never weighs more.
        resolution: Width below which a change counts as a jump.
    """
    count, width = nodes.shape
    line = torch.arange(count, device=nodes.device)
    evaluations = 0
    changes = values.diff(dim=1)
    uneven = changes.diff(dim=1).abs()
    suspicion = torch.nn.functional.pad(uneven, (1, 0)).maximum(torch.nn.functional.pad(uneven, (0, 1)))
    table = _Brackets(
        line.repeat_interleave(width - 1),
        nodes[:, :-1].reshape(-1),
        nodes[:, 1:].reshape(-1),
        values[:, :-1].reshape(-1),
        values[:, 1:].reshape(-1),
    )
    suspect = suspicion.reshape(-1) > _allowed(table, smallest)
    smooth, active = [table.keep(~suspect)], table.keep(suspect)
    jumps: list[_Brackets] = []
    for _ in range(_MOST_LEVELS):
        narrow = active.columns[2] - active.columns[1] <= resolution
        if bool(narrow.any()):
            left, right, below, above = (column[narrow] for column in active.columns[1:])
            large = (above - below).abs() > _allowed(active.keep(narrow), smallest)
            jumps.append(active.keep(narrow).keep(large))
            smooth.append(active.keep(narrow).keep(~large))
            active = active.keep(~narrow)
        if len(active) == 0:
            break
        of, left, right, below, above = active.columns
        middle = left + _SPLIT * (right - left)
        at = costs(of, middle)
        evaluations += len(at)
        first, second = at - below, above - at
        unequal = (first * (1.0 - _SPLIT) - second * _SPLIT).abs() > 0.4 * _allowed(active, smallest)
        halves = [_Brackets(of, left, middle, below, at), _Brackets(of, middle, right, at, above)]
        remaining = []
        for half, change in zip(halves, (first, second), strict=True):
            go = unequal & (change.abs() > 0.1 * _allowed(half, smallest))
            remaining.append(half.keep(go))
            smooth.append(half.keep(~go))
        active = _Brackets.join(remaining)
    found = _Brackets.join([active.keep(torch.zeros_like(active.columns[0], dtype=torch.bool)), *jumps])
    of, left, right, below, above = found.columns
    rest = _Brackets.join(smooth).columns
    return Found(of, 0.5 * (left + right), above - below, (rest[0], rest[1], rest[2], rest[4] - rest[3]), evaluations)


def _allowed(brackets: _Brackets, smallest: torch.Tensor) -> torch.Tensor:
    """The change that may pass unseen in each bracket."""
    of, left, right = brackets.columns[:3]
    nearest = torch.where(left * right < 0.0, torch.zeros_like(left), torch.minimum(left.abs(), right.abs()))
    return smallest[of] * torch.exp(0.5 * nearest.square())


def search_events(costs: Ask, events: Ask, nodes: torch.Tensor, *, signed: bool, resolution: float) -> Found:
    """Jumps of the cost on lines where an event changes; the cost is asked only on both sides of each change.

    Args:
        costs: Costs on the lines, float64.
        events: Events on the lines, [n, events], float64.
        nodes: Coordinates of the grid, ascending, shape [lines, nodes].
        signed: Whether events are numbers of which a change of sign counts, found faster by interpolation; else they
            are labels, and any change counts.
        resolution: Width to which a change is located.
    """
    table = ask_grid(events, nodes)
    asked = nodes.numel()
    label = torch.sign(table) if signed else table
    of, cell, event = (label[:, 1:] != label[:, :-1]).nonzero().unbind(1)
    # One bracket for each event that changes: two of them in one interval are two jumps unless they coincide.
    active = _Brackets(
        of, nodes[of, cell], nodes[of, cell + 1], table[of, cell, event], table[of, cell + 1, event], event
    )
    done = [active.keep(torch.zeros_like(of, dtype=torch.bool))]
    for level in range(_MOST_LEVELS):
        narrow = active.columns[2] - active.columns[1] <= resolution
        done.append(active.keep(narrow))
        active = active.keep(~narrow)
        if len(active) == 0:
            break
        of, left, right, below, above, event = active.columns
        share = torch.full_like(left, 0.5)
        if signed and level % 3:
            # The secant's zero, moved by half the resolution beyond itself, so that the bracket closes from both
            # sides; every third split is in the middle, which bounds the number of them.
            zero = (below / (below - above)).nan_to_num(0.5)
            aside = 0.5 * resolution / (right - left)
            share = torch.where(zero < 0.5, zero + aside, zero - aside).clamp(0.01 * aside, 1.0 - 0.01 * aside)
        middle = left + share * (right - left)
        at = events(of, middle)
        asked += len(at)
        at = at.gather(1, event[:, None])[:, 0]
        halves = (_Brackets(of, left, middle, below, at, event), _Brackets(of, middle, right, at, above, event))
        active = _Brackets.join([half.keep(_differ(half, signed)) for half in halves])
    found = _once(_Brackets.join(done), resolution)
    of, left, right = found.columns[:3]
    ends = costs(torch.cat([of, of]), torch.cat([left, right]))
    below, above = ends[: len(of)], ends[len(of) :]
    empty = nodes.new_zeros(0)
    none = (torch.zeros_like(of[:0]), empty, empty, empty)
    return Found(of, 0.5 * (left + right), above - below, none, len(ends), asked)


def _differ(brackets: _Brackets, signed: bool) -> torch.Tensor:
    below, above = brackets.columns[3:5]
    return torch.sign(below) != torch.sign(above) if signed else below != above


def _once(brackets: _Brackets, resolution: float) -> _Brackets:
    """Brackets of several events that change at the same place, made one: its ends are the outermost."""
    if len(brackets) == 0:
        return brackets
    of, left, right = brackets.columns[:3]
    order = torch.argsort(left, stable=True)
    order = order[torch.argsort(of[order], stable=True)]
    of, left, right = of[order], left[order], right[order]
    new = torch.ones_like(of, dtype=torch.bool)
    new[1:] = (of[1:] != of[:-1]) | (left[1:] - right[:-1] > resolution)
    group = new.long().cumsum(0) - 1
    groups = int(group[-1]) + 1
    most = torch.full((groups,), -math.inf, dtype=right.dtype, device=right.device)
    return _Brackets(of[new], left[new], most.scatter_reduce(0, group, right, "amax"))
