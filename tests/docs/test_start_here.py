"""``docs/start.md`` followed line by line: its commands in one folder, and what they print."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from doc_pages import DOCS, blocks_of, same_output

BLOCKS = list(blocks_of(DOCS / "start.md"))


def without_seconds(line: str) -> str:
    """A row of the table without its last column; any other line as it is."""
    row = re.fullmatch(r"( \w+ .*?) +\d+\.\d\d\s*", line)
    return row[1] if row else line


@pytest.mark.slow
def test_start_here(tmp_path: Path) -> None:
    """The installation is that of this environment; .ci/run makes a fresh one with the same command."""
    assert BLOCKS[0].language == "bash"
    assert ".venv/bin/pip install -e ." in BLOCKS[0].text
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "80",
    }
    assert shutil.which("carom", path=environment["PATH"])
    printed = ""
    for block in BLOCKS[1:]:
        if block.language == "python":
            (tmp_path / (block.title or "")).write_text(block.text)
            lines = [f"python {block.title}"]
        elif block.language == "bash":
            lines = block.text.splitlines()
        else:
            shown = [without_seconds(line) for line in block.text.splitlines() if line.strip(" ─")]
            got = [without_seconds(line) for line in printed.splitlines()]
            for line in shown:
                assert any(same_output(line, other) is None for other in got), f"{line!r} is not in\n{printed}"
            continue
        for line in lines:
            done = subprocess.run(
                line.split(), cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=900
            )
            printed = done.stdout
    assert (tmp_path / "third" / "report.html").exists()
    assert (tmp_path / "push.gif").stat().st_size > 1000
