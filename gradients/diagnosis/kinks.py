"""The nearest points of a line at which contacts change. A derivative may not exist there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...plain import plain_numbers
from ..core.arrays import as_theta
from ..core.checks import as_batch, check_count
from ..core.errors import GradientError
from ..core.interface import Objective
from ..core.objective import evaluate, evaluate_with_gradient
from .linearized_rollout import contact_history_of

__all__ = ["Kink", "nearby_kinks"]

_HALVINGS = 40


@dataclass(frozen=True)
class Kink:
    """A place on the line at which the contacts of a rollout change."""

    distance: float
    """Distance from theta along the direction, in units of ``direction``'s length; negative behind theta."""
    step: int
    """First step in which contacts differ across it."""
    pair: str
    """The pair that makes or breaks contact there."""
    made: bool
    """Whether the pair is in contact in that step on the far side, in the sense of growing distance."""
    jump: float
    """Change of the cost across it."""
    slope_before: float | None
    """Derivative along the direction on the side of smaller distance; None without an exact gradient."""
    slope_after: float | None

    def __str__(self) -> str:
        what = "makes" if self.made else "loses"
        slopes = (
            ""
            if self.slope_before is None or self.slope_after is None
            else f", slope {self.slope_before:.4g} to {self.slope_after:.4g}"
        )
        return f"at {self.distance:+.3g}: {self.pair} {what} contact in step {self.step}; jump {self.jump:.2g}{slopes}"


@plain_numbers
def nearby_kinks(
    objective: Objective,
    theta: torch.Tensor,
    direction: torch.Tensor,
    *,
    radius: float = 1.0,
    grid: int = 32,
    most: int = 5,
) -> tuple[Kink, ...]:
    """Changes of contact on the line theta + t direction, t from -radius to radius: the nearest ``most`` of them.

    A grid of rollouts finds the intervals over which the history of contacts differs, and halving, all intervals at
    once, the places: to radius / grid / 2^40 or the rounding of theta. An interval with several changes is narrowed
    to the one nearest to theta, so a change may be missed only behind a nearer one in its interval.

    Args:
        objective: Objective with ``contact_history(theta)``, such as a simulated task.
        theta: [parameters].
        direction: [parameters], e.g. minus the gradient, or one parameter's noise scale.
        radius: Half-length of the line in units of ``direction``.
        grid: Intervals.
        most: Kinks returned.
    """
    theta = as_theta(theta)
    batch, single = as_batch(theta)
    if not single or direction.shape != theta.shape:
        raise GradientError(
            f"nearby_kinks takes one theta and one direction of its shape, not {list(theta.shape)} and "
            f"{list(direction.shape)}"
        )
    check_count("grid", grid, 2)
    check_count("most", most, 1)
    if not (radius > 0.0 and bool(torch.isfinite(direction).all()) and bool(direction.any())):
        raise GradientError("radius must be positive, and direction finite and not zero")
    along = direction.detach().double()

    def rows(t: np.ndarray) -> torch.Tensor:
        places = torch.from_numpy(np.asarray(t)).to(batch.device)
        return (batch.double() + places[:, None] * along).to(batch.dtype)

    nodes = np.linspace(-radius, radius, grid + 1)
    table = _Histories(objective)
    keys = table.of(rows(nodes))
    cells = [i for i in range(grid) if keys[i] != keys[i + 1]]
    cells.sort(key=lambda i: min(abs(nodes[i]), abs(nodes[i + 1])))
    cells = cells[:most]
    if not cells:
        return ()
    # near and far: the ends nearer to theta and farther from it
    ends = [(i, i + 1) if nodes[i] + nodes[i + 1] > 0.0 else (i + 1, i) for i in cells]
    near, far = nodes[[a for a, _ in ends]], nodes[[b for _, b in ends]]
    near_key, far_key = [keys[a] for a, _ in ends], [keys[b] for _, b in ends]
    for _ in range(_HALVINGS):
        middle = 0.5 * (near + far)
        if np.all((middle == near) | (middle == far)):
            break
        for i, key in enumerate(table.of(rows(middle))):
            if key == near_key[i]:
                near[i] = middle[i]
            else:
                far[i], far_key[i] = middle[i], key
    before, after = rows(np.minimum(near, far)), rows(np.maximum(near, far))
    values = evaluate(objective, torch.cat([before, after])).double().cpu().numpy()
    slopes = _slopes(objective, torch.cat([before, after]), along)
    kinks = []
    for i in range(len(cells)):
        forward = near[i] < far[i]
        step, pair, made = table.difference(*((near_key[i], far_key[i]) if forward else (far_key[i], near_key[i])))
        kinks.append(
            Kink(
                distance=float(0.5 * (near[i] + far[i])),
                step=step,
                pair=pair,
                made=made,
                jump=float(values[len(cells) + i] - values[i]),
                slope_before=None if slopes is None else float(slopes[i]),
                slope_after=None if slopes is None else float(slopes[len(cells) + i]),
            )
        )
    return tuple(sorted(kinks, key=lambda kink: abs(kink.distance)))


class _Histories:
    """Histories of contacts, by number: equal ones have the same."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.numbers: dict[frozenset[tuple[str, bytes]], int] = {}
        self.tables: list[dict[str, np.ndarray]] = []

    def of(self, rows: torch.Tensor) -> list[int]:
        active, names = contact_history_of(self.objective, rows)
        answers = []
        for one in active:
            table = {name: one[:, i] for i, name in enumerate(names) if one[:, i].any()}
            key = frozenset((name, np.packbits(steps).tobytes()) for name, steps in table.items())
            if key not in self.numbers:
                self.numbers[key] = len(self.tables)
                self.tables.append(table)
            answers.append(self.numbers[key])
        return answers

    def difference(self, before: int, after: int) -> tuple[int, str, bool]:
        """First step in which two histories differ, the pair that does, and whether it touches in the second."""
        a, b = self.tables[before], self.tables[after]
        found = []
        for name in sorted({*a, *b}):
            one, other = a.get(name), b.get(name)
            length = len(one if one is not None else other)  # type: ignore[arg-type]
            never = np.zeros(length, dtype=bool)
            one, other = never if one is None else one, never if other is None else other
            if (one != other).any():
                step = int(np.argmax(one != other))
                found.append((step, name, bool(other[step])))
        return min(found)


def _slopes(objective: Objective, rows: torch.Tensor, along: torch.Tensor) -> np.ndarray | None:
    try:
        _, gradients = evaluate_with_gradient(objective, rows)
    except GradientError:
        return None
    return (gradients.double() @ along.to(gradients.device)).cpu().numpy()  # type: ignore[no-any-return]
