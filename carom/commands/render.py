"""``carom render``: a run as a film, with no window."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from rich.console import Console
from rich.text import Text

from .common import option, stages

if TYPE_CHECKING:
    from ..files.run_folder import LoadedRun, RunEntry

__all__ = ["Render"]


@dataclass(frozen=True)
class Render:
    """A run as a film (GIF or MP4), from above or in perspective; needs no window and no GPU."""

    source: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN", help_behavior_hint="")]
    """A run folder, or a recording (.npz)."""
    out: Annotated[Path, option("FILE")]
    """File to write, ending in .gif or .mp4; one that is there is replaced."""
    camera: Literal["topdown", "perspective"] = "perspective"
    """Camera: from above, or in perspective from the front and above."""
    recording: Annotated[str | None, option("LABEL")] = None
    """Recording of the folder to draw. By default the first."""
    world: int = 0
    """World of the recording to draw."""
    fps: float = 25.0
    """Pictures a second."""
    speed: float = 1.0
    """Seconds of the run in a second of the film."""
    size: int = 640
    """Width of the pictures in pixels."""
    forces: bool = True
    """Draw the contact forces; from above, the horizontal ones."""
    title: str = ""
    """Text above the pictures."""
    device: str = "cpu"
    """Device on which a perspective is computed: cpu or cuda."""

    def run(self, out: Console, progress: Console) -> None:
        """Draw and write."""
        with stages(progress) as say:
            say("loading")
            from ..files.run_folder import load_run
            from ..quiet import init_warp
            from ..render.animation import animate
            from ..sim.devices import check_device

            init_warp()
            run = load_run(self.source)
            entry = self._entry(run)
            device = str(check_device(self.device))
            say("drawing")
            animate(
                entry.recording, self.out, camera=self.camera, fps=self.fps, speed=self.speed, world=self.world,
                size=self.size, forces=self.forces, colors=run.colors, goal=run.goal, title=self.title, device=device,
            )  # fmt: skip
        out.print(Text(f"written to {self.out}", "dim"))

    def _entry(self, run: LoadedRun) -> RunEntry:
        if self.recording is None:
            return run.entries[0]
        for entry in run.entries:
            if entry.label == self.recording:
                return entry
        from ..files.run_folder import RunFolderError

        names = ", ".join(entry.label for entry in run.entries)
        raise RunFolderError(f"{run.path} has no recording {self.recording!r}; --recording is one of: {names}")
