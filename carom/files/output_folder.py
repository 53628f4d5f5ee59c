"""A folder that appears complete or not at all, and never replaces what carom did not write."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path

__all__ = ["LAST", "OutputError", "next_folder", "output_folder"]

LAST = "results.json"
"""The file that is put in place after all others: where it lies, the folder is complete."""


class OutputError(OSError):
    """A folder that cannot take the results; the message names it and a way out."""


def next_folder(name: str, root: Path = Path("carom-runs")) -> Path:
    """The first of ``root/name-1``, ``root/name-2``, ... that does not exist."""
    number = 1
    while (root / f"{name}-{number}").exists():
        number += 1
    return root / f"{name}-{number}"


@contextmanager
def output_folder(target: Path, *, overwrite: bool = False, ours: Collection[str] = ()) -> Iterator[Path]:
    """A staging folder to write into, which becomes ``target`` when the block ends without an exception.

    Everything that can be refused is refused on entry. On an exception in the block nothing of it stays on the disk; if
    only the last step fails, because someone else made ``target`` meanwhile, the staging folder stays and is named.

    Args:
        target: Folder to make, or an existing empty one.
        overwrite: Whether files of an earlier run in ``target`` may be replaced.
        ours: Names of the files that such a run may have left, or patterns of them (``*.npz``); any other entry in
            ``target`` is refused.

    Raises:
        OutputError: ``target`` exists and is not empty, or cannot be written.
    """
    target = Path(os.path.abspath(target))
    existing = _entries(target)
    if existing and not overwrite:
        raise OutputError(
            f"output folder {target} exists and is not empty: name another with --out, or add --overwrite to "
            "replace an earlier run in it"
        )
    foreign = [name for name in existing or () if not any(fnmatchcase(name, pattern) for pattern in ours)]
    if foreign:
        raise OutputError(
            f"output folder {target} holds {foreign[0]!r}, which carom did not write: --overwrite replaces the "
            "files of an earlier run only. Name another folder with --out"
        )
    made = _make_parents(target.parent, target)
    staging = None
    try:
        staging = _make_staging(target if existing is not None else target.parent, target)
        yield staging
    except BaseException:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        for folder in reversed(made):
            with suppress(OSError):
                folder.rmdir()
        raise
    try:
        _publish(staging, target, existing)
    except OSError as error:  # the work is done: keep it
        raise OutputError(f"cannot put the results into {target}: {error.strerror}. They are in {staging}") from None


def _entries(target: Path) -> list[str] | None:
    """Names in the folder; None where there is none."""
    try:
        return sorted(entry.name for entry in target.iterdir())
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        blocker = next(path for path in (target, *target.parents) if path.exists())
        raise OutputError(f"output folder {target}: {blocker} is a file. Name another folder with --out") from None
    except OSError as error:
        raise _unwritable(target, error) from None


def _make_parents(folder: Path, target: Path) -> list[Path]:
    missing = [path for path in (folder, *folder.parents) if not path.exists()][::-1]
    made: list[Path] = []
    try:
        for path in missing:
            path.mkdir()
            made.append(path)
    except OSError as error:
        for path in reversed(made):
            path.rmdir()
        raise _unwritable(target, error) from None
    return made


def _make_staging(where: Path, target: Path) -> Path:
    try:
        staging = where / f".carom-{secrets.token_hex(8)}"
        staging.mkdir()
    except OSError as error:
        raise _unwritable(target, error) from None
    try:
        (staging / "probe").write_bytes(b"\0" * 65536)  # a full disk shows here, not after the work
        (staging / "probe").unlink()
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise _unwritable(target, error) from None
    return staging


def _publish(staging: Path, target: Path, existing: list[str] | None) -> None:
    if existing is None:
        os.rename(staging, target)
        return
    written = sorted(os.listdir(staging), key=lambda name: (name == LAST, name))
    for name in ([LAST] if LAST in existing else []) + sorted(set(existing) - set(written) - {LAST}):
        (target / name).unlink()
    for name in written:
        os.replace(staging / name, target / name)
    staging.rmdir()


def _unwritable(target: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot write to output folder {target}: {error.strerror}. Name another folder with --out")
