"""Folders of runs: the entries of ``results.json`` on the recordings beside it, written, and checked when read.

The key ``recordings`` of ``results.json`` lists the recordings (``recording_entry`` makes an entry):

    {"label": str, "file": name of an .npz in the folder, "cost": number or null,
     "way_points": [[x, y], ...] or null, "gradients": {backend: [[gx, gy], ...]} or null,
     "curve": [[rollouts, cost], ...] or null}

and the key ``scene`` may hold the goal and the colours of its picture:

    {"goal": [[x, y], ...] or null, "colors": {body: color} or null}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np

from .output_folder import LAST

if TYPE_CHECKING:
    from ..sim import Recording

__all__ = ["LoadedRun", "RunEntry", "RunFolderError", "load_run", "recording_entry", "scene_entry", "unique_labels"]

FORMATS = (1, 2)
"""Versions of ``results.json`` that are read: 1 of runs, optimizations and training, 2 of comparisons; their recordings
are listed alike."""


class RunFolderError(ValueError):
    """A run folder that cannot be read; the message names the file, the likely cause and a way out."""


@dataclass(frozen=True, eq=False)
class RunEntry:
    """One recording of a run, with its label, cost, way-points, gradients and curve."""

    label: str
    """A backend's name, or another one."""
    file: Path
    recording: Recording
    cost: float | None = None
    way_points: np.ndarray | None = None
    """Points that the parameters place, [n, 2], m."""
    gradients: Mapping[str, np.ndarray] = field(default_factory=dict)
    """The cost's gradient with respect to the way-points by backend, [n, 2]."""
    curve: np.ndarray | None = None
    """Curve of an optimization: rollouts spent and cost, [n, 2]; a cost is nan where it was not finite."""


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """Contents of a run folder, or a recording on its own."""

    path: Path
    entries: tuple[RunEntry, ...]
    goal: np.ndarray | None = None
    """Outline of a goal, [n, 2], m."""
    colors: Mapping[str, str] = field(default_factory=dict)
    """Colours of bodies by name."""


def recording_entry(
    label: str,
    file: str,
    cost: float | None = None,
    way_points: Any = None,
    gradients: Mapping[str, Any] | None = None,
    curve: Any = None,
) -> dict[str, Any]:
    """An entry of the key ``recordings``, for ``write_json``.

    Args:
        label: The name that a viewer shows: a backend's, where the run is one of a backend.
        file: Name of the .npz file, in the folder itself.
        cost: Cost of the run.
        way_points: Points that its parameters place, [n, 2], m.
        gradients: The cost's gradient with respect to the way-points by backend, [n, 2] each.
        curve: Rollouts spent and cost, [n, 2].
    """
    return {
        "label": label, "file": file, "cost": cost, "way_points": way_points, "gradients": gradients, "curve": curve
    }  # fmt: skip


def scene_entry(objective: Any) -> dict[str, Any]:
    """The key ``scene`` of an objective, from its capabilities."""
    from ..capabilities import scene_of

    return dict(scene_of(objective))


def load_run(path: str | Path) -> LoadedRun:
    """Read a run folder, or one recording (.npz). Nothing in them is executed.

    Raises:
        RunFolderError: There is nothing at ``path``; the folder is not whole, from another version, names files outside
            of it, or has entries that do not fit the recordings.
        RecordingError: A recording is missing, damaged, from another version, or its arrays do not fit its scene.
    """
    from ..sim import Recording

    path = Path(path)
    if not path.exists():
        raise RunFolderError(f"there is no run {path}: name a folder that carom wrote, or a recording (.npz)")
    if not path.is_dir():
        return LoadedRun(path, (RunEntry(path.stem, path, Recording.load(path)),))
    where = path / LAST
    content = _read(where, path)
    version = content.get("format")
    if version not in FORMATS:
        raise RunFolderError(
            f"{where} is of format {version!r}, and this carom reads {FORMATS[0]} and {FORMATS[1]}: run it anew, or "
            "use the carom that wrote it"
        )
    listed = content.get("recordings")
    if not isinstance(listed, list) or not listed:
        raise RunFolderError(
            f"{where} lists no recordings: the folder is from a command that keeps none (`carom run` does), or from an "
            "earlier carom. Open a recording (.npz) itself, or run it anew"
        )
    scene = content.get("scene") or {}
    if not isinstance(scene, dict):
        raise _unfit(where, "scene", "is not an object")
    goal = None if scene.get("goal") is None else _numbers(scene["goal"], where, "scene.goal")
    colors = scene.get("colors") or {}
    if not isinstance(colors, dict) or not all(_is_color(color) for color in colors.values()):
        raise _unfit(where, "scene.colors", "names no colours of bodies")
    return LoadedRun(path, tuple(_entry(raw, i, path, where) for i, raw in enumerate(listed)), goal, colors)


def _read(where: Path, folder: Path) -> dict[str, Any]:
    def refuse(token: str) -> Any:
        raise ValueError(f"{token} is not JSON")

    try:
        content = json.loads(where.read_text(encoding="utf-8"), parse_constant=refuse)
    except FileNotFoundError:
        raise RunFolderError(
            f"{folder} has no {LAST}, which is written last: the run was cut short or is still going on, or this "
            "is not a folder of a run. Run it anew, or open a recording (.npz) itself"
        ) from None
    except OSError as error:
        raise RunFolderError(f"cannot read {where}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise RunFolderError(f"{where} is damaged, it is not JSON ({error}): run it anew") from None
    if not isinstance(content, dict):
        raise RunFolderError(f"{where} was not written by carom: it holds no object. Name a folder that carom wrote")
    return content


def _entry(raw: Any, number: int, folder: Path, where: Path) -> RunEntry:
    from ..sim import Recording

    key = f"recordings[{number}]"
    if not isinstance(raw, dict):
        raise _unfit(where, key, "is not an object")
    label, file = raw.get("label"), raw.get("file")
    if not isinstance(label, str) or not label:
        raise _unfit(where, f"{key}.label", "is not a name")
    if not isinstance(file, str) or not file:
        raise _unfit(where, f"{key}.file", "is not the name of a file")
    if _leaves(file, folder):
        raise RunFolderError(
            f"{where} names the file {file!r}, which is not in the folder: carom writes no such names. It was changed "
            "by hand, or the folder was copied without what its links lead to; run it anew"
        )
    way_points = None if raw.get("way_points") is None else _numbers(raw["way_points"], where, f"{key}.way_points")
    gradients = raw.get("gradients") or {}
    if not isinstance(gradients, dict):
        raise _unfit(where, f"{key}.gradients", "is not an object")
    slopes = {name: _numbers(value, where, f"{key}.gradients.{name}") for name, value in gradients.items()}
    for name, slope in slopes.items():
        if way_points is None or len(slope) != len(way_points):
            points = "no way-points" if way_points is None else f"{len(way_points)} way-points"
            raise _unfit(where, f"{key}.gradients.{name}", f"has {len(slope)} arrows for {points}")
    cost = raw.get("cost")
    if cost is not None and (isinstance(cost, bool) or not isinstance(cost, (int, float))):
        raise _unfit(where, f"{key}.cost", "is not a number")
    curve = _numbers(raw["curve"], where, f"{key}.curve", gaps=True) if raw.get("curve") else None
    if curve is not None and (np.diff(curve[:, 0]) < 0.0).any():
        raise _unfit(where, f"{key}.curve", "does not count rollouts upwards")
    return RunEntry(
        label, folder / file, Recording.load(folder / file), None if cost is None else float(cost), way_points, slopes,
        curve,
    )  # fmt: skip


def _leaves(file: str, folder: Path) -> bool:
    """Whether a name leads out of the folder, on any system, or through a link."""
    if PurePosixPath(file).is_absolute() or PureWindowsPath(file).anchor or "\0" in file:
        return True
    if ".." in PurePosixPath(file).parts or ".." in PureWindowsPath(file).parts:
        return True
    return not (folder / file).resolve().is_relative_to(folder.resolve())


def _numbers(value: Any, where: Path, key: str, gaps: bool = False) -> np.ndarray:
    """Pairs of finite numbers, [n, 2]; with ``gaps`` the second of a pair may be missing."""
    try:
        array = np.array(value, dtype=float)
    except (ValueError, TypeError):
        array = np.zeros(0)
    if array.ndim != 2 or array.shape[1] != 2 or not len(array) or not np.isfinite(array[:, : 2 - gaps]).all():
        raise _unfit(where, key, "is not a list of pairs of numbers")
    return array


def _is_color(value: Any) -> bool:
    from matplotlib.colors import is_color_like

    return isinstance(value, str) and is_color_like(value)


def _unfit(where: Path, key: str, what: str) -> RunFolderError:
    return RunFolderError(f"{where}: {key} {what}. It was changed by hand, or is from another carom: run it anew")


def unique_labels(folders: Sequence[LoadedRun]) -> list[str]:
    """A name for every recording of several folders, no two alike: labels, with the folder's name where needed."""
    plain = [(folder.path.stem, entry.label) for folder in folders for entry in folder.entries]
    given = [label for _, label in plain]
    names = [label if label == owner or given.count(label) == 1 else f"{owner}: {label}" for owner, label in plain]
    return [name if names.count(name) == 1 else f"{name} ({names[:i].count(name) + 1})" for i, name in enumerate(names)]
