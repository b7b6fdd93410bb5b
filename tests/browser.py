"""A headless Chromium without a network, driven from tests; None of it where there is no browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")


def missing() -> str | None:
    """Why there is none, or None."""
    return None if any(map(shutil.which, NAMES)) else f"no browser: none of {', '.join(NAMES)} is installed"


@contextmanager
def chromium() -> Iterator[Any]:
    """A context of Playwright that is offline."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, NAMES)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser.new_context(offline=True, viewport={"width": 1400, "height": 1000})
        finally:
            browser.close()
