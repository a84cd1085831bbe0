"""One browser for all of these tests, which therefore share one event loop."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest_asyncio
from playwright.async_api import expect

from simulator import Behaviour, running_simulator
from tests.acceptance.page.cable import Cable
from tests.acceptance.page.chromium import launched
from tests.acceptance.page.console import Console
from tests.harness.boxes import LocalParley

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, BrowserContext

    from config.settings import Settings
    from simulator import RunningSimulator

PATIENCE_MS = 30_000
SLOW = Behaviour(first_token_s=0.1, tokens_per_s=60, length=150)


class Server:
    """A Parley that can be stopped and started again: same port, same databases."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running = AsyncExitStack()
        self.port = settings.http.port
        self.url = f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        simulated = tuple(self._settings.providers)
        await self._running.enter_async_context(LocalParley(self._settings, simulated=simulated))

    async def stop(self) -> None:
        await self._running.aclose()


@pytest_asyncio.fixture(loop_scope="session")
async def simulator() -> AsyncIterator[RunningSimulator]:
    async with running_simulator(seed=1) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def server(settings: Settings) -> AsyncIterator[Server]:
    server = Server(settings)
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser() -> AsyncIterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    async with launched() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def window(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A person's browser: what it stores is its own; tabs are opened in it."""
    context = await browser.new_context(
        viewport={"width": 1280, "height": 800},
        permissions=["clipboard-read", "clipboard-write"],
    )
    context.set_default_timeout(PATIENCE_MS)
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def console(server: Server, window: BrowserContext) -> AsyncIterator[Console]:
    """The console, open and connected. At the end its page must have seen no error."""
    console = Console(await window.new_page())
    await console.open(server.url)
    yield console
    assert console.problems == []


@pytest_asyncio.fixture(loop_scope="session")
async def cable(server: Server) -> AsyncIterator[Cable]:
    async with Cable(server.port) as cable:
        yield cable


@pytest_asyncio.fixture(loop_scope="session")
async def remote_console(cable: Cable, window: BrowserContext) -> AsyncIterator[Console]:
    """The console at the end of a cable; what the page says of a missing network is forgiven."""
    console = Console(await window.new_page())
    await console.open(cable.url)
    yield console
    assert console.problems_online() == []
