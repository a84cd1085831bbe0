"""All boxes in one process, without Ray: the real classes, the real servers, a real socket."""

from __future__ import annotations

import asyncio
import pickle
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self

import uvicorn

from actors.agents.base import Agent
from actors.client_pool import ClientPool
from actors.context import ContextActor
from actors.gateway.app import Gateway
from actors.orchestrator import Orchestrator

if TYPE_CHECKING:
    from config.settings import Settings


class LocalBox:
    """What Ray's handle of a deployment is to its callers: arguments and answers are pickled."""

    def __init__(self, target: Any) -> None:
        self.target = target

    def __getattr__(self, method: str) -> _Method:
        return _Method(getattr(self.target, method))


class _Method:
    def __init__(self, method: Any) -> None:
        self._method = method

    async def remote(self, *arguments: Any) -> Any:
        try:
            answer = await self._method(*pickle.loads(pickle.dumps(arguments)))
        except Exception as error:  # noqa: BLE001 - as Ray passes every one on
            raise pickle.loads(pickle.dumps(error)) from None
        return pickle.loads(pickle.dumps(answer))


async def begin(box: type, *arguments: Any) -> Any:
    """A box as Serve makes it: its constructor is awaited where it is a coroutine."""
    made = box.__new__(box)
    begun = made.__init__(*arguments)
    if begun is not None:
        await begun
    return made


class LocalParley:
    """A running Parley of one process; `url` and `websocket_url` are where clients go."""

    def __init__(self, settings: Settings, simulated: tuple[str, ...] = ()) -> None:
        self.settings = settings
        self.simulated = simulated
        self.port = settings.http.port
        self.url = f"http://127.0.0.1:{self.port}"
        self.websocket_url = f"ws://127.0.0.1:{self.port}/v1/ws"
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        settings = self.settings
        self.context = await self._begin(ContextActor, settings)
        self.pools = {
            name: await self._begin(ClientPool, name, settings, self.context)
            for name in settings.providers
        }
        agents = {
            name: await self._begin(Agent, name, agent, self.pools[agent.provider])
            for name, agent in settings.agents.items()
        }
        self.orchestrator = await self._begin(Orchestrator, settings, self.context, agents)
        self.gateway = await self._begin(
            Gateway, settings, self.simulated, self.context, self.orchestrator
        )
        await self._serve(self.gateway.target.__serve_build_asgi_app__())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()

    async def _begin(self, box: type, *arguments: Any) -> LocalBox:
        made = await begin(box, *arguments)
        if hasattr(made, "__del__"):
            self._resources.push_async_callback(made.__del__)
            made_type = type(made)
            # What Serve calls once must not be called again by the garbage collector.
            made.__class__ = type(made_type.__name__, (made_type,), {"__del__": lambda _: None})
        return LocalBox(made)

    async def _serve(self, app: Any) -> None:
        config = uvicorn.Config(
            app, host="127.0.0.1", port=self.port, log_level="warning", lifespan="on"
        )
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None
        task = asyncio.create_task(server.serve())

        async def stop() -> None:
            server.should_exit = server.force_exit = True
            await task

        self._resources.push_async_callback(stop)
        while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.005)
