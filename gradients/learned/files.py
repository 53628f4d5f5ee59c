"""Fitted models on disk: a header of plain JSON and arrays of numbers in an npz file; nothing in it can be executed."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...files.atomic import atomic_file
from ..core.errors import GradientError

__all__ = ["read_model", "require", "write_model"]

VERSION = 1
"""Version of the format. A file of another version is refused."""

_HEADER = "header"


def write_model(path: str | Path, kind: str, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a model beside its final name and move it there, so that no reader finds part of a file.

    Args:
        path: The file; its folder is made.
        kind: Kind of content, e.g. ``"objective surrogate"``.
        header: Plain numbers, strings, lists and dicts.
        arrays: Numbers by name.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format": "carom model", "version": VERSION, "kind": kind, **header}, allow_nan=False)
    everything: dict[str, Any] = {_HEADER: np.frombuffer(text.encode(), dtype=np.uint8), **arrays}
    with atomic_file(target) as file:
        np.savez(file, **everything)


def read_model(path: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays of a file of ``write_model``; every array is of finite numbers.

    Raises:
        FileNotFoundError: There is no such file.
        GradientError: The file is damaged, not a model, of another version or of another kind.
    """
    try:
        with open(path, "rb") as raw:
            if raw.read(2) != b"PK":  # of a zip archive: anything else numpy would take for a single array or a pickle
                raise ValueError("it is not an npz archive")
        with np.load(path, allow_pickle=False) as file:
            if _HEADER not in file.files:
                raise ValueError("it has no header")
            header = json.loads(bytes(file[_HEADER]).decode())
            arrays = {name: file[name] for name in file.files if name != _HEADER}
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise GradientError(
            f"{path} is not a model that can be read ({error}): it is damaged or something else; fit again and save it"
        ) from None
    require(isinstance(header, dict) and header.get("format") == "carom model", path, "it is not a model of carom")
    found = header.get("version")
    require(found == VERSION, path, f"its format is version {found!r}, this carom reads version {VERSION}")
    require(header.get("kind") == kind, path, f"it holds a {header.get('kind')!r}, not a {kind!r}")
    for name, array in arrays.items():
        fine = array.dtype.kind in "fiub" and bool(np.isfinite(array).all())
        require(fine, path, f"its array {name!r} is not of finite numbers")
    return header, arrays


def require(condition: bool, path: str | Path, problem: str) -> None:
    """Refuse a file with the reason and the way out."""
    if not condition:
        raise GradientError(f"{path} cannot be used: {problem}; fit again and save it")
