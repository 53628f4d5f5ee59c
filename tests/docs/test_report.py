"""Code that docs/howto/report.md shows is run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_script_of_the_report_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "howto" / "report.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    names: dict = {}
    exec(compile(block, "report.md", "exec"), names)
    # the step lies at theta: only values see it, and its smoothed slope is 1 / (0.1 sqrt(2 pi)) = 3.99
    assert names["result"].advice.estimate.backend == "smoothing"
    assert names["result"].comparison.reference.gradient[0] == pytest.approx(3.99, rel=0.1)
    assert (tmp_path / "out" / "report.html").exists()


def test_the_gallery_has_its_pictures_and_they_are_small() -> None:
    text = (ROOT / "docs" / "gallery.md").read_text()
    shown = re.findall(r"!\[[^\]]{20,}\]\((images/[\w.-]+)\)", text)
    assert len(shown) >= 8
    sizes = [(ROOT / "docs" / name).stat().st_size for name in shown]
    assert sum(sizes) < 1_500_000
    assert text.count("![") == len(shown)  # every picture says what is in it
