"""``carom tasks``: what there is."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

__all__ = ["Tasks"]


@dataclass(frozen=True)
class Tasks:
    """List the tasks that can be compared and run."""

    def run(self, out: Console, progress: Console) -> None:
        """Print names and descriptions."""
        from rich.table import Table

        from ..envs import tasks

        table = Table.grid(padding=(0, 2))
        for name, description in tasks().items():
            table.add_row(Text(name, "bold"), description)
        out.print(table)
