"""Long runs that survive being killed: a folder, a checkpoint, a history, and the loop between them."""

from .checkpoint import read_checkpoint, write_checkpoint
from .errors import NotFiniteError, RunError, refuse_not_finite
from .folder import CHECKPOINT, RUN, RunFolder
from .loop import Advance, Progress, iterate

__all__ = [
    "CHECKPOINT",
    "RUN",
    "Advance",
    "NotFiniteError",
    "Progress",
    "RunError",
    "RunFolder",
    "iterate",
    "read_checkpoint",
    "refuse_not_finite",
    "write_checkpoint",
]
