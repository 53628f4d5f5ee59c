"""What keeps a viewer from starting."""

__all__ = ["ViewerError"]


class ViewerError(OSError):
    """No viewer: viser is not installed, or the address cannot be taken. The message says what to do."""
