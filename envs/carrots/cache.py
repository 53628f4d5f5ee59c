"""Settled piles on disk, in the user's cache folder, since their simulation takes a while."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from ..._version import __version__
from ...files.atomic import atomic_file
from .cutting import Piece
from .spilling import Spill, spill

__all__ = ["CacheWarning", "cache_folder", "pile_key", "settled_pile"]

FORMAT = 1
"""Version of the cached piles. Raise it when the pile of the same description changes: another way of dropping it,
other contents of a file."""

VARIABLE = "CAROM_CACHE"
"""Environment variable that names another cache folder."""


class CacheWarning(UserWarning):
    """A cached file that could not be read or written; the result is right nevertheless."""


def cache_folder() -> Path:
    """The folder for cached files: $CAROM_CACHE or the user's cache folder of the platform."""
    chosen = os.environ.get(VARIABLE)
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("carom", appauthor=False))


def pile_key(pieces: tuple[Piece, ...], how: Spill) -> str:
    """A name for the pile: a hash of all that decides it. Another version of carom makes another one.

    (To the last digit a pile also depends on the processor; a cached one is used as it is.)
    """
    digest = hashlib.sha256()
    digest.update(json.dumps({"format": FORMAT, "carom": __version__, **asdict(how)}, sort_keys=True).encode())
    for piece in pieces:
        digest.update(np.ascontiguousarray(piece.vertices, dtype="<f8").tobytes())
    return digest.hexdigest()[:32]


def settled_pile(
    pieces: tuple[Piece, ...], how: Spill, make: Callable[[tuple[Piece, ...], Spill], np.ndarray] = spill
) -> np.ndarray:
    """The poses [n, 7] of ``spill(pieces, how)``, from the cache where they are there.

    A file that cannot be read, or does not hold such poses, is reported with a ``CacheWarning`` and made anew. So is a
    folder that cannot be written; the pile is then made each time.
    """
    key = pile_key(pieces, how)
    path = cache_folder() / "piles" / f"{key}.npz"
    try:
        return _read(path, len(pieces), key)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        warnings.warn(f"the cached pile {path} is damaged ({error}); it is made anew", CacheWarning, stacklevel=2)
    poses = make(pieces, how)
    try:
        _write(path, poses=poses, key=np.array(key))
    except OSError as error:
        warnings.warn(
            f"the pile could not be kept in {path.parent} ({error}); set {VARIABLE} to a folder that can be written",
            CacheWarning,
            stacklevel=2,
        )
    return poses


def _read(path: Path, count: int, key: str) -> np.ndarray:
    with np.load(path, allow_pickle=False) as file:
        poses, found = file["poses"], str(file["key"])
    if found != key:
        raise ValueError(f"it holds another pile, {found}")
    if poses.shape != (count, 7) or poses.dtype != np.float64 or not np.isfinite(poses).all():
        raise ValueError(f"its poses are of shape {poses.shape} and type {poses.dtype}, or not finite")
    if np.abs(np.linalg.norm(poses[:, 3:], axis=1) - 1.0).max() > 1e-6:
        raise ValueError("its quaternions are not of unit length")
    return poses


def _write(path: Path, **arrays: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        np.savez(file, **arrays)
