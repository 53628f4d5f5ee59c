"""Problems on which the advice is scored, with the slope of their averaged cost where it is known in closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..capabilities import smoothing_scale
from ..envs import make, testbeds
from ..envs.testbeds.blackbox import Ranks, ShortestPath
from .costs import FaultyGradient, Flat, HeavyTail, KinkedBowl, RareEvent, Ripple, SteppedBowl

__all__ = ["PROBLEMS", "Problem"]

ALL = ("autodiff", "smoothing", "smoothing-first", "mixed")
VALUES = ("smoothing", "mixed")


@dataclass(frozen=True)
class Problem:
    """A cost, a point, noise, and the backends that are judged there."""

    objective: Any
    theta: torch.Tensor
    scale: float
    backends: tuple[str, ...] = ALL
    rollouts: int = 12_000
    samples: int = 256
    race: float = 400.0
    """Rollouts of each descent."""

    @property
    def truth(self) -> torch.Tensor | None:
        """Slope of the averaged cost [parameters]; None where it has no closed form."""
        smoothed = getattr(self.objective, "smoothed_gradient", None)
        return None if smoothed is None else smoothed(self.theta[None], self.scale)[0].double()


def _bed(bed: Any, start: Sequence[float] | None = None, scale: float | None = None, **options: Any) -> Problem:
    theta = bed.initial_parameters() if start is None else torch.tensor(start, dtype=torch.float64, device="cpu")
    return Problem(bed, theta, bed.smoothing_scale if scale is None else scale, **options)


def _cost(cost: Any, start: Sequence[float], scale: float, **options: Any) -> Problem:
    return Problem(cost, torch.tensor(start, dtype=torch.float64, device="cpu"), scale, **options)


def _task(name: str, backends: tuple[str, ...] = ALL[:3], **options: Any) -> Problem:
    task = make(name, **options)
    return Problem(
        task, task.initial_parameters(), float(smoothing_scale(task, 0.02)), backends,
        rollouts=1500, samples=64, race=60.0,
    )  # fmt: skip


class _Spread:
    """Costs of a black box's outputs: its weighted sum."""

    def __init__(self, box: Any) -> None:
        self.box, self.name = box, box.name

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        outputs = self.box(theta)
        weights = torch.linspace(-1.0, 1.0, outputs.shape[1], dtype=outputs.dtype, device=outputs.device)
        return (outputs * weights).sum(1)


def _box(box: Any) -> Problem:
    start = torch.linspace(-0.3, 0.4, box.inputs, dtype=torch.float64, device="cpu").tolist()
    return _cost(_Spread(box), start, 0.3, backends=VALUES, rollouts=6000)


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "quadratic": lambda: _bed(testbeds.Quadratic()),
    "linear": lambda: _bed(testbeds.Linear()),
    "horizon": lambda: _bed(testbeds.Horizon()),
    "heaviside": lambda: _bed(testbeds.Heaviside(), scale=0.02),
    "heaviside 3d": lambda: _bed(testbeds.Heaviside(dimension=3)),
    "half plane": lambda: _bed(testbeds.HalfPlane()),
    "disc indicator": lambda: _bed(testbeds.DiscIndicator()),
    "grazing push": lambda: _bed(testbeds.GrazingPush()),
    "gap push, before": lambda: _bed(testbeds.GapPush(), [0.0]),
    "gap push, far": lambda: _bed(testbeds.GapPush(), [-0.02]),
    "gap push, at": lambda: _bed(testbeds.GapPush(), [0.035]),
    "gap push, after": lambda: _bed(testbeds.GapPush(), [0.08]),
    "ball and wall": lambda: _bed(testbeds.BallWithWall()),
    "ball over wall": lambda: _bed(testbeds.BallWithWall(angle=0.6)),
    "momentum transfer": lambda: _bed(testbeds.MomentumTransfer()),
    "box on box": lambda: _bed(testbeds.BoxOnBox()),
    "bounce": lambda: _bed(testbeds.Bounce(method="fixed_step")),
    "tent map": lambda: _bed(testbeds.TentMap()),
    "tent map, 3 steps": lambda: _bed(testbeds.TentMap(steps=3), scale=0.03),
    "ripple": lambda: _cost(Ripple(), [0.553, -0.412], 0.02),
    "small ripple": lambda: _cost(Ripple(height=2e-5), [0.553, -0.412], 0.02),
    "kinked bowl": lambda: _cost(KinkedBowl(), [0.5] * 30, 0.05),
    "stepped bowl, 80 parameters": lambda: _cost(SteppedBowl(), [0.5] * 80, 0.05, rollouts=24_000),
    "gradient off by 5 %": lambda: _cost(FaultyGradient(0.05), [0.1] * 4, 0.05),
    "gradient off by 15 %": lambda: _cost(FaultyGradient(0.15), [0.1] * 4, 0.05),
    "gradient off by 40 %": lambda: _cost(FaultyGradient(0.40), [0.1] * 4, 0.05),
    "rare event": lambda: _cost(RareEvent(1.6 * 0.05), [0.0, 0.0], 0.05),
    "rarer event": lambda: _cost(RareEvent(2.5 * 0.05), [0.0, 0.0], 0.05),
    "rarer event and slope": lambda: _cost(RareEvent(2.5 * 0.05, slope=1.0), [0.0, 0.0], 0.05),
    "heavy tail": lambda: _cost(HeavyTail(), [0.0], 0.05),
    "flat": lambda: _cost(Flat(), [0.0, 0.0], 0.05),
    "ranks": lambda: _box(Ranks(size=4)),
    "shortest path": lambda: _box(ShortestPath()),
    "push, touching": lambda: _task("push", duration=1.0, step=0.01),
    "push, apart": lambda: _task("push", start="apart", duration=1.0, step=0.01),
    "box pushing": lambda: _task("box_pushing"),
    "billiards": lambda: _task("billiards"),
}
"""Problems by name; each is made when it is asked for."""
