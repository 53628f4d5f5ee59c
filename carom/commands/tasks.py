"""``carom tasks``: the tasks, and the commands that take each."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

__all__ = ["COMMANDS", "Tasks", "commands_of"]

COMMANDS = ("run", "compare", "diagnose", "optimize", "train")
"""Commands that take the name of a task."""


def commands_of(name: str) -> tuple[str, ...]:
    """Those of ``COMMANDS`` that take a task of ``carom.envs.tasks()``, or a closed-loop task."""
    from ..capabilities import can_record
    from ..envs.control import control_tasks
    from ..envs.registry import TASKS

    task = TASKS.get(name)
    takes = {
        "run": can_record(task),
        "compare": task is not None,
        "diagnose": task is not None,
        "optimize": task is not None,
        "train": name in control_tasks(),
    }
    return tuple(command for command in COMMANDS if takes[command])


@dataclass(frozen=True)
class Tasks:
    """List the tasks, and which commands take each."""

    def run(self, out: Console, progress: Console) -> None:
        """Print names, descriptions and commands."""
        from rich.table import Table

        from ..envs import tasks
        from ..envs.control import control_tasks

        listed = tasks()
        listed |= {name: words for name, words in control_tasks().items() if name not in listed}
        groups: dict[tuple[str, ...], list[str]] = {}
        for name in listed:
            groups.setdefault(commands_of(name), []).append(name)
        for commands, names in groups.items():
            out.print(Text(f"carom {'|'.join(commands)} TASK", "bold"))
            table = Table.grid(padding=(0, 2))
            for name in names:
                table.add_row(f"  {name}", listed[name])
            out.print(table)
        out.print(
            Text(
                "Any task can be trained on by its parameters: carom train search --options objective=billiards. carom "
                "render and view take what these commands write; carom variance has problems of its own.",
                "dim",
            )
        )
