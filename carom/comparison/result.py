"""The numbers of a comparison and their verdicts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import torch

from ..capabilities import description_of, unit_of
from ..files.results import versions
from ..files.run_folder import scene_entry
from ..gradients import Comparison, Objective
from ..gradients.core.objective import objective_name
from ..gradients.diagnosis.slope import SlopeVerdict
from ..gradients.diagnosis.slopes import Slopes
from .advice import Advice, advise
from .cost_slice import Slice
from .figure_kinds import kinds, omitted
from .first_look import noise_text, title_of
from .landscape import Landscape
from .race import Race
from .rollouts import Rollout
from .studies.all import Studies
from .trust import Trust

if TYPE_CHECKING:
    from ..sim import Recording

__all__ = ["FORMAT", "ComparisonResult", "schema"]

FORMAT = 2
"""Version of ``results.json``; ``results.schema.json`` beside this file describes it."""


def schema() -> dict[str, Any]:
    """The JSON schema of ``results.json``, draft 2020-12."""
    found: dict[str, Any] = json.loads((files(__package__) / "results.schema.json").read_text(encoding="utf-8"))
    return found


@dataclass(frozen=True)
class ComparisonResult:
    """Numbers and verdicts; ``carom.CompareResult`` adds methods to show and to keep them."""

    objective: Objective
    theta: torch.Tensor
    """Point at which the gradients were taken [parameters]."""
    names: tuple[str, ...]
    """Names of the parameters."""
    comparison: Comparison
    """The reference and one row per backend."""
    slopes: Slopes
    """Estimates over seeds, units of the reference, and verdicts on each backend as the slope of the averaged cost."""
    trust: dict[str, Trust]
    """Trusted step lengths by backend."""
    slice: Slice
    """The cost along the descent direction of the reference."""
    settings: dict[str, Any]
    """Settings of the computation: seed, samples, scale, ..."""
    race: Race | None = None
    """The race of descents; None where it was not asked for."""
    recording: Recording | None = None
    """The rollout at theta; None where the objective has no ``record``."""
    landscape: Landscape | None = None
    """The cost over two parameters; None where there are none to show."""
    studies: Studies | None = None
    """Studies of the report beyond the comparison; None where they were not asked for."""
    rollouts: tuple[Rollout, ...] = ()
    """Recorded rollouts at theta and at the end of the descents; none where the objective has no ``record``."""
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds of each stage."""
    notes: tuple[str, ...] = ()
    """Sentences on the objective that change what the numbers mean."""

    @property
    def title(self) -> str:
        """Name of the objective, with the options that were given for it."""
        return title_of(self.objective, self.settings)

    @property
    def unit(self) -> str:
        """Unit of theta, where the objective names one."""
        return unit_of(self.objective)

    @property
    def noise(self) -> str:
        """Description of the noise over which the reference averages."""
        return noise_text(self.objective, self.settings["scale"])

    @cached_property
    def figure_kinds(self) -> tuple[str, ...]:
        """The kinds that ``figure`` knows for this objective."""
        return kinds(self)

    @cached_property
    def omitted(self) -> dict[str, str]:
        """Figures that the result does not have, by kind, with the reasons."""
        return omitted(self)

    @property
    def verdicts(self) -> dict[str, SlopeVerdict]:
        """Verdict on each backend as the slope of the averaged cost."""
        return self.slopes.verdicts

    @cached_property
    def advice(self) -> Advice:
        """Answers to three questions, by the rules of ``carom.comparison.advice``."""
        scale = self.settings["scale"]
        sizes = set(scale) if isinstance(scale, (list, tuple)) else {scale}
        same = float(next(iter(sizes))) if len(sizes) == 1 else None
        return advise(self.verdicts, self.race, self.trust, scale=same, unit=self.unit, notes=self.notes)

    def as_dict(self) -> dict[str, Any]:
        """All numbers, as ``results.json`` has them; whatever depends on the clock is under ``timings``."""
        rows = [self.comparison.reference.as_dict(), *(row.as_dict() for row in self.comparison.rows)]
        seconds = {row["name"]: row.pop("seconds") for row in rows}
        race, core = self.race, {}
        if race is not None:
            core = {entry.name: [curve.core_seconds for curve in entry.curves] for entry in race.entries}
        return {
            "format": FORMAT,
            "task": {
                "name": objective_name(self.objective),
                "description": description_of(self.objective),
                "parameter_names": self.names,
                "unit": self.unit,
            },
            "settings": self.settings,
            "theta": self.theta.tolist(),
            "reference": rows[0],
            "backends": [
                {
                    **row,
                    "verdict": self.verdicts[row["name"]].as_dict(),
                    "trust": self.trust[row["name"]].as_dict() if row["name"] in self.trust else None,
                }
                for row in rows[1:]
            ],
            "advice": self.advice.as_dict(),
            "race": None if race is None else race.as_dict(),
            "slice": self.slice.as_dict(),
            "landscape": None if self.landscape is None else self.landscape.as_dict(),
            "studies": None if self.studies is None else self.studies.as_dict(),
            "recordings": [rollout.as_dict() for rollout in self.rollouts],
            "scene": scene_entry(self.objective),
            "figures": self.figure_kinds,
            "omitted": self.omitted,
            "versions": versions(),
            "timings": {"estimates": seconds, "race_core_seconds": core, **self.timings},
        }
