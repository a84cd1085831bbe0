"""What a socket is sent: replies, and the events of the conversations that it watches.

Replies go first. Events are pulled from the hub, one frame at a time, while the client keeps up:
those that it is not ready for wait in the log and not here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson

from actors.core.errors import NotFound, Unavailable
from actors.gateway.flow import Flow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from starlette.types import Send

    from actors.core.cursors import Cursor
    from actors.core.errors import ParleyError
    from actors.core.messages import Principal
    from actors.gateway.feed import Watch
    from actors.gateway.hub import Hub

_MAX_WAITING_BYTES = 1_048_576
_RETRY_S = 0.5


class Closed(Exception):
    """The connection is over. `code` is what the server closes with; None: the client left."""

    def __init__(self, code: int | None, reason: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Outgoing:
    """The sending half of a socket. Its methods raise Closed where the socket cannot go on."""

    def __init__(self, send: Send, hub: Hub, clock: Callable[[], float]) -> None:
        self._send = send
        self._hub = hub
        self._clock = clock
        self._replies: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._watches: dict[str, Watch] = {}
        self._ready: dict[Watch, None] = {}
        self._woken = asyncio.Event()
        self._flow = Flow()
        self.last_sent = clock()

    # Replies

    def reply(self, frame: Mapping[str, Any] | bytes) -> None:
        encoded = frame if isinstance(frame, bytes) else orjson.dumps(frame)
        self._waiting_bytes += len(encoded)
        if self._waiting_bytes > _MAX_WAITING_BYTES:
            raise Closed(4413, "too many replies wait")
        self._replies.append(encoded)
        self._woken.set()

    def reply_error(self, error: ParleyError, named: Mapping[str, Any]) -> None:
        """An `error` with those of id, conversation and run that the frame named decently."""
        echoed = {
            key: value
            for key in ("id", "conversation", "run")
            if isinstance(value := named.get(key), str) and len(value) <= 64 and value.isascii()
        }
        self.reply({"type": "error", **echoed, "error": error.as_json()})

    def ping(self) -> None:
        self.reply({"type": "ping", "t": self._flow.sent_bytes})

    def answered(self, t: Any) -> None:
        """Takes note of a pong."""
        self._flow.answered(t, self._clock())
        self._woken.set()

    @property
    def blocked_since(self) -> float | None:
        """Since when the client has answered for nothing of too much."""
        return self._flow.blocked_since

    # Conversations

    async def attach(self, conversation: str, principal: Principal, after: Cursor | None) -> None:
        """Begins at a cursor, wherever the socket was. Raises what Hub.attach does."""
        watch = await self._hub.attach(conversation, principal, after, self._mark)
        self.detach(conversation)
        self._watches[conversation] = watch
        self._reply_attached(watch)
        self._mark(watch)

    async def follow(self, conversation: str, principal: Principal, after: Cursor | None) -> None:
        """Begins at a cursor, unless the socket watches already. Raises what Hub.attach does."""
        watch = self._watches.get(conversation)
        if watch is None:
            await self.attach(conversation, principal, after)
        else:
            self._reply_attached(watch)

    def detach(self, conversation: str) -> None:
        watch = self._watches.pop(conversation, None)
        if watch is not None:
            self._ready.pop(watch, None)
            self._hub.detach(watch)

    def detach_all(self) -> None:
        for conversation in list(self._watches):
            self.detach(conversation)

    @contextmanager
    def holding(self, conversation: str | None) -> Iterator[None]:
        """Events of the conversation wait: a reply comes that is to be heard before them."""
        watch = self._watches.get(conversation or "")
        if watch is None:
            yield
            return
        watch.held += 1
        try:
            yield
        finally:
            watch.held -= 1
            self._woken.set()

    def _reply_attached(self, watch: Watch) -> None:
        cursor = watch.cursor or watch.feed.last
        self.reply({"type": "attached", "conversation": watch.conversation, "cursor": str(cursor)})

    def _mark(self, watch: Watch) -> None:
        if watch.live:
            self._ready[watch] = None
            self._woken.set()

    # Sending

    async def run(self) -> None:
        while True:
            self._woken.clear()
            await self.flush()
            watch = self._next_ready()
            if watch is None:
                await self._woken.wait()
            else:
                await self._send_events(watch)

    async def flush(self) -> None:
        """Sends the replies that wait."""
        while self._replies and self._flow.open_for_replies:
            encoded = self._replies.popleft()
            self._waiting_bytes -= len(encoded)
            await self._send_frame(encoded)

    def _next_ready(self) -> Watch | None:
        if not self._flow.open:
            return None
        watch = next((watch for watch in self._ready if not watch.held), None)
        if watch is not None:
            del self._ready[watch]
        return watch

    async def _send_events(self, watch: Watch) -> None:
        try:
            frames = await self._hub.next_frames(watch)
        except NotFound as error:
            if watch.live:
                self.detach(watch.conversation)
                self.reply_error(error, {"conversation": watch.conversation})
            return
        except Unavailable:
            asyncio.get_running_loop().call_later(_RETRY_S, self._mark, watch)
            return
        if frames:
            self._mark(watch)
        for frame in frames:
            await self.flush()
            if watch.held or not watch.live or not self._flow.open:
                return
            watch.cursor = frame.cursor
            await self._send_frame(frame.text)

    async def _send_frame(self, encoded: bytes) -> None:
        await self._send_text(encoded.decode())
        self.last_sent = self._clock()
        if self._flow.sent(len(encoded), self.last_sent):
            await self._send_text(f'{{"type":"ping","t":{self._flow.sent_bytes}}}')

    async def _send_text(self, text: str) -> None:
        try:
            await self._send({"type": "websocket.send", "text": text})
        except (OSError, RuntimeError):
            raise Closed(None) from None
