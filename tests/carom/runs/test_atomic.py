"""Files appear whole or not at all, with the mode that a plain ``open`` gives."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from carom.envs.carrots import cache
from carom.files.atomic import atomic_file, atomic_path
from carom.files.results import write_json
from carom.gradients.learned.files import write_model
from carom.runs.checkpoint import write_checkpoint

WRITERS: dict[str, Callable[[Path], object]] = {
    "bytes": lambda path: _write(path, b"1"),
    "json": lambda path: write_json(path, {"a": 1.0}),
    "checkpoint": lambda path: write_checkpoint(path, {"a": torch.ones(2)}),
    "model": lambda path: write_model(path, "test", {}, {"a": np.ones(2)}),
    "pile": lambda path: cache._write(path, poses=np.ones(3)),
}


def _write(path: Path, content: bytes) -> None:
    with atomic_file(path) as file:
        file.write(content)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_has_the_mode_of_a_plain_open(writer: str, umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        WRITERS[writer](tmp_path / "file.npz")
    finally:
        os.umask(before)
    assert [p.name for p in tmp_path.iterdir()] == ["file.npz"]
    assert stat.S_IMODE((tmp_path / "file.npz").stat().st_mode) == 0o666 & ~umask


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    _write(tmp_path / "a.bin", b"old")

    def stop_half_way() -> None:
        with atomic_path(tmp_path / "a.bin") as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_half_way()
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == b"old"


def test_many_threads_write_one_file(tmp_path: Path) -> None:
    contents = [bytes([i]) * 100_000 for i in range(8)]
    problems: list[BaseException] = []

    def work(content: bytes) -> None:
        try:
            for _ in range(10):
                _write(tmp_path / "a.bin", content)
                assert (tmp_path / "a.bin").read_bytes() in contents
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]
