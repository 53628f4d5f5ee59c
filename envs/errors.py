"""The error of the tasks."""

__all__ = ["TaskError"]


class TaskError(ValueError):
    """A task that does not exist, or an option or parameters that it cannot take."""
