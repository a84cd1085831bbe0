"""The gateway: the ASGI application of a replica, and the deployment that holds it."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.routing import WebSocketRoute

from actors.background import Background
from actors.gateway import console, http_api, refusals
from actors.gateway.authentication import Authentication
from actors.gateway.body_limit import BodyLimit
from actors.gateway.hub import Hub
from actors.gateway.request_ids import RequestIds
from actors.gateway.services import Services, welcome
from actors.gateway.sockets import NoSockets, Sockets
from actors.stores.event_log import EventLog
from actors.stores.redis import Redis

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from config.settings import Settings

_MAX_BODY_BYTES = 4_194_304
_DESCRIPTION = """\
Conversations with agents. The socket at `/v1/ws` is described in docs/protocol.md.

Every answer carries `X-Request-Id`: the caller's, or one made here.
"""


class Gateway:
    """Holds sockets and nothing else: any replica serves any conversation."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, settings: Settings, simulated: tuple[str, ...], context: Any, orchestrator: Any
    ) -> None:
        self._resources = AsyncExitStack()
        background = await self._resources.enter_async_context(Background())
        redis = await self._resources.enter_async_context(Redis(settings.redis))
        hub = Hub(redis, EventLog(redis, log_ttl_s=settings.redis.log_ttl_s), context, background)
        await hub.start()
        self._services = Services(
            settings=settings,
            context=context,
            orchestrator=orchestrator,
            hub=hub,
            authentication=Authentication(context, time.monotonic),
            background=background,
            clock=time.monotonic,
            simulated=simulated,
            welcome=welcome(settings),
        )

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return application(self._services)

    async def __del__(self) -> None:
        await self._resources.aclose()


def application(services: Services) -> ASGIApp:
    """The whole ASGI application over a gateway's services."""
    app = FastAPI(
        title="Parley",
        description=_DESCRIPTION,
        version="1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    refusals.install(app)
    app.include_router(http_api.router(services))
    app.router.routes.append(WebSocketRoute("/v1/ws", endpoint=Sockets(services)))
    app.router.routes.append(WebSocketRoute("/{path:path}", endpoint=NoSockets()))
    console.mount(app, services)
    return RequestIds(BodyLimit(app, _MAX_BODY_BYTES))
