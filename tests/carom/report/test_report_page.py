"""The page: read back as a browser would, and held against results.json."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

import carom
from carom.api.compare import FILES
from carom.files.run_folder import load_run
from carom.report.figures.all import KINDS
from carom.report.table import HEADS

from ..conftest import Run, load, run_cli

VOID = {"meta", "link", "img", "br"}
FIELDS = (
    "value", "norm", "cosine", "relative_error", "standard_error_norm", "trace_variance", "evaluations",
)  # fmt: skip
"""Fields of results.json in the columns; the seconds are under timings."""


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
    """Numbers of the table of the comparison, the first of the page, by the row's name."""
    found: dict[str, list[float | None]] = {}
    tables = 0
    for tag, attributes, text, _ in page.elements:
        tables += tag == "table"
        if tables > 1:
            break
        if tag == "th" and attributes.get("scope") == "row":
            found["".join(text)] = current = []
        elif tag == "td":
            current.append(None)
        elif tag == "data":
            current[-1] = float(attributes["value"])
    return found


def test_every_figure_is_there_with_caption_and_alt(reported: Run) -> None:
    page = read(reported.folder)
    kinds = [kind for kind in reported.results["figures"] if kind != "compare"]
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


def test_what_is_missing_is_listed_with_its_reason(tmp_path: Path) -> None:
    result = carom.compare(carom.envs.make("gap_push"), backends=["autodiff"], rollouts=200)
    result.save(tmp_path / "out")
    results = load(tmp_path / "out")
    assert {"scene", "landscape", "samples"} <= set(results["omitted"])
    assert set(results["omitted"]).isdisjoint(results["figures"])
    named = [text for _, text in read(tmp_path / "out").all("dt")]
    assert all(kind in named for kind in results["omitted"])
    assert all(len(reason.split()) > 4 for reason in results["omitted"].values())


def test_a_whole_report_shows_every_kind_of_figure(reported: Run) -> None:
    assert reported.results["omitted"] == {}
    assert set(reported.results["figures"]) == {"compare", *KINDS}
    for kind in reported.results["figures"]:
        assert (reported.folder / f"{kind}.png").stat().st_size > 5000
        assert f"{kind}.svg" in FILES
    (nothing,) = [text for _, text in read(reported.folder).all("p") if text.startswith("Nothing")]
    assert "above" in nothing


def test_recordings_are_the_rollouts_that_the_entries_describe(reported: Run) -> None:
    task = carom.envs.make("push", duration=1.0, step=0.01)
    entries = {entry["label"]: entry for entry in reported.results["recordings"]}
    assert list(entries) == ["start", "autodiff", "smoothing"]
    for label, entry in entries.items():
        recording = carom.Recording.load(reported.folder / entry["file"])
        theta = torch.tensor(entry["way_points"]).reshape(1, -1)
        again = task.rollout(theta).body_q[:, 0]
        torch.testing.assert_close(torch.from_numpy(recording.body_q[:, 0]), again, atol=2e-5, rtol=0)
        assert float(task(theta)) == pytest.approx(entry["cost"], abs=1e-4)
        if label != "start":
            best = min(cost for _, cost in entry["curve"])  # torch's atan2 rounds otherwise in a larger batch
            assert entry["cost"] == pytest.approx(best, rel=1e-5)
            assert entry["curve"][0] == [0.0, pytest.approx(entries["start"]["cost"], abs=1e-4)]
    assert [one.label for one in load_run(reported.folder).entries] == list(entries)  # what carom view opens
    exact = reported.results["backends"][0]
    assert exact["name"] == "autodiff"
    shown = torch.tensor(entries["start"]["gradients"]["autodiff"]).flatten().tolist()
    assert shown == pytest.approx(exact["gradient"], rel=1e-5)  # the way-points are the parameters


def test_studies_in_results_are_those_of_their_own_rollouts(reported: Run) -> None:
    """The middle arrow is the gradient at theta, and the reference of the last horizon that of the whole task."""
    studies = reported.results["studies"]
    middle = studies["field"]["gradients"]["autodiff"]
    half = len(middle) // 2
    exact = reported.results["backends"][0]["gradient"]
    axes = studies["field"]["axes"]
    assert middle[half][half] == pytest.approx([exact[i] for i in axes], rel=1e-4)
    horizon = studies["sweeps"]["horizon"]
    assert horizon["values"][-1] == 100
    assert horizon["norms"][-1] == pytest.approx(reported.results["reference"]["norm"], rel=0.5)
    assert studies["sweeps"]["stiffness"]["values"] == pytest.approx([1e3, 1e4, 1e5])
    assert len(studies["diagnosis"]["gradient_norm_by_step"]) == 100


def test_numbers_of_the_table_are_those_of_results(reported: Run) -> None:
    found = rows(read(reported.folder))
    entries = [reported.results["reference"], *reported.results["backends"]]
    assert list(found) == [entry["name"] for entry in entries]
    seconds = reported.results["timings"]["estimates"]
    for entry in entries:
        expected = [entry[field] for field in FIELDS]
        if entry["name"] == "reference":
            expected[2:4] = [None, None]  # it is not held against itself
        assert found[entry["name"]][: len(HEADS)] == [*expected, seconds[entry["name"]]]


def test_summary_says_what_results_say(reported: Run) -> None:
    page = read(reported.folder)
    (lead,) = [text for attributes, text in page.all("p") if attributes.get("class") == "lead"]
    assert lead == reported.results["advice"]["headline"]
    shown = [text for _, text in page.all("li")]
    assert shown == reported.results["advice"]["reasons"]
    names = [entry["name"] for entry in reported.results["backends"]]
    assert reported.results["advice"]["descend"]["backend"] in names


def test_nothing_is_loaded_from_elsewhere_and_the_size_is_bounded(reported: Run) -> None:
    text = (reported.folder / "report.html").read_text()
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
    assert result.advice.descend.backend == "smoothing"


def test_no_report_leaves_the_rest(tmp_path: Path) -> None:
    run_cli("compare", "quadratic", "--out", tmp_path / "out", "--no-report", "--backends", "autodiff")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert "report.html" not in names
    assert {"results.json", "compare.png", "slice.svg"} <= names
    assert load(tmp_path / "out")["advice"]["descend"]["backend"] == "autodiff"


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
