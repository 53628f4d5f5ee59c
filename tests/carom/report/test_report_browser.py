"""The page in a real browser, opened from the disk without a network."""

from __future__ import annotations

import pytest
from browser import browser, needs_browser, picture, watched  # noqa: F401

from ..conftest import Run


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_shows_every_figure_and_no_error(reported: Run, browser, scheme: str) -> None:  # noqa: F811
    with watched(browser, width=1100, height=800, offline=True) as page:
        page.emulate_media(color_scheme=scheme)
        page.goto((reported.folder / "report.html").resolve().as_uri())
        kinds = [kind for kind in reported.results["figures"] if kind != "compare"]
        shown = page.eval_on_selector_all(
            "figure img", "all => all.map(i => [i.closest('figure').id, i.complete, i.naturalWidth, i.clientWidth])"
        )
        assert [name for name, *_ in shown] == [f"figure-{kind}" for kind in kinds]
        for name, complete, natural, width in shown:
            assert complete, name
            assert natural > 200, name
            assert 200 < width <= 1100, name
        assert page.evaluate("document.documentElement.scrollWidth") <= 1100  # nothing sticks out
        for kind in ("scene", "curves"):
            drawn = picture(page.locator(f"#figure-{kind} img"))
            assert drawn.std() > 5.0
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(23, 24, 26)")
        assert page.locator("p.lead").inner_text() == reported.results["advice"]["headline"]
