"""What stands before Serve's own handling of a request: RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH.

Serve obeys some headers of requests, whoever sends them, and answers some requests by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.middleware import Middleware

from actors.gateway.request_ids import RequestIds

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

OBEYED = {b"x-request-timeout-seconds", b"x-request-disconnect-disabled"}


class Disobey:
    """Middleware: takes the headers that Serve obeys out of every request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "headers" in scope:
            scope["headers"] = [(k, v) for k, v in scope["headers"] if k not in OBEYED]
        await self._app(scope, receive, send)


def middlewares() -> list[Middleware]:
    """Each wraps those before it: the last sees a request first, and an answer last."""
    return [Middleware(Disobey), Middleware(RequestIds)]
