"""The clock of a viewer."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Playback"]


@dataclass
class Playback:
    """The moment of the run that is shown; the caller passes the real time that went by."""

    duration: float
    """Duration of the longest run [s]."""
    time: float = 0.0
    """[s], 0 to ``duration``."""
    speed: float = 1.0
    """Seconds of the run in a second."""
    playing: bool = False

    def advance(self, elapsed: float) -> None:
        """Let ``elapsed`` seconds go by. The end is shown before the run starts again."""
        if not self.playing:
            return
        if self.time >= self.duration:
            self.time = 0.0
        else:
            self.time = min(self.time + self.speed * elapsed, self.duration)

    def seek(self, time: float) -> None:
        """Go to ``time`` [s], or to the nearest end."""
        self.time = min(max(time, 0.0), self.duration)

    def step(self, step_size: float, steps: int) -> int:
        """The step to show of a run that may be shorter: its end stays."""
        return min(round(self.time / step_size), steps)
