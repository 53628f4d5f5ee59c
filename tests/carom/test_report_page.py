"""The page: read back as a browser would, and held against results.json."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

import carom
from carom.report.table import HEADS

from .conftest import Run, load, run_cli

VOID = {"meta", "link", "img", "br"}
FIELDS = (
    "value", "norm", "cosine", "relative_error", "standard_error_norm", "trace_variance", "evaluations",
)  # fmt: skip
"""What stands in the columns, by its name in results.json; the seconds are under timings."""


class Page(HTMLParser):
    """Elements in order, with attributes and text; fails on tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str], list[str], tuple[str, ...]]] = []
        self._stack: list[int] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}, [], tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)
            self._stack.append(len(self.elements) - 1)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self._stack.pop()

    def handle_data(self, data: str) -> None:
        for index in self._stack:
            self.elements[index][2].append(data)

    def all(self, tag: str) -> list[tuple[dict[str, str], str]]:
        return [(attributes, "".join(text)) for name, attributes, text, _ in self.elements if name == tag]


def read(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def rows(page: Page) -> dict[str, list[float | None]]:
    """Numbers of the table by the row's name."""
    found: dict[str, list[float | None]] = {}
    for tag, attributes, text, _ in page.elements:
        if tag == "th" and attributes.get("scope") == "row":
            found["".join(text)] = current = []
        elif tag == "td":
            current.append(None)
        elif tag == "data":
            current[-1] = float(attributes["value"])
    return found


def test_every_figure_is_there_with_caption_and_alt(push: Run) -> None:
    page = read(push.folder)
    kinds = [kind for kind in push.results["figures"] if kind != "compare"]
    assert {"scene", "slice", "landscape", "parameters"} <= set(kinds)
    assert [attributes["id"] for attributes, _ in page.all("figure")] == [f"figure-{kind}" for kind in kinds]
    assert len(page.all("img")) == len(kinds)
    for number, (_, text) in enumerate(page.all("figcaption"), start=1):
        assert text.startswith(f"Figure {number}. ")
        assert len(text.split()) > 30
    for attributes, _ in page.all("img"):
        assert len(attributes["alt"].split()) >= 8
        kind, _, content = attributes["src"].partition(";base64,")
        start = {"data:image/png": b"\x89PNG", "data:image/svg+xml": b"<?xml"}[kind]
        assert base64.b64decode(content, validate=True).startswith(start)


def test_what_is_missing_is_listed_with_its_reason(gap_push: Run, push: Run) -> None:
    for run in (gap_push, push):
        page = read(run.folder)
        named = [text for _, text in page.all("dt")]
        assert all(kind in named for kind in run.results["omitted"])
        assert all(len(reason.split()) > 4 for reason in run.results["omitted"].values())
        assert set(run.results["omitted"]).isdisjoint(run.results["figures"])
    assert {"scene", "landscape"} <= set(gap_push.results["omitted"])


def test_numbers_of_the_table_are_those_of_results(push: Run) -> None:
    found = rows(read(push.folder))
    entries = [push.results["reference"], *push.results["backends"]]
    assert list(found) == [entry["name"] for entry in entries]
    seconds = push.results["timings"]["estimates"]
    for entry in entries:
        expected = [entry[field] for field in FIELDS]
        if entry["name"] == "reference":
            expected[2:4] = [None, None]  # it is not held against itself
        assert found[entry["name"]][: len(HEADS)] == [*expected, seconds[entry["name"]]]


def test_summary_says_what_results_say(push: Run) -> None:
    page = read(push.folder)
    (lead,) = [text for attributes, text in page.all("p") if attributes.get("class") == "lead"]
    assert lead == push.results["advice"]["headline"]
    shown = [text for _, text in page.all("li")]
    assert shown == push.results["advice"]["reasons"]
    assert push.results["advice"]["backend"] in [entry["name"] for entry in push.results["backends"]]


def test_nothing_is_loaded_from_elsewhere_and_the_size_is_bounded(push: Run) -> None:
    text = (push.folder / "report.html").read_text()
    assert len(text) < 10_000_000
    page = Page(text)
    for _, attributes, _, _ in page.elements:
        for name, value in attributes.items():
            if name in ("src", "href", "srcset", "data", "action", "poster"):
                assert value.startswith("data:"), (name, value[:80])
    assert not page.all("script")
    assert not re.search(r"https?://|@import|url\(", re.sub(r'base64,[^"]*', "", text))
    pictures = [
        base64.b64decode(a["src"].partition(";base64,")[2]) for a, _ in page.all("img") if "svg" in a["src"][:20]
    ]
    for picture in pictures:
        links = re.findall(rb'(?:href|src)="([^"]*)"', picture)
        assert all(link.startswith((b"#", b"data:")) for link in links)


class Hostile:
    """An objective whose words are markup."""

    name = "<script>alert('name')</script>"
    description = "</p><script>alert(1)</script>"
    parameter_names = ("<b>bold</b>", "\"><img src=x onerror='alert(2)'>")
    parameter_unit = "&<i>"

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        return theta.square().sum(1)


def test_markup_in_names_is_shown_as_text(tmp_path: Path) -> None:
    backends = {"</table><script>x</script>": carom.gradients.Autodiff()}
    result = carom.compare(Hostile(), torch.ones(2, dtype=torch.float64), backends=backends, rollouts=200)
    result.save(tmp_path / "out")
    page = read(tmp_path / "out")
    assert not page.all("script")
    assert not page.all("b")
    assert not page.all("i")
    assert all("onerror" not in attributes for _, attributes, _, _ in page.elements)
    assert page.all("h1")[0][1] == f"Gradient of {Hostile.name}"
    assert "</table><script>x</script>" in rows(page)
    fragment = Page(result._repr_html_())
    assert not fragment.all("script")
    assert len(fragment.all("img")) == 1
    assert "</table><script>x</script>" in rows(fragment)


def test_an_objective_of_ones_own_without_an_exact_gradient() -> None:
    def steps(theta: torch.Tensor) -> torch.Tensor:
        return (theta > 0.5).double().sum(1)

    theta = torch.full((2,), 0.5, dtype=torch.float64)
    result = carom.compare(steps, theta, backends=["autodiff", "smoothing"], scale=0.1, rollouts=400)
    words = next(cell for cell in Page(result._repr_html_()).all("td") if "no exact gradient" in cell[1])[1]
    assert "'steps'" in words
    assert result.advice.backend == "smoothing"


def test_no_report_leaves_the_rest(tmp_path: Path) -> None:
    run_cli("compare", "quadratic", "--out", tmp_path / "out", "--no-report", "--backends", "autodiff")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert "report.html" not in names
    assert {"results.json", "compare.png", "slice.svg"} <= names
    assert load(tmp_path / "out")["advice"]["backend"] == "autodiff"


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        (lambda theta: theta.sum(1) * float("nan"), "not finite"),
        (lambda theta: theta, "shape"),
        (lambda theta: theta.sum(), "shape"),
        (lambda theta: 1.0, "float"),
    ],
)
def test_costs_that_are_none_are_refused(cost, words: str) -> None:
    with pytest.raises(carom.gradients.GradientError, match=words):
        carom.compare(cost, torch.ones(2, dtype=torch.float64), backends=["smoothing"])


def test_an_exception_of_the_objective_comes_through() -> None:
    def broken(theta: torch.Tensor) -> torch.Tensor:
        raise ZeroDivisionError("in my simulator")

    with pytest.raises(ZeroDivisionError, match="in my simulator"):
        carom.compare(broken, torch.ones(2), backends=["smoothing"])
