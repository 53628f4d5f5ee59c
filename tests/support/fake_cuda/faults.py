"""Calls that a GPU would have refused, and calls that would have made the host wait."""

import collections
import sys
from pathlib import Path

HERE = str(Path(__file__).parent)
WAITS: collections.Counter = collections.Counter()


class FakeCudaError(RuntimeError):
    """A GPU would have refused this, or computed something else."""


def is_cuda(device) -> bool:
    """Whether a device of torch or Warp, or its name, is the one of this package."""
    return device is not None and str(device).strip("'").startswith("cuda")


def place() -> str:
    """The line of the project or its tests that the present call comes from."""
    frame = first = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(HERE) and not any(part in name for part in ("site-packages", "/lib/python", "<")):
            break
        frame = frame.f_back
    frame = frame or first
    path = Path(frame.f_code.co_filename)
    return f"{path.parent.name}/{path.name}:{frame.f_lineno}"


def refuse(what: str) -> None:
    """Raise."""
    raise FakeCudaError(f"{what}, at {place()}")


def wait(what: str) -> None:
    """Count a call for which the host waits until the device is done."""
    WAITS[f"{what} at {place()}"] += 1


def report(most: int = 12) -> str:
    """The lines at which the host waited most often."""
    lines = [f"{n:8d}  {what}" for what, n in WAITS.most_common(most)]
    return "\n".join([f"the host waited for the device {sum(WAITS.values())} times, most often:", *lines])
