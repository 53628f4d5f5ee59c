"""Hooks of the documentation site: where the API reference finds the code, and pages that are files of the root."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
API = ROOT / ".api"
"""Folder in which the folders of the repository lie as they do when installed: ``carom/sim``, ``carom/envs``, ..."""


def on_startup(command: str, dirty: bool) -> None:
    """Links ``.api/carom`` together; mkdocstrings reads the sources there, without importing them.

    Before its own ``on_config``, in which it leaves out folders that are not there.
    """
    package = API / "carom"
    package.mkdir(parents=True, exist_ok=True)
    sources = [*(ROOT / "carom").iterdir(), *(ROOT / name for name in ("envs", "gradients", "kernels", "sim"))]
    for old in package.iterdir():
        old.unlink()
    for source in sources:
        if source.name != "__pycache__":
            (package / source.name).symlink_to(source)


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """``docs/changelog.md`` and ``docs/dev/contributing.md`` show files of the root, with links that fit."""
    shown = {"changelog.md": "CHANGELOG.md", "dev/contributing.md": "CONTRIBUTING.md"}.get(page.file.src_uri)
    if shown is None:
        return markdown
    text = (ROOT / shown).read_text(encoding="utf-8")
    up = "../" * page.file.src_uri.count("/")
    text = re.sub(r"\]\(docs/", f"]({up}", text)
    return text.replace("](CHANGELOG.md)", f"]({up}changelog.md)")
