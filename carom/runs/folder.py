"""Folder of a run: its identity (run.json), its progress (checkpoint), the process that works on it (lock)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from ..files.atomic import unfinished
from ..files.output_folder import LAST, OutputError
from ..files.results import plain, versions, write_json
from .checkpoint import read_checkpoint, write_checkpoint
from .errors import RunError

try:
    import fcntl
except ImportError:  # pragma: no cover
    fcntl = None  # type: ignore[assignment]

__all__ = ["CHECKPOINT", "FORMAT", "RUN", "RunFolder"]

RUN, CHECKPOINT, LOCK = "run.json", "checkpoint.pt", "lock"
FORMAT = 1
"""Version of run.json."""


class RunFolder:
    """A run's folder, held by this process while the ``with`` block lasts.

    ``run.json`` is written first and never again; ``checkpoint.pt`` is replaced whole; ``results.json`` comes last, and
    where it lies the run is finished. The lock is the kernel's: a process that is killed releases it.

        with RunFolder.create(path, "optimize", {"task": "push", "seed": 0}) as folder:
            folder.save({"iteration": 1, ...})
        with RunFolder.resume(path, "optimize") as folder:
            folder.identity, folder.load()

    Attributes:
        path: The folder.
        kind: Kind of the run: "optimize", "train".
        identity: All that decides the numbers of the run, as JSON: task, options, method, seed. A checkpoint belongs to
            one.
        begun_with: Versions of Python, carom and libraries when the run began.
    """

    def __init__(self, path: Path, kind: str, identity: dict[str, Any], begun_with: dict[str, str], handle: int):
        self.path, self.kind, self.identity, self.begun_with = path, kind, identity, begun_with
        self._handle = handle

    @classmethod
    def create(cls, path: Path, kind: str, identity: Mapping[str, Any]) -> RunFolder:
        """Begin a run in ``path``, a new or empty folder, which is made.

        Raises:
            OutputError: The folder is not empty or cannot be written.
            RunError: Another process has just taken it.
        """
        path = Path(os.path.abspath(path))
        try:
            path.mkdir(parents=True, exist_ok=True)
            ours = {path / LOCK, *unfinished(path / RUN)}  # a process was killed before it had written what the run is
            found = sorted(entry.name for entry in path.iterdir() if entry not in ours)
        except OSError as error:
            raise OutputError(f"cannot write to run folder {path}: {error.strerror}. Name another with --out") from None
        if found:
            resumable = RUN in found and LAST not in found
            way = f"continue it with --resume {path}, or name another" if resumable else "name another"
            raise OutputError(f"run folder {path} exists and is not empty: {way} with --out")
        handle = _lock(path)
        for left in unfinished(path / RUN):
            left.unlink(missing_ok=True)
        try:
            content = {"format": FORMAT, "kind": kind, "identity": identity, "versions": versions()}
            write_json(path / RUN, content)
        except OSError as error:
            os.close(handle)
            raise OutputError(f"cannot write to run folder {path}: {error.strerror}") from None
        return cls(path, kind, plain(identity), versions(), handle)

    @classmethod
    def resume(cls, path: Path, kind: str, given: Mapping[str, Any] | None = None) -> RunFolder:
        """Take up the run in ``path``.

        Args:
            path: A folder in which a run was begun.
            kind: Kind of run that is expected.
            given: Parts of the identity that the user has named again, by their path ("task.name"); they must agree.

        Raises:
            RunError: There is no run, it is finished, of another kind, carom or format, differs from what is given, or
                another process works on it.
        """
        path = Path(os.path.abspath(path))
        stored = _read(path)
        if stored.get("kind") != kind:
            raise RunError(f"{path} holds a run of `carom {stored.get('kind')}`, not of `carom {kind}`")
        made, now = stored["versions"].get("carom"), versions()["carom"]
        if made != now:
            raise RunError(
                f"{path} was begun by carom {made}, and this is carom {now}, whose numbers may differ: finish it with "
                "the version that began it, or begin anew"
            )
        if (path / LAST).exists():
            raise RunError(f"{path} is finished: {LAST} is there. Begin another run (with more --rollouts, say)")
        for key, value in (given or {}).items():
            found: Any = stored["identity"]
            for part in key.split("."):
                found = found.get(part) if isinstance(found, dict) else None
            if plain(value) != found:
                raise RunError(
                    f"{path} is a run with {key} = {found!r}, and {value!r} is asked for: leave the option out to "
                    "continue the run as it was, or begin another"
                )
        handle = _lock(path)
        if (path / LAST).exists():  # by the process that had it until now
            os.close(handle)
            raise RunError(f"{path} is finished: {LAST} is there. Begin another run (with more --rollouts, say)")
        for name in (CHECKPOINT, LAST):
            for left in unfinished(path / name):
                left.unlink(missing_ok=True)
        return cls(path, kind, stored["identity"], stored["versions"], handle)

    @property
    def checkpoint(self) -> Path:
        """Path of the checkpoint, which may not be there yet."""
        return self.path / CHECKPOINT

    @property
    def changed_versions(self) -> dict[str, tuple[str, str]]:
        """Libraries that are not those the run was begun with: name to (then, now). Last bits may differ with them."""
        now = versions()
        return {name: (then, now.get(name, "none")) for name, then in self.begun_with.items() if now.get(name) != then}

    def save(self, content: Mapping[str, Any]) -> None:
        """Replace the checkpoint; ``content`` as for ``write_checkpoint``."""
        identity = json.dumps(self.identity, sort_keys=True)
        write_checkpoint(self.checkpoint, {"kind": self.kind, "identity": identity, "content": dict(content)})

    def load(self) -> dict[str, Any] | None:
        """Content that was saved last; None where the run ended before that.

        Raises:
            RunError: The checkpoint is damaged, or of another run.
        """
        try:
            stored = read_checkpoint(self.checkpoint)
        except FileNotFoundError:
            return None
        except RunError as error:
            raise RunError(f"{error}. Begin the run anew, or put a good copy of the file there") from None
        if stored.get("kind") != self.kind or not isinstance(stored.get("content"), dict):
            raise RunError(f"{self.checkpoint} is not of a run of `carom {self.kind}`: it was put there from elsewhere")
        try:
            theirs = json.loads(stored.get("identity", ""))
        except (TypeError, ValueError):
            theirs = {}
        if theirs != self.identity:
            difference = _difference(theirs, self.identity)
            raise RunError(f"{self.checkpoint} is of another run than {RUN} beside it says: {difference}")
        content: dict[str, Any] = stored["content"]
        return content

    def finish(self, results: Mapping[str, Any]) -> None:
        """Write results.json: the run is finished."""
        write_json(self.path / LAST, results)
        (self.path / LOCK).unlink(missing_ok=True)  # a finished run is taken up by nobody

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the folder."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _read(path: Path) -> dict[str, Any]:
    try:
        stored = json.loads((path / RUN).read_text(encoding="utf-8"))
    except FileNotFoundError:
        what = f"has no {RUN}" if path.is_dir() else "does not exist"
        raise RunError(f"there is no run to resume in {path}: it {what}") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path / RUN} cannot be read ({error}): begin another run") from None
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        found = stored.get("format") if isinstance(stored, dict) else None
        raise RunError(f"{path / RUN} has format {found!r}; this carom reads format {FORMAT}")
    if not isinstance(stored.get("identity"), dict) or not isinstance(stored.get("versions"), dict):
        raise RunError(f"{path / RUN} is damaged: it does not say what the run is. Begin another run")
    return stored


def _lock(path: Path) -> int:
    """A file handle that holds the folder until it is closed or the process ends, however it ends."""
    if fcntl is None:  # pragma: no cover
        raise RunError("runs need file locks (fcntl), which this operating system does not have")
    try:
        handle = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise OutputError(f"cannot write to run folder {path}: {error.strerror}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = ""
        with suppress(OSError):
            holder = os.read(handle, 64).decode(errors="replace").strip()
        os.close(handle)
        who = f"process {holder}" if holder else "another process"
        raise RunError(f"run folder {path} is in use by {who}: wait for it, or end it first") from None
    os.truncate(handle, 0)
    os.write(handle, f"{os.getpid()}\n".encode())
    return handle


def _difference(theirs: Any, ours: Any, path: str = "") -> str:
    """Phrase on the first entry in which two identities differ."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted({*theirs, *ours}):
            if theirs.get(key) != ours.get(key):
                return _difference(theirs.get(key), ours.get(key), f"{path}.{key}" if path else key)
    return f"{path} is {theirs!r} in the checkpoint and {ours!r} in the run"
