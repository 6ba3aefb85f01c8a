"""A real Chromium without a window, driven by playwright; tests that need it are skipped where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FOUND = os.environ.get("VSAPISR_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
needs_chromium = pytest.mark.skipif(
    FOUND is None or find_spec("playwright") is None, reason="no Chromium or no playwright here"
)
LOADED = "() => [...document.images].length > 0 && [...document.images].every(i => i.complete && i.naturalWidth > 0)"


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=FOUND, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def shown(browser: Any, path: Path, width: int = 1280, height: int = 900, scheme: str = "light") -> Iterator[Any]:
    """A page from a file with all its images; its ``log`` gets what the console says and what is asked of others."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    try:
        page = context.new_page()
        page.log = []
        page.on("console", lambda one: page.log.append(one.text))
        page.on("pageerror", lambda error: page.log.append(str(error)))
        page.on("request", lambda one: page.log.append(one.url) if not own(one.url, path) else None)
        page.goto(path.as_uri())
        page.wait_for_function(LOADED)
        yield page
    finally:
        context.close()


def own(url: str, path: Path) -> bool:
    """Is it the page itself, or something in it?"""
    return url == path.as_uri() or url.startswith(("data:", "blob:"))
