"""Events as Server-Sent Events: `id:` is the cursor, `event:` the type, `data:` the frame."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson

from actors.core.events import TERMINAL_TYPES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.core.cursors import Cursor
    from actors.core.messages import Principal
    from actors.gateway.hub import Hub, Watch

_KEEP_ALIVE_S = 15.0
_KEEP_ALIVE = b": alive\n\n"


class EventStream:
    """One conversation's events for one HTTP response.

    A reader that does not read holds back the response's writing, and so this: nothing is queued.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._woken = asyncio.Event()

    async def open(
        self, conversation: str, principal: Principal, after: Cursor | None
    ) -> AsyncGenerator[bytes, None]:
        """The frames after a cursor, else a `snapshot` and the frames after it, without end.

        Raises:
            NotFound: the user has no such conversation; raised before the first frame.
        """
        watch, frames = await self._hub.attach(conversation, principal, after, self._woken.set)
        return self._frames(watch, frames[1:])

    async def _frames(self, watch: Watch, frames: list[bytes]) -> AsyncGenerator[bytes, None]:
        try:
            while True:
                for frame in frames:
                    yield encode(frame)
                if not frames and not await self._news():
                    yield _KEEP_ALIVE
                self._woken.clear()
                frames = await self._hub.next_frames(watch)
        finally:
            self._hub.detach(watch)

    async def _news(self) -> bool:
        try:
            async with asyncio.timeout(_KEEP_ALIVE_S):
                await self._woken.wait()
        except TimeoutError:
            return False
        return True


async def until_run_ends(
    stream: AsyncGenerator[bytes, None], run: str
) -> AsyncGenerator[bytes, None]:
    """Of a stream, what concerns one run, up to its terminal event."""
    try:
        async for encoded in stream:
            if encoded == _KEEP_ALIVE:
                yield encoded
                continue
            event = _decode(encoded)
            if event["type"] == "snapshot":
                yield encoded
                if not _awaits(event, run):
                    return
            elif event.get("run") == run:
                yield encoded
                if event["type"] in TERMINAL_TYPES:
                    return
    finally:
        await stream.aclose()


def encode(frame: bytes) -> bytes:
    event = orjson.loads(frame)
    head = f"id: {event['cursor']}\nevent: {event['type']}\ndata: "
    return head.encode() + frame + b"\n\n"


def _decode(encoded: bytes) -> dict[str, Any]:
    event: dict[str, Any] = orjson.loads(encoded.split(b"\ndata: ", 1)[1])
    return event


def _awaits(snapshot: dict[str, Any], run: str) -> bool:
    """Whether the run is still to end after the snapshot."""
    return any(entry["run"] == run for entry in snapshot["runs"])
