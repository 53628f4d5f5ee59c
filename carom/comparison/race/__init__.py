"""A race: which backend descends best for the same number of rollouts, each with settings chosen the same way."""

from .contest import RacePlan, race
from .outcome import Race, RaceEntry

__all__ = ["Race", "RaceEntry", "RacePlan", "race"]
