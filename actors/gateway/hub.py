"""The hub: what the gateway's channel says, for every connection that watches a conversation.

Connections pull. The hub keeps each watched conversation's newest events; a connection asks for
those after its own cursor whenever it is woken, and what memory no longer holds comes from the log.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgpack
import orjson
import structlog
from uuid_utils import uuid7

from actors.background import Background, forever
from actors.calls import ask
from actors.core.cursors import Cursor
from actors.core.errors import Forbidden, NotFound, Unavailable
from actors.core.events import with_cursor
from actors.core.snapshots import MESSAGES, snapshot
from actors.stores import keys
from actors.stores.event_log import WATCH_S, EventLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors.core.messages import Principal
    from actors.stores.event_log import Attached
    from actors.stores.redis import Redis

log = structlog.get_logger()

_RECENT = 512
_CHUNK = 256
_SUBSCRIBE_RETRY_S = 0.5


@dataclass(slots=True)
class Watch:
    """One connection's place in one conversation."""

    conversation: str
    principal: Principal
    cursor: Cursor
    wake: Callable[[], None]
    held: int = 0
    """Above 0, events wait: the connection has a reply to send that comes before them."""


@dataclass(slots=True)
class _Feed:
    """A watched conversation: the newest events, `last` being the newest of all."""

    last: Cursor = field(default=Cursor(0, 0))
    recent: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=_RECENT))
    watches: list[Watch] = field(default_factory=list)

    def add(self, generation: int, first: int, events: Iterable[bytes]) -> None:
        """Takes note of published events; those known already are passed over."""
        if generation < self.last.generation:
            return
        if generation > self.last.generation or first > self.last.n + 1:
            self.recent.clear()
            self.last = Cursor(generation, first - 1)
        for n, event in enumerate(events, start=first):
            if n == self.last.n + 1:
                self.last = Cursor(generation, n)
                self.recent.append((n, with_cursor(event, str(self.last))))

    def after(self, cursor: Cursor) -> list[tuple[Cursor, bytes]] | None:
        """The frames after a cursor, or None where memory does not reach back to it."""
        if cursor == self.last:
            return []
        if (
            cursor.generation != self.last.generation
            or not self.recent
            or self.recent[0][0] > cursor.n + 1
        ):
            return None
        skip = max(0, cursor.n + 1 - self.recent[0][0])
        return [
            (Cursor(cursor.generation, n), frame)
            for n, frame in list(self.recent)[skip : skip + _CHUNK]
        ]

    def wake(self) -> None:
        for watch in self.watches:
            watch.wake()


class Hub:
    """Reads one pub/sub channel, the gateway's own; conversations are registered with it."""

    def __init__(self, redis: Redis, event_log: EventLog, context: Any) -> None:
        self._redis = redis
        self._log = event_log
        self._context = context
        self._gateway = str(uuid7())
        self._feeds: dict[str, _Feed] = {}
        self._subscribed = asyncio.Event()

    async def start(self, background: Background) -> None:
        """Returns once the channel is subscribed to."""
        background.start(
            forever(self._listen, interval_s=_SUBSCRIBE_RETRY_S, what="listen"), name="hub"
        )
        background.start(
            forever(self._renew, interval_s=WATCH_S / 3, what="renew watches"), name="watches"
        )
        await self._subscribed.wait()

    async def attach(
        self,
        conversation: str,
        principal: Principal,
        after: Cursor | None,
        wake: Callable[[], None],
    ) -> tuple[Watch, list[bytes]]:
        """A watch, and the frames that come before its events: `attached`, maybe a `snapshot`.

        Raises:
            NotFound: the user has no such conversation.
        """
        feed = self._feeds.setdefault(conversation, _Feed())
        watch = Watch(
            conversation=conversation,
            principal=principal,
            cursor=after or feed.last,
            wake=wake,
        )
        feed.watches.append(watch)
        try:
            frames = await self._place(watch, after)
        except BaseException:
            self.detach(watch)
            raise
        return watch, frames

    def detach(self, watch: Watch) -> None:
        feed = self._feeds.get(watch.conversation)
        if feed is not None:
            feed.watches.remove(watch)
            if not feed.watches:
                del self._feeds[watch.conversation]

    async def next_frames(self, watch: Watch) -> list[bytes]:
        """The next frames for a watch, in order; none while it waits for news.

        Where the log cannot continue gaplessly from the watch's cursor: one `snapshot`.
        """
        feed = self._feeds[watch.conversation]
        frames = feed.after(watch.cursor)
        if frames is None:
            frames = await self._from_log(watch)
        if frames is None:
            return (await self._place(watch, None))[1:]
        if frames:
            watch.cursor = frames[-1][0]
        return [frame for _, frame in frames]

    async def _from_log(self, watch: Watch) -> list[tuple[Cursor, bytes]] | None:
        feed = self._feeds[watch.conversation]
        if watch.cursor.generation != feed.last.generation:
            return None
        entries = await self._log.read(watch.conversation, watch.cursor, _CHUNK)
        if not entries:
            return None
        frames = []
        for entry in entries:
            cursor = Cursor(watch.cursor.generation, entry.n)
            frames.append((cursor, with_cursor(entry.event, str(cursor))))
        return frames

    async def _place(self, watch: Watch, after: Cursor | None) -> list[bytes]:
        """Registers the conversation, and sets the watch where its events go on."""
        attached = await self._register(watch, after)
        feed = self._feeds[watch.conversation]
        if attached.gapless and after is not None:
            feed.add(attached.cursor.generation, after.n + 1, [e.event for e in attached.entries])
        if attached.cursor > feed.last:
            feed.recent.clear()
            feed.last = attached.cursor
        if attached.gapless and after is not None:
            watch.cursor = after
            return [_attached(watch)]
        frame = await self._snapshot(watch, attached)
        watch.cursor = attached.cursor
        return [_attached(watch), frame]

    async def _register(self, watch: Watch, after: Cursor | None) -> Attached:
        for _ in range(2):
            try:
                attached = await self._log.attach(
                    watch.conversation, watch.principal, self._gateway, after
                )
            except Forbidden:
                raise NotFound("There is no such conversation.") from None
            if attached is not None:
                return attached
            await ask(self._context, "ensure_log", watch.principal, watch.conversation)
        raise Unavailable("The conversation's log could not be begun.", retry_after_s=1.0)

    async def _snapshot(self, watch: Watch, attached: Attached) -> bytes:
        history = await ask(
            self._context,
            "conversations",
            "history",
            watch.principal,
            watch.conversation,
            MESSAGES + 2,
        )
        later = await self._log.read(watch.conversation, attached.cursor, 10_000)
        return snapshot(
            conversation=watch.conversation,
            cursor=attached.cursor,
            run_states=attached.runs,
            held=[entry.event for entry in attached.entries],
            messages=history.messages,
            unfinished=history.unfinished,
            later=[entry.event for entry in later or ()],
        )

    async def _listen(self) -> None:
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(keys.gateway_channel(self._gateway))
            async for message in pubsub.listen():
                if message["type"] == "subscribe":
                    self._subscribed.set()
                    await self._renew()
                elif message["type"] == "message":
                    self._deliver(message["data"])

    def _deliver(self, packed: bytes) -> None:
        for raw, generation, first, events in msgpack.unpackb(packed, raw=True):
            feed = self._feeds.get(raw.decode())
            if feed is not None:
                feed.add(generation, first, events)
                feed.wake()

    async def _renew(self) -> None:
        """Registers every watched conversation anew, and notices what was not heard."""
        for conversation, feed in list(self._feeds.items()):
            if not feed.watches:
                continue
            attached = await self._register(feed.watches[0], feed.last)
            if attached.cursor > feed.last:
                feed.recent.clear()
                feed.last = attached.cursor
                feed.wake()
            log.debug("watch renewed", conversation=conversation)


def _attached(watch: Watch) -> bytes:
    return orjson.dumps(
        {"type": "attached", "conversation": watch.conversation, "cursor": str(watch.cursor)}
    )
