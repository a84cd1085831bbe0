"""The hot copy in Redis: conversations' newest messages and users' profiles, for an hour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from actors.core.messages import Message, StoredMessage
from actors.stores import keys
from actors.stores.redis import Redis, translated

if TYPE_CHECKING:
    from collections.abc import Sequence

KEPT_MESSAGES = 400
"""More than any window of a model asks for; older ones stay in Postgres."""


class ContextCache:
    """Versioned by the newest message's seq. Methods raise Unavailable where Redis is down."""

    def __init__(self, redis: Redis, ttl_s: int) -> None:
        self._redis = redis
        self._ttl_s = ttl_s

    async def messages(self, conversation: str) -> tuple[int, tuple[StoredMessage, ...]] | None:
        """The version and the messages held, oldest first; None where there is no copy."""
        with translated():
            pipeline = self._redis.client.pipeline(transaction=True)
            pipeline.get(keys.context_version(conversation))
            pipeline.lrange(keys.context_messages(conversation), 0, -1)
            version, raw = await pipeline.execute()
        if version is None:
            return None
        return int(version), tuple(_decode(item) for item in raw)

    async def remember(self, conversation: str, messages: Sequence[StoredMessage]) -> None:
        """Adds committed messages with consecutive seqs to the copy, if it has all before them."""
        first = messages[0].message.seq
        await self._redis.run(
            "remember",
            [keys.context_version(conversation), keys.context_messages(conversation)],
            [first, self._ttl_s, KEPT_MESSAGES, *(_encode(message) for message in messages)],
        )

    async def replace(self, conversation: str, messages: Sequence[StoredMessage]) -> None:
        """Puts what Postgres says in place of the copy, unless that has become newer."""
        await self._redis.run(
            "replace",
            [keys.context_version(conversation), keys.context_messages(conversation)],
            [messages[-1].message.seq, self._ttl_s, *(_encode(message) for message in messages)],
        )

    async def profile(self, user: str) -> dict[str, Any] | None:
        with translated():
            raw = await self._redis.client.get(keys.profile(user))
        return None if raw is None else orjson.loads(raw)

    async def put_profile(self, user: str, profile: dict[str, Any], *, fresh: bool) -> None:
        """A profile just written replaces the copy; one that was read does not."""
        with translated():
            await self._redis.client.set(
                keys.profile(user), orjson.dumps(profile), ex=self._ttl_s, nx=not fresh
            )

    async def forget(self, conversation: str) -> None:
        with translated():
            await self._redis.client.delete(
                keys.context_version(conversation), keys.context_messages(conversation)
            )


def _encode(stored: StoredMessage) -> bytes:
    return orjson.dumps(stored)


def _decode(raw: bytes) -> StoredMessage:
    fields = orjson.loads(raw)
    return StoredMessage(message=Message(**fields["message"]), run=fields["run"])
