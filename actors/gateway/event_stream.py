"""A conversation's events as Server-Sent Events.

`id:` is the cursor, `event:` the type, `data:` the frame.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

import orjson
from fastapi.responses import StreamingResponse

from actors.core.errors import ParleyError
from actors.core.events import TERMINAL_TYPES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.types import Receive, Scope, Send

    from actors.core.cursors import Cursor
    from actors.core.messages import Principal
    from actors.gateway.feed import Watch
    from actors.gateway.hub import Hub

MEDIA_TYPE = "text/event-stream"
_KEEP_ALIVE = b": alive\n\n"


class EventStream(StreamingResponse):
    """The events after a cursor, else a `snapshot` and the events after it.

    Of one run, and until its end, where `run` is given. An error ends the stream as its last event.
    A reader that does not read holds back the writing, and so this: nothing is queued.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self,
        hub: Hub,
        watch: Watch,
        woken: asyncio.Event,
        *,
        keep_alive_s: float,
        run: str | None,
    ) -> None:
        self._hub = hub
        self._watch = watch
        self._woken = woken
        self._keep_alive_s = keep_alive_s
        super().__init__(
            self._encoded(run), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )

    @classmethod
    async def open(
        cls,
        hub: Hub,
        conversation: str,
        principal: Principal,
        after: Cursor | None,
        *,
        keep_alive_s: float,
        run: str | None = None,
    ) -> Self:
        """Raises what Hub.attach does. What is opened must be sent."""
        woken = asyncio.Event()
        watch = await hub.attach(conversation, principal, after, lambda _: woken.set())
        return cls(hub, watch, woken, keep_alive_s=keep_alive_s, run=run)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._hub.detach(self._watch)

    async def _encoded(self, run: str | None) -> AsyncGenerator[bytes, None]:
        try:
            async for frame in self._frames():
                if frame is None:
                    yield _KEEP_ALIVE
                    continue
                event = orjson.loads(frame)
                if run is None or _concerns(event, run):
                    yield _encode(event, frame)
                if run is not None and _leaves_nothing(event, run):
                    return
        except ParleyError as error:
            yield _encode_error(self._watch.conversation, error)

    async def _frames(self) -> AsyncGenerator[bytes | None, None]:
        """Frames without end; None where there was none for a while."""
        while True:
            self._woken.clear()
            frames = await self._hub.next_frames(self._watch)
            for frame in frames:
                yield frame.text
                self._watch.cursor = frame.cursor
            if not frames and not await self._news():
                yield None

    async def _news(self) -> bool:
        try:
            async with asyncio.timeout(self._keep_alive_s):
                await self._woken.wait()
        except TimeoutError:
            return False
        return True


def _concerns(event: dict[str, Any], run: str) -> bool:
    return event.get("run") == run or event["type"] == "snapshot"


def _leaves_nothing(event: dict[str, Any], run: str) -> bool:
    """Whether nothing of the run can come after the event."""
    if event["type"] == "snapshot":
        unfinished = [*event["runs"], *event["queued"]]
        return all(entry["run"] != run for entry in unfinished)
    return event["type"] in TERMINAL_TYPES and event["run"] == run


def _encode(event: dict[str, Any], frame: bytes) -> bytes:
    head = f"id: {event['cursor']}\nevent: {event['type']}\ndata: "
    return head.encode() + frame + b"\n\n"


def _encode_error(conversation: str, error: ParleyError) -> bytes:
    """Without an id: whoever comes again goes on at the last event."""
    body = {"type": "error", "conversation": conversation, "error": error.as_json()}
    return b"event: error\ndata: " + orjson.dumps(body) + b"\n\n"
