"""Make examples/notebooks/ of the tutorials: text and code of each page as cells, without outputs.

    python docs/make_notebooks.py

A ``python`` block is a cell of code; one with a title is a cell that writes that file. What a block prints (``text``
after it) is left out, since the notebook prints it. A comment ``<!-- notebook: CODE -->`` is a cell that only the
notebook has, for a figure or a film.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NOTEBOOKS = HERE.parent / "examples" / "notebooks"
_PART = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```[ ]*$|^<!-- notebook: (.*?) -->$", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """Pages that become notebooks."""
    return sorted((HERE / "tutorials").glob("*.md"))


def cells_of(text: str) -> list[tuple[str, str]]:
    """Kind ("markdown" or "code") and source of each cell of a page."""
    cells: list[tuple[str, str]] = []
    prose, at, after_code = "", 0, False
    for part in _PART.finditer(text):
        between = text[at : part.start()]
        language, rest, block, extra = part[1], part[2] or "", part[3], part[4]
        printed = language == "text" and after_code and not between.strip()
        code = language == "python" or extra is not None
        prose += between
        if code:
            cells.append(("markdown", prose))
            prose = ""
            title = re.search(r'title="([^"]+)"', rest)
            source = extra if extra is not None else block
            cells.append(("code", f"%%writefile {title[1]}\n{source}" if title else source))
        elif not printed:
            prose += part[0]
        after_code, at = code, part.end()
    cells.append(("markdown", prose + text[at:]))
    plain = [(kind, re.sub(r"<!--.*?-->\n*", "", source, flags=re.DOTALL).strip("\n")) for kind, source in cells]
    return [(kind, source) for kind, source in plain if source.strip()]


def links(source: str) -> str:
    """Links of a page of docs/tutorials/ as seen from examples/notebooks/."""
    return re.sub(r"\]\((?!https?:|#)([^)]+)\)", lambda m: f"]({_from_notebooks(m[1])})", source)


def _from_notebooks(link: str) -> str:
    path = link[3:] if link.startswith("../") else f"tutorials/{link}"
    return f"../../docs/{path}"


def notebook(page: Path) -> str:
    """The notebook of a page, as text of an .ipynb file."""
    cells: list[dict[str, Any]] = []
    for number, (kind, source) in enumerate(cells_of(page.read_text(encoding="utf-8"))):
        text = links(source) if kind == "markdown" else source
        cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
        if kind == "code":
            cell |= {"execution_count": None, "outputs": []}
        cells.append(cell | {"source": text.splitlines(keepends=True)})
    language = {"name": "python"}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": language},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all notebooks."""
    NOTEBOOKS.mkdir(exist_ok=True)
    for page in pages():
        (NOTEBOOKS / f"{page.stem}.ipynb").write_text(notebook(page), encoding="utf-8")


if __name__ == "__main__":
    main()
