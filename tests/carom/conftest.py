"""One comparison of each kind, run once through the command and shared by the tests that read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from carom import cli


class Run(NamedTuple):
    folder: Path
    results: dict[str, Any]


PUSH_OPTIONS = ("--reference-samples", 64, "--samples", 64, "--rollouts", 400, "--no-report")
"""A comparison of seconds, and the same on every machine."""


def run_cli(*arguments: object) -> None:
    cli.main([str(argument) for argument in arguments])


def load(folder: Path) -> dict[str, Any]:
    def refuse(token: str) -> Any:
        raise ValueError(f"{token} is not JSON")

    return json.loads((folder / "results.json").read_text(), parse_constant=refuse)


@pytest.fixture(scope="session")
def gap_push(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "gap"
    run_cli(
        "compare", "gap_push", "--out", folder, "--samples", 4096, "--backends", "autodiff,smoothing,smoothing-first",
        "--no-report",
    )  # fmt: skip
    return Run(folder, load(folder))


@pytest.fixture(scope="session")
def push(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "push"
    run_cli("compare", "push", "--start", "apart", "--out", folder, *PUSH_OPTIONS)
    return Run(folder, load(folder))


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A whole report, of little effort."""
    folder = tmp_path_factory.mktemp("runs") / "reported"
    backends = ("--backends", "autodiff,smoothing")
    options = ("--options", "duration=1.0,step=0.01", "--samples", 32, "--rollouts", 200)
    run_cli("compare", "push", "--out", folder, *options, *backends)
    return Run(folder, load(folder))
