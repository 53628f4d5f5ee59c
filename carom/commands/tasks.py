"""``carom tasks``: what there is, and which commands take it."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

__all__ = ["COMMANDS", "Tasks", "commands_of"]

COMMANDS = ("run", "compare", "diagnose", "optimize", "train")
"""Commands that take the name of a task."""


def commands_of(name: str) -> tuple[str, ...]:
    """Which of ``COMMANDS`` take a task of ``carom.envs.tasks()``, or a closed-loop task."""
    from ..envs.control import control_tasks
    from ..envs.registry import TASKS

    task = TASKS.get(name)
    takes = {
        "run": callable(getattr(task, "record", None)),
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

        table = Table.grid(padding=(0, 2))
        listed = tasks()
        listed |= {name: words for name, words in control_tasks().items() if name not in listed}
        for name, description in listed.items():
            table.add_row(Text(name, "bold"), description, Text(" ".join(commands_of(name)), "dim"))
        out.print(table)
        out.print(
            Text(
                "`carom COMMAND TASK`, with the commands on the right. Any task can be trained on by its parameters: "
                "`carom train search --options objective=billiards`. `carom render` and `carom view` take what these "
                "commands write; `carom variance` has problems of its own.",
                "dim",
            )
        )
