"""What a GPU would have refused, and what would have made the host wait."""

import collections
import traceback
from pathlib import Path

HERE = str(Path(__file__).parent)
WAITS: collections.Counter = collections.Counter()


class FakeCudaFault(RuntimeError):
    """A GPU would have refused this, or computed something else."""


def is_cuda(device) -> bool:
    """Whether a device of torch or Warp, or its name, is the one of this package."""
    return device is not None and str(device).strip("'").startswith("cuda")


def place() -> str:
    """The line of the project or its tests that the present call comes from."""
    frames = [f for f in traceback.extract_stack() if not f.filename.startswith(HERE)]
    own = [f for f in frames if not any(part in f.filename for part in ("site-packages", "/lib/python", "<"))]
    last = (own or frames)[-1]
    return f"{Path(last.filename).parent.name}/{Path(last.filename).name}:{last.lineno}"


def refuse(what: str) -> None:
    """Raise."""
    raise FakeCudaFault(f"{what}, at {place()}")


def wait(what: str) -> None:
    """Count a call for which the host waits until the device is done."""
    WAITS[f"{what} at {place()}"] += 1


def report(most: int = 12) -> str:
    """The lines at which the host waited most often."""
    lines = [f"{n:8d}  {what}" for what, n in WAITS.most_common(most)]
    return "\n".join([f"the host waited for the device {sum(WAITS.values())} times, most often:", *lines])
