"""Errors of starting a viewer."""

__all__ = ["ViewerError"]


class ViewerError(OSError):
    """A viewer cannot start: viser is not installed, or the address cannot be taken. The message says what to do."""
