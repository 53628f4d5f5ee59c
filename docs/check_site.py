"""Check a built site: every internal link and picture is there; with ``--browser`` also that no page has an error.

    mkdocs build --strict && python docs/check_site.py site
    python docs/check_site.py site --browser [--pictures FOLDER]

``--browser`` opens every page in a headless Chromium (Playwright, ``chromium`` on the path), 1280 and 400 pixels
wide. It fails at an error on the console, a file that is not there, a request that leaves the site, and a page that
must be scrolled sideways. ``--pictures`` keeps pictures of some pages.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

WIDTHS = (1280, 400)
SHOWN = ("", "start/", "concepts/gradients/", "reference/sim/", "tutorials/own_scene/", "measurements/chaos/")
"""Pages whose pictures are kept."""


class Page(HTMLParser):
    """Links and anchors of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collects ``href``, ``src``, ``id`` and ``name``."""
        for name, value in attrs:
            if value is not None and name in ("href", "src"):
                self.links.append(value)
            elif value is not None and name in ("id", "name"):
                self.anchors.add(value)


def broken_links(site: Path) -> list[str]:
    """Links within the site that lead nowhere, as "page: link"."""
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    broken = []
    for path, page in pages.items():
        if path.name == "404.html":  # its links begin at the root of a server
            continue
        for link in page.links:
            target, anchor = urldefrag(link)
            if urlparse(target).scheme or target.startswith("//"):
                continue
            file = (path.parent / unquote(target)).resolve() if target else path
            file = file / "index.html" if file.is_dir() else file
            missing = not file.exists()
            if missing or (anchor and file in pages and unquote(anchor) not in pages[file].anchors):
                broken.append(f"{path.relative_to(site.resolve())}: {link}")
    return broken


@contextmanager
def served(site: Path) -> Iterator[str]:
    """Address at which the site is served."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()


def browser_errors(site: Path, pictures: Path | None) -> list[str]:
    """Errors of all pages in a headless Chromium."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("no chromium on the path: apt-get install chromium")
    errors: list[str] = []
    paths = sorted(path.parent.relative_to(site).as_posix() for path in site.rglob("index.html"))
    with served(site) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        for width in WIDTHS:
            tab = browser.new_page(viewport={"width": width, "height": 900})
            tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
            tab.on("pageerror", lambda error: errors.append(str(error)))
            tab.on("response", lambda answer: errors.append(answer.url) if answer.status >= 400 else None)
            tab.on("request", lambda r: None if r.url.startswith((address, "data:", "blob:")) else errors.append(r.url))
            for path in paths:
                name, before = "" if path == "." else f"{path}/", len(errors)
                tab.goto(address + name, wait_until="load")
                if tab.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1"):
                    errors.append(f"wider than {width} pixels")
                errors[before:] = [f"{name or 'index'}: {error}" for error in errors[before:]]
                if pictures is not None and name in SHOWN:
                    pictures.mkdir(parents=True, exist_ok=True)
                    tab.screenshot(path=pictures / f"{name.strip('/').replace('/', '-') or 'index'}-{width}.png")
            tab.close()
        browser.close()
    return errors


def main() -> None:
    """Print what is broken; ends with code 1 where something is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=Path)
    parser.add_argument("--browser", action="store_true")
    parser.add_argument("--pictures", type=Path)
    given = parser.parse_args()
    if not (given.site / "index.html").exists():
        raise SystemExit(f"{given.site} has no index.html: run mkdocs build first")
    found = broken_links(given.site)
    if given.browser:
        found += browser_errors(given.site.resolve(), given.pictures)
    print("\n".join(found) if found else f"{len(list(given.site.rglob('*.html')))} pages, no broken link")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
