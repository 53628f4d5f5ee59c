"""The API reference has every public name."""

from __future__ import annotations

import importlib
import importlib.util
import re

import pytest
from doc_pages import DOCS

ENTRIES = [
    name
    for page in sorted((DOCS / "reference").glob("*.md"))
    for name in re.findall(r"^::: (\S+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
]
PACKAGES = (
    "carom", "carom.sim", "carom.gradients", "carom.gradients.policy", "carom.gradients.learned",
    "carom.gradients.diagnosis", "carom.envs", "carom.envs.control", "carom.envs.testbeds", "carom.envs.learned",
    "carom.jax", "carom.optimization", "carom.training", "carom.viewer", "carom.runs",
)  # fmt: skip
NO_ENTRY = {
    "rotations",
    "jax",
    "__version__",
    "envs",
    "gradients",
    "optimization",
    "runs",
    "sim",
    "testbeds",
    "training",
    "viewer",
    "CHECKPOINT",
    "RUN",
}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_the_reference(package: str) -> None:
    if package == "carom.jax":
        pytest.importorskip("jax", reason="JAX is not installed: pip install jax")
    shown = {name.rpartition(".")[2] for name in ENTRIES}
    assert not {*importlib.import_module(package).__all__} - shown - NO_ENTRY


def test_every_entry_exists() -> None:
    for entry in ENTRIES:
        module, _, name = entry.rpartition(".")
        if module == "carom.jax" and importlib.util.find_spec("jax") is None:
            continue
        assert hasattr(importlib.import_module(module), name), entry
