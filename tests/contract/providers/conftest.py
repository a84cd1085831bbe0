"""Every adapter over its real SDK, against servers that speak its wire."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from actors.core.completion import CompletionRequest
from actors.core.messages import Turn
from actors.providers import registry
from config import settings
from simulator.server import running_simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from actors.core.completion import Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """A way to reach one simulated provider, named after the wire it speaks."""

    name: str
    kind: str
    api: str
    suffix: str

    def settings(self, server_url: str, **changed: Any) -> settings.Provider:
        return settings.Provider(
            kind=self.kind,
            api=self.api,
            base_url=f"{server_url}/{self.name}{self.suffix}",
            **{"api_key": "none", **changed},
        )


WIRES = {
    "gemini": Wire(name="gemini", kind="gemini", api="chat", suffix=""),
    "chat": Wire(name="chat", kind="openai", api="chat", suffix="/v1"),
    "responses": Wire(name="responses", kind="openai", api="responses", suffix="/v1"),
}


@dataclass(slots=True, kw_only=True)
class ScriptedServer:
    """Keeps what it is sent and answers every request with the same bytes.

    With a pause, the body's end follows that long after all else.
    """

    url: str = ""
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "text/event-stream"})
    pause_s: float = 0
    peers: set[int] = field(default_factory=set)
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)

    async def handle(self, http: web.Request) -> web.StreamResponse:
        self.requests.append((http.path, dict(http.headers), await http.json()))
        self.peers.add(http.transport.get_extra_info("peername")[1])
        if not self.pause_s:
            return web.Response(status=self.status, body=self.body, headers=self.headers)
        response = web.StreamResponse(headers=self.headers)
        await response.prepare(http)
        await response.write(self.body)
        await asyncio.sleep(self.pause_s)
        await response.write(b": bye\n\n")
        return response


@pytest.fixture(params=WIRES)
def wire(request):
    return WIRES[request.param]


@pytest.fixture
async def simulator():
    async with running_simulator() as running:
        yield running


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer()
    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


@pytest.fixture
async def connect(wire) -> AsyncIterator[Callable[..., Provider]]:
    """Makes adapters that are closed after the test."""
    async with AsyncExitStack() as closing:

        def create(server_url: str, **changed: Any) -> Provider:
            provider = registry.create("acme", wire.settings(server_url, **changed))
            closing.push_async_callback(provider.aclose)
            return provider

        yield create


@pytest.fixture
async def provider(connect, simulator):
    return connect(simulator.url)


@pytest.fixture
def ask() -> Callable[..., CompletionRequest]:
    """A request; `model` may say after a `;` how the simulated model is to behave."""

    def make(model: str = "m", *texts: str, system: str = "", **parameters: Any):
        said = texts or ("hello",)
        turns = tuple(
            Turn(role="assistant" if index % 2 else "user", text=text)
            for index, text in enumerate(said)
        )
        return CompletionRequest(
            model=model,
            system=system,
            turns=turns,
            parameters=settings.Parameters(**parameters),
        )

    return make
