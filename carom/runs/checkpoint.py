"""A checkpoint file: whole or not there, checked when read, and nothing in it can be executed.

The first line is JSON: format, version, size and SHA-256 of the rest, which is torch's own format, read
with ``weights_only=True``: dicts, lists, tuples, numbers, strings, None and tensors. Numbers come back to the bit.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..files.atomic import atomic_file
from .errors import RunError

__all__ = ["FORMAT", "read_checkpoint", "write_checkpoint"]

FORMAT = 1
"""Version of the format. A file of another version is refused."""

_KIND = "carom checkpoint"


def write_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` to ``path`` in one step; whatever happens, the file there before stays or the new one is whole.

    Args:
        path: The file; its folder exists.
        content: Nested dicts, lists and tuples of tensors, numbers, strings and None: a module's or an optimizer's
            ``state_dict()`` too. NumPy arrays are refused when read: make tensors of them.

    Raises:
        RunError: The file cannot be written (a full disk, for one).
    """
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    body = buffer.getvalue()
    head = {"format": _KIND, "version": FORMAT, "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    try:
        with atomic_file(path) as file:
            file.write(json.dumps(head).encode() + b"\n")
            file.write(body)
    except OSError as error:
        kept = f"; the checkpoint before it is kept: {path}" if path.exists() else ""
        raise RunError(f"cannot write checkpoint {path}: {error.strerror}{kept}") from None


def read_checkpoint(path: Path, *, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Content that ``write_checkpoint`` wrote, its tensors on ``device``.

    Raises:
        FileNotFoundError: There is no such file.
        RunError: It cannot be read, is damaged, something else, or of another version.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from None
    line, _, body = data.partition(b"\n")
    try:
        head = json.loads(line)
    except ValueError:
        head = None
    if not (isinstance(head, dict) and head.get("format") == _KIND):
        raise RunError(f"{path} is not a checkpoint of carom, or its beginning is damaged")
    if head.get("version") != FORMAT:
        raise RunError(f"{path} has format {head.get('version')!r}; this carom reads format {FORMAT}")
    if len(body) != head.get("bytes") or hashlib.sha256(body).hexdigest() != head.get("sha256"):
        raise RunError(f"{path} is damaged: {len(body)} bytes of {head.get('bytes')}, or other ones than were written")
    try:
        content = torch.load(io.BytesIO(body), map_location=device, weights_only=True)
    except (RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} holds what a checkpoint may not: {str(error).splitlines()[0]}") from None
    if not isinstance(content, dict):
        raise RunError(f"{path} holds a {type(content).__name__}, not the content of a checkpoint")
    return content
