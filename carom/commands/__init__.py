"""The subcommands of ``carom``, one a file: a dataclass of options with ``run(out, progress)``."""
