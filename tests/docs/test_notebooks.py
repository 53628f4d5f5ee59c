"""examples/notebooks/: made of today's tutorials, without outputs; they run, and show what they should."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
from doc_pages import ROOT

MAKE = runpy.run_path(str(ROOT / "docs" / "make_notebooks.py"))
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
PICTURES = {"own_scene": 2, "optimize": 1, "which_gradient": 1, "fit_data": 1}
"""Pictures that a notebook shows."""


def test_they_are_made_of_the_tutorials() -> None:
    """After a change of a tutorial: python docs/make_notebooks.py."""
    made = {page.stem: MAKE["notebook"](page) for page in MAKE["pages"]()}
    assert made == {path.stem: path.read_text(encoding="utf-8") for path in NOTEBOOKS}


def test_links_lead_somewhere_and_outputs_are_stripped() -> None:
    for path in NOTEBOOKS:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert not any(cell.get("outputs") for cell in cells)
        text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        for link in MAKE["re"].findall(r"\]\(([^)#]+)", text):
            assert link.startswith("http") or (path.parent / link).exists(), f"{path.name}: {link}"


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_they_run(path: Path, tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="pip install -e '.[docs]'")
    nbclient = pytest.importorskip("nbclient", reason="pip install -e '.[docs]'")
    content = nbformat.read(path, as_version=4)
    nbformat.validate(content)
    nbclient.NotebookClient(content, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in content.cells for output in cell.get("outputs", ())]
    pictures = [x for x in outputs if {"image/png", "image/gif"} & {*x.get("data", {})}]
    assert len(pictures) >= PICTURES.get(path.stem, 0)
    assert not [x for x in outputs if "CUDA" in x.get("text", "")]
