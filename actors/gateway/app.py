"""The gateway: the ASGI application of a replica, and the deployment that holds it."""

from __future__ import annotations

import re
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.routing import WebSocketRoute
from uuid_utils import uuid7

from actors.background import Background
from actors.core.errors import Internal, InvalidRequest, NotFound, Overloaded, ParleyError
from actors.gateway import console, http_api
from actors.gateway.authentication import Authentication
from actors.gateway.hub import Hub
from actors.gateway.services import Services, welcome
from actors.gateway.websocket import SUBPROTOCOL, Connection
from actors.stores.event_log import EventLog
from actors.stores.redis import Redis

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from config.settings import Settings

log = structlog.get_logger()

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


class Gateway:
    """Holds sockets and nothing else: any replica serves any conversation."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, settings: Settings, simulated: tuple[str, ...], context: Any, orchestrator: Any
    ) -> None:
        self._resources = AsyncExitStack()
        background = await self._resources.enter_async_context(Background())
        redis = await self._resources.enter_async_context(Redis(settings.redis))
        hub = Hub(redis, EventLog(redis, log_ttl_s=settings.redis.log_ttl_s), context)
        await hub.start(background)
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
        description="Conversations with agents. The socket at /v1/ws is in docs/protocol.md.",
        version="1",
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    app.include_router(http_api.router(services))
    console.mount(app, services)
    app.router.routes.append(WebSocketRoute("/v1/ws", endpoint=_Sockets(services)))
    app.add_exception_handler(ParleyError, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_invalid)
    app.add_exception_handler(HTTPException, _refuse_unrouted)
    app.add_exception_handler(Exception, _refuse_unexpected)
    return _RequestIds(app)


class _Sockets:
    """The endpoint of sockets: takes them up to a number, then refuses with 503."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        offered = scope.get("subprotocols") or []
        await receive()
        if offered and SUBPROTOCOL not in offered:
            await _deny(send, 400, InvalidRequest(f"The subprotocol is {SUBPROTOCOL}."))
            return
        if self._open >= self._services.settings.http.max_sockets:
            await _deny(send, 503, Overloaded(retry_after_s=2.0))
            return
        self._open += 1
        try:
            await send(
                {
                    "type": "websocket.accept",
                    "subprotocol": SUBPROTOCOL if offered else None,
                }
            )
            connection = Connection(self._services, Headers(scope=scope), receive, send)
            await connection.serve()
        finally:
            self._open -= 1


async def _deny(send: Send, status: int, error: ParleyError) -> None:
    response = _response(error, status)
    await send(
        {
            "type": "websocket.http.response.start",
            "status": status,
            "headers": response.raw_headers,
        }
    )
    await send({"type": "websocket.http.response.body", "body": response.body})


class _RequestIds:
    """Gives every answer an X-Request-Id: the caller's, where it is a decent one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid7())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        await self._app(scope, receive, send_with_id)


def _response(
    error: ParleyError, status: int | None = None, param: str | None = None
) -> JSONResponse:
    """An error in OpenAI's shape."""
    kind = "invalid_request_error" if error.http_status < 500 else "server_error"
    body = {"type": kind, "param": param, **error.as_json()}
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    return JSONResponse({"error": body}, status or error.http_status, headers=headers)


async def _refuse(_: Request, error: Exception) -> JSONResponse:
    return _response(error if isinstance(error, ParleyError) else Internal())


async def _refuse_invalid(_: Request, error: Exception) -> JSONResponse:
    details = error.errors() if isinstance(error, RequestValidationError) else []
    if not details:
        return _response(InvalidRequest())
    where = [str(part) for part in details[0]["loc"][1:]]
    what = details[0]["msg"].removeprefix("Value error, ")
    param = ".".join(where) or None
    return _response(InvalidRequest(f"{param or 'The body'}: {what}."), param=param)


async def _refuse_unrouted(_: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 404:
        return _response(NotFound("There is nothing at this path."))
    return _response(InvalidRequest(f"The request is not allowed ({status})."), status)


async def _refuse_unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("request failed", path=request.url.path, exc_info=error)
    return _response(Internal())
