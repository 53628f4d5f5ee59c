"""``carom view``: runs in the browser."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.text import Text

__all__ = ["View"]


@dataclass(frozen=True)
class View:
    """Runs in the browser: the scene over time, several runs together, forces, gradients, the cost's curve."""

    runs: Annotated[
        tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN [RUN ...]", help_behavior_hint="")
    ]
    """Run folders or recordings (.npz) to show together."""
    host: str = "127.0.0.1"
    """Address to listen at. By default only this machine can open the viewer."""
    port: int = 8080
    """Port to listen at."""

    def run(self, out: Console, progress: Console) -> None:
        """Serve until Ctrl-C."""
        from ..files.run_folder import RunFolderError
        from ..viewer import view

        if not self.runs:
            raise RunFolderError("carom view takes run folders or recordings (.npz): name at least one")
        with view(*self.runs, host=self.host, port=self.port) as viewer:
            out.print(Text.assemble("viewer at ", (viewer.url, "bold"), ", until Ctrl-C"), soft_wrap=True)
            try:
                viewer.wait()
            except KeyboardInterrupt:
                out.print(Text("viewer ended", "dim"))
