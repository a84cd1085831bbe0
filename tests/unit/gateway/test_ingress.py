"""What stands before Serve: no header of a caller's steers it, and an answer has one id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers, MutableHeaders

from actors.gateway.ingress import middlewares

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Message, Receive, Scope, Send

Pairs = list[tuple[bytes, bytes]]


class Serve:
    """An application that states the request's id once more, as Serve does."""

    def __init__(self) -> None:
        self.seen: Headers | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        self.seen = Headers(scope=scope)
        kind = "http" if scope["type"] == "http" else "websocket.http"
        message: Message = {"type": f"{kind}.response.start", "status": 200, "headers": []}
        for _ in range(2):
            MutableHeaders(scope=message).append("X-Request-ID", self.seen["x-request-id"])
        await send(message)


async def answered(
    headers: Sequence[tuple[bytes, bytes]], kind: str = "http"
) -> tuple[Headers, list[str]]:
    """What the application sees, and the ids in its answer."""
    serve = Serve()
    app: Any = serve
    for middleware in middlewares():
        app = middleware.cls(app, *middleware.args, **middleware.kwargs)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": kind, "headers": list(headers)}, None, send)
    assert serve.seen is not None
    return serve.seen, Headers(raw=sent[0]["headers"]).getlist("x-request-id")


async def test_headers_that_serve_would_obey_do_not_reach_it() -> None:
    headers: Pairs = [
        (b"x-request-timeout-seconds", b"0.1"),
        (b"x-request-disconnect-disabled", b"?1"),
        (b"accept", b"*/*"),
    ]
    for kind in ("http", "websocket"):
        seen, _ = await answered(headers, kind)
        assert set(seen) == {"accept", "x-request-id"}


async def test_an_answer_has_one_id_and_it_is_the_callers() -> None:
    for kind in ("http", "websocket"):
        seen, ids = await answered([(b"x-request-id", b"mine")], kind)
        assert ids == [seen["x-request-id"]] == ["mine"]


async def test_an_indecent_id_is_replaced_before_anybody_sees_it() -> None:
    seen, ids = await answered([(b"x-request-id", b"a b"), (b"x-request-id", b"c")])

    assert ids == seen.getlist("x-request-id")
    assert len(ids) == 1
    assert ids[0] not in {"a b", "c"}


async def test_the_lifespan_passes() -> None:
    app: Any = Serve()
    for middleware in middlewares():
        app = middleware.cls(app, *middleware.args, **middleware.kwargs)

    await app({"type": "lifespan"}, None, None)
