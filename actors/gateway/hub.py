"""The hub: what the gateway's channel says, for every connection that watches a conversation.

Connections pull. The hub keeps each watched conversation's newest events; a connection asks for
those after its own cursor whenever it is woken, and what memory no longer holds comes from the log.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgpack
import structlog
from uuid_utils import uuid7

from actors.background import Background, forever
from actors.calls import ask
from actors.core.cursors import Cursor
from actors.core.errors import Forbidden, NotFound, Unavailable
from actors.core.events import with_cursor
from actors.core.snapshots import MESSAGES, snapshot
from actors.gateway.feed import CHUNK, Feed, Frame, Watch
from actors.stores import keys
from actors.stores.event_log import WATCH_S, EventLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.core.messages import Principal
    from actors.stores.event_log import Attached
    from actors.stores.redis import Redis

log = structlog.get_logger()

_SUBSCRIBE_RETRY_S = 0.5
_UNTOLD = 16
"""Of the newest messages so many may be left out of a snapshot, since events will tell them."""


class Hub:
    """Reads one pub/sub channel, the gateway's own; conversations are registered with it."""

    def __init__(
        self, redis: Redis, event_log: EventLog, context: Any, background: Background
    ) -> None:
        self._background = background
        self._redis = redis
        self._log = event_log
        self._context = context
        self._gateway = str(uuid7())
        self._feeds: dict[str, Feed] = {}
        self._subscribed = asyncio.Event()

    async def start(self) -> None:
        """Returns once the channel is subscribed to."""
        self._background.start(
            forever(self._listen, interval_s=_SUBSCRIBE_RETRY_S, what="listen"), name="hub"
        )
        self._background.start(
            forever(self._renew, interval_s=WATCH_S / 3, what="renew watches"), name="watches"
        )
        await self._subscribed.wait()

    async def attach(
        self,
        conversation: str,
        principal: Principal,
        after: Cursor | None,
        wake: Callable[[Watch], None],
    ) -> Watch:
        """A watch placed at `after`, or due a snapshot where events cannot go on from there.

        Raises:
            NotFound: the user has no such conversation.
            Unavailable: the log cannot be reached.
        """
        feed = self._feeds.setdefault(conversation, Feed(conversation))
        watch = Watch(feed=feed, principal=principal, wake=wake)
        feed.placing += 1
        try:
            attached = await self._register(conversation, principal, after)
            if attached.gapless and after is not None:
                feed.add(after.generation, after.n + 1, [e.event for e in attached.entries])
                watch.cursor = after
            feed.reach(attached.cursor)
            feed.watches[watch] = None
        finally:
            feed.placing -= 1
            self._let_go(feed)
        return watch

    def detach(self, watch: Watch) -> None:
        watch.feed.watches.pop(watch, None)
        self._let_go(watch.feed)

    def _let_go(self, feed: Feed) -> None:
        unused = not feed.watches and not feed.placing
        if unused and self._feeds.get(feed.conversation) is feed:
            del self._feeds[feed.conversation]

    async def next_frames(self, watch: Watch) -> list[Frame]:
        """The next frames for a watch, in order; none while it waits for news.

        Where the log cannot continue gaplessly from the watch's cursor: one `snapshot`.

        Raises:
            NotFound: the conversation was deleted.
            Unavailable: the log cannot be reached.
        """
        feed = watch.feed
        if feed.gone:
            raise NotFound("The conversation was deleted.")
        frames = None
        if watch.cursor is not None:
            frames = feed.after(watch.cursor)
            if frames is None:
                frames = await self._from_log(feed, watch.cursor)
        return [await self._snapshot(watch)] if frames is None else frames

    async def _from_log(self, feed: Feed, cursor: Cursor) -> list[Frame] | None:
        if cursor.generation != feed.last.generation:
            return None
        entries = await self._log.read(feed.conversation, cursor, CHUNK)
        frames = []
        for entry in entries or ():
            reached = Cursor(cursor.generation, entry.n)
            frames.append(Frame(reached, with_cursor(entry.event, str(reached))))
        if not frames:
            return None
        feed.reach(frames[-1].cursor)
        return frames

    async def _register(
        self, conversation: str, principal: Principal, after: Cursor | None
    ) -> Attached:
        for _ in range(2):
            try:
                attached = await self._log.attach(conversation, principal, self._gateway, after)
            except Forbidden:
                raise NotFound("There is no such conversation.") from None
            if attached is not None:
                return attached
            await ask(self._context, "ensure_log", principal, conversation)
        raise Unavailable("The conversation's log could not be begun.", retry_after_s=1.0)

    async def _snapshot(self, watch: Watch) -> Frame:
        attached = await self._register(watch.conversation, watch.principal, None)
        watch.feed.reach(attached.cursor)
        history = await ask(
            self._context,
            "conversations",
            "history",
            watch.principal,
            watch.conversation,
            MESSAGES + _UNTOLD,
        )
        later = await self._log.read(watch.conversation, attached.cursor, 10_000)
        text = snapshot(
            conversation=watch.conversation,
            cursor=attached.cursor,
            run_states=attached.runs,
            held=[entry.event for entry in attached.entries],
            messages=history.messages,
            unfinished=history.unfinished,
            later=[entry.event for entry in later or ()],
        )
        return Frame(attached.cursor, text)

    async def _listen(self) -> None:
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(keys.gateway_channel(self._gateway), keys.BEGUN_CHANNEL)
            async for message in pubsub.listen():
                if message["type"] == "subscribe":
                    self._subscribed.set()
                    self._background.start(self._renew(), name="renew watches")
                elif message["channel"] == keys.BEGUN_CHANNEL.encode():
                    self._begun(message["data"].decode())
                else:
                    self._deliver(message["data"])

    def _begun(self, conversation: str) -> None:
        """A log begun again has forgotten this gateway."""
        feed = self._feeds.get(conversation)
        if feed is not None:
            self._background.start(self._renew_feed(feed), name="renew a watch")

    def _deliver(self, packed: bytes) -> None:
        for raw, generation, first, events in msgpack.unpackb(packed, raw=True):
            feed = self._feeds.get(raw.decode())
            if feed is not None:
                feed.add(generation, first, events)
                feed.wake()

    async def _renew(self) -> None:
        """Registers every watched conversation anew, and notices what was not heard."""
        for feed in list(self._feeds.values()):
            await self._renew_feed(feed)

    async def _renew_feed(self, feed: Feed) -> None:
        watch = next(iter(feed.watches), None)
        if watch is None:
            return
        try:
            attached = await self._register(feed.conversation, watch.principal, feed.last)
        except NotFound:
            feed.gone = True
        else:
            if attached.cursor <= feed.last:
                return
            feed.reach(attached.cursor)
        feed.wake()
