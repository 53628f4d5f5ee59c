"""A headless Chromium for tests of pages: Debian's package, driven by Playwright. Nothing is downloaded.

Import ``browser`` (a fixture), ``needs_browser`` (a mark) and ``watched`` (a page that must stay without errors).
"""

from __future__ import annotations

import importlib.util
import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["browser", "missing", "needs_browser", "picture", "watched"]

_NAMES = ("chromium", "chromium-browser")
_OPTIONS = (
    "--no-sandbox",  # its sandbox does not start as root, nor in most containers
    "--disable-dev-shm-usage",  # /dev/shm is small in containers
    "--use-angle=swiftshader",  # WebGL without a GPU
    "--enable-unsafe-swiftshader",
)


def _chromium() -> str | None:
    return next(filter(None, map(shutil.which, _NAMES)), None)


def missing() -> str | None:
    """Reason why no browser starts here, and the way out; None where one starts."""
    if importlib.util.find_spec("playwright") is None:
        return "Playwright is not installed: pip install playwright (no browser of its own is needed)"
    if _chromium() is None:
        return "Chromium is not installed: apt-get install chromium"
    return None


needs_browser = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser a module: a session's would keep Playwright's event loop running beside all other tests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=_chromium(), args=list(_OPTIONS))
        yield chromium
        chromium.close()


@contextmanager
def watched(browser: Browser, width: int = 1000, height: int = 700, offline: bool = False) -> Iterator[Page]:
    """A new page that must stay without errors: messages of the console, exceptions, requests that fail.

    Args:
        browser: The fixture.
        width: [pixels]
        height: [pixels]
        offline: Cut off the network: a page from the disk must not need it.
    """
    context = browser.new_context(viewport={"width": width, "height": height}, offline=offline)
    page = context.new_page()
    page.set_default_timeout(20000)
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("requestfailed", lambda request: faults.append(f"{request.url}: {request.failure}"))
    try:
        yield page
        assert not faults, faults
    finally:
        context.close()


def picture(page: Page) -> np.ndarray:
    """Picture of the page, uint8 [height, width, 3]."""
    with Image.open(io.BytesIO(page.screenshot())) as image:
        return np.asarray(image.convert("RGB"))
