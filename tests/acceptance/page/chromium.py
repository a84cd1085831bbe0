"""The browser that the tests look through."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from playwright.async_api import async_playwright

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome")
_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class NoBrowser(Exception):
    """The console's tests need Chromium: install it (Debian: apt install chromium)."""


def find() -> str:
    """The path of the browser's program. Raises NoBrowser."""
    for name in NAMES:
        path = shutil.which(name)
        if path is not None:
            return path
    raise NoBrowser(NoBrowser.__doc__)


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """A headless browser of its own, ended with the context."""
    path = find()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(_QUIET))
        try:
            yield browser
        finally:
            await browser.close()
