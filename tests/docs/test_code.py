"""Code on the pages of the documentation: Python is run, output that is shown is compared, commands are parsed."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import sys
import types
from pathlib import Path

import pytest
import torch
import tyro
from doc_pages import ROOT, SLOW, blocks_of, name_of, pages, same_output

import carom
from carom.cli import Command

TESTED_ELSEWHERE = {"tutorials/own_backend.md", "howto/report.md"}
"""test_own_backend.py installs the page's file as a package first, and test_report.py looks at the report."""

WITH_CODE = [page for page in pages() if any(block.language == "python" for block in blocks_of(page))]


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=name_of(page), marks=[pytest.mark.slow] if SLOW in page.read_text() else [])
        for page in WITH_CODE
        if name_of(page) not in TESTED_ELSEWHERE
    ],
)
def test_python_runs_and_prints_what_is_shown(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks of a page share their names and a folder; a ``text`` block after one is what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for package in re.findall(r"<!-- needs (\w+) -->", page.read_text()):
        pytest.importorskip(package, reason=f"{package} is not installed: pip install {package}")
    threads, modules = torch.get_num_threads(), set(sys.modules)
    names = types.ModuleType("page")  # dataclasses look their module up
    monkeypatch.setitem(sys.modules, "page", names)
    printed = ""
    try:
        for block in blocks_of(page):
            if block.language == "python":
                if block.not_run:
                    printed = None
                    continue
                if block.title:
                    (tmp_path / block.title).write_text(block.text)
                out = io.StringIO()
                code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
                with contextlib.redirect_stdout(out):
                    exec(code, names.__dict__)
                printed = out.getvalue()
            elif block.language == "text" and printed:
                fault = same_output(block.text, printed)
                assert fault is None, f"{name_of(page)}, line {block.line}: {fault}"
                printed = ""
    finally:
        torch.set_num_threads(threads)
        if "jax" in sys.modules:
            sys.modules["jax"].config.update("jax_enable_x64", False)
        for new in set(sys.modules) - modules:
            if str(tmp_path) in str(getattr(sys.modules[new], "__file__", "")):
                del sys.modules[new]


def test_few_blocks_are_not_run() -> None:
    """Each says why."""
    skipped = [
        f"{name_of(page)}:{block.line}" for page in WITH_CODE for block in blocks_of(page) if block.not_run is not None
    ]
    assert len(skipped) <= 4, skipped


def commands() -> list[tuple[str, int, str]]:
    """Lines of shell blocks, continued lines joined."""
    found = []
    for page in [*pages(), ROOT / "README.md"]:
        for block in blocks_of(page):
            if block.language in ("bash", "sh", "shell"):
                text = block.text.replace("\\\n", " ")
                found += [(page.name, block.line, line.strip()) for line in text.splitlines() if line.strip()]
    return found


def is_command(arguments: list[str]) -> bool:
    """Whether ``carom`` takes these arguments; nothing is run."""
    try:
        tyro.cli(Command, args=arguments, console_outputs=False)
    except SystemExit as stop:
        return stop.code in (0, None)
    return True


def test_commands_exist_with_their_options() -> None:
    """``carom`` lines are parsed, files of ``python`` lines exist, extras are those of pyproject.toml."""
    extras = set(re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE))
    parsed = 0
    for page, line, command in commands():
        where = f"{page}, line {line}: {command}"
        for extra in re.findall(r"(?:carom|\.)\[([\w,]+)\]", command):
            assert set(extra.split(",")) <= extras, where
        for part in re.split(r"&&|;|\bdo\b", command):
            words = shlex.split(part, comments=True)
            if not words:
                continue
            if Path(words[0]).name == "carom" and len(words) > 1 and words[1] != "--version":
                arguments = [word.replace("$g", "lax") for word in words[1:]]
                assert is_command(arguments), where
                parsed += 1
            for word in words:
                if re.fullmatch(r"(examples|benchmarks|docs|tests)/[\w/]+\.py", word):
                    assert (ROOT / word).exists(), where
    assert parsed > 20


def test_files_that_pages_name_exist() -> None:
    """Names of files of the repository in code font: ``examples/...``, ``tests/...``, ``kernels/...``."""
    missing = []
    for page in pages():
        for name in re.findall(
            r"`((?:examples|benchmarks|tests|kernels|sim|gradients|envs|carom|docs)/[\w./]+)`", page.read_text()
        ):
            if not (ROOT / name).exists() and not list(ROOT.glob(f"{name}*")):
                missing.append(f"{name_of(page)}: {name}")
    assert not missing


def test_the_citation_is_of_this_version() -> None:
    assert f"\nversion: {carom.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_shown_output_is_compared() -> None:
    """The comparison itself sees another word and another number, and no rounding."""
    assert same_output("cost 1.00 m", "cost  1.001 m\n") is None
    assert "1.1" in (same_output("cost 1.00 m", "cost 1.1 m") or "")
    assert "other words" in (same_output("cost 1 m", "costs 1 m") or "")


@pytest.mark.parametrize("root", ["docs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_to_files_and_headings(root: str) -> None:
    """Relative links; those of the built site, with the API reference, are checked by docs/check_site.py."""
    wrong = []
    for page in pages() if root == "docs" else [ROOT / root]:
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            target, _, anchor = link.partition("#")
            if target.startswith(("http:", "https:", "mailto:")):
                continue
            file = (page.parent / target).resolve() if target else page
            if not file.exists():
                wrong.append(f"{page.name}: {link}")
            elif anchor and file.suffix == ".md" and not anchor.startswith("carom."):
                headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
                slugs = {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", h.lower())).strip("-") for h in headings}
                if anchor not in slugs:
                    wrong.append(f"{page.name}: {link}")
    assert not wrong
