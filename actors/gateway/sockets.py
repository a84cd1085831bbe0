"""The endpoint of sockets: takes them up to a number, and answers in HTTP where it takes none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from actors.core.errors import InvalidRequest, NotFound, Overloaded
from actors.gateway.refusals import refusal
from actors.gateway.websocket import Connection

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from actors.core.errors import ParleyError
    from actors.gateway.services import Services

SUBPROTOCOL = "parley.v1"
_RETRY_AFTER_S = 2.0


class Sockets:
    """Takes sockets at their own path, which a client may ask for without a subprotocol."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        offered = scope.get("subprotocols") or []
        if offered and SUBPROTOCOL not in offered:
            await _deny(send, InvalidRequest(f"The subprotocol is {SUBPROTOCOL}."))
        elif self._open >= self._services.settings.http.max_sockets:
            await _deny(send, Overloaded(retry_after_s=_RETRY_AFTER_S))
        else:
            await self._serve(scope, receive, send, SUBPROTOCOL if offered else None)

    async def _serve(
        self, scope: Scope, receive: Receive, send: Send, subprotocol: str | None
    ) -> None:
        self._open += 1
        try:
            await receive()
            await send({"type": "websocket.accept", "subprotocol": subprotocol})
            await Connection(self._services, Headers(scope=scope), receive, send).serve()
        finally:
            self._open -= 1


class NoSockets:
    """Denies a socket at any other path."""

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await _deny(send, NotFound("There is no socket at this path."))


async def _deny(send: Send, error: ParleyError) -> None:
    response = refusal(error)
    await send(
        {
            "type": "websocket.http.response.start",
            "status": response.status_code,
            "headers": response.raw_headers,
        }
    )
    await send({"type": "websocket.http.response.body", "body": response.body})
