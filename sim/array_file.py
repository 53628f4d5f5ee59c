"""Files of named arrays with a format and a version. Nothing in them is executed."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..files.atomic import atomic_file

__all__ = ["DAMAGED", "read_arrays", "write_arrays"]

DAMAGED = (
    ValueError, TypeError, KeyError, IndexError, EOFError, NotImplementedError, RuntimeError, SyntaxError, MemoryError,
    zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError,
)  # fmt: skip
"""Errors of NumPy and zipfile at a damaged file, and of reading a part that is not there."""


def write_arrays(path: str | Path, what: str, version: int, entries: Mapping[str, Any], error: type[Exception]) -> Path:
    """Write a "carom ``what``" (.npz, no pickles) in one step: a reader finds all of it or nothing.

    Raises:
        error: The file cannot be written.
    """
    path = Path(path)
    try:
        with atomic_file(path) as file:
            np.savez_compressed(file, format=np.array(f"carom {what}"), version=np.array(version), **entries)
    except OSError as failed:
        raise error(f"cannot write the {what} {path}: {failed.strerror or failed}") from None
    return path


def read_arrays(path: str | Path, what: str, version: int, error: type[Exception]) -> dict[str, np.ndarray]:
    """The entries that ``write_arrays`` wrote.

    Raises:
        error: There is no such file, it is something else or damaged, or of another version.
    """
    path = Path(path)
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise ValueError("a single array")
        with file:
            found = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise error(f"there is no {what} {path}") from None
    except DAMAGED:
        raise error(f"{path} is not a carom {what}, or it is damaged") from None
    except OSError as failed:
        raise error(f"cannot read the {what} {path}: {failed.strerror or failed}") from None
    if str(found.get("format")) != f"carom {what}":
        raise error(f"{path} is not a carom {what}: it holds {', '.join(sorted(found)) or 'nothing'}")
    own = found.get("version", np.array("none")).tolist()
    if own != version:
        raise error(
            f"{path} is a {what} of version {own}, and this carom reads version {version}: make it anew, or use the "
            "carom that wrote it"
        )
    return found
