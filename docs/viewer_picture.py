"""The picture of docs/howto/view.md: a run in the viewer, in a headless Chromium.

    carom compare push --out push
    python docs/viewer_picture.py push docs/images/viewer.png

Needs viser, Playwright and Debian's Chromium.
"""

from __future__ import annotations

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from carom.viewer import view

_OPTIONS = ["--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


def main() -> None:
    """Open the run, go to the given part of its time, and take the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--part", type=float, default=1.0, help="of the run's time, 0 to 1")
    parser.add_argument("--port", type=int, default=8098)
    given = parser.parse_args()
    with view(given.run, port=given.port) as viewer, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=_OPTIONS)
        page = browser.new_page(viewport={"width": 1200, "height": 860})
        page.set_default_timeout(120000)
        page.goto(viewer.url)
        slider = page.get_by_role("slider").first
        slider.wait_for()
        box = slider.locator("xpath=../..").bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + given.part * box["width"], box["y"] + 0.5 * box["height"])
        page.get_by_role("alert").get_by_role("button").click()  # that it draws without a GPU
        page.wait_for_timeout(3000)
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        browser.close()
    picture.save(given.out, optimize=True)
    print(f"{given.out}: {given.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
