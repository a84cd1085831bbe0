"""The hot copy never says anything else than Postgres, only less."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.core.messages import Message, StoredMessage
from actors.stores import keys
from actors.stores.context_cache import KEPT_MESSAGES, ContextCache

if TYPE_CHECKING:
    from actors.stores.redis import Redis

TTL_S = 3600


@pytest.fixture
def cache(redis: Redis) -> ContextCache:
    return ContextCache(redis, TTL_S)


def stored(seq: int, text: str = "Hi") -> StoredMessage:
    said = Message(
        id=f"m{seq}",
        seq=seq,
        role="user",
        text=text,
        created_at="2026-01-01T00:00:00Z",
        metadata={"a": [1, None]},
    )
    return StoredMessage(message=said, run=f"r{seq}")


def from_to(first: int, last: int) -> list[StoredMessage]:
    return [stored(seq) for seq in range(first, last + 1)]


async def held(cache: ContextCache) -> tuple[int, list[int | None]] | None:
    """Its version and the seqs that it has."""
    copy = await cache.messages("c")
    return None if copy is None else (copy[0], [m.message.seq for m in copy[1]])


async def test_what_was_never_remembered_is_not_known(cache: ContextCache) -> None:
    assert await cache.messages("c") is None


async def test_a_message_comes_back_as_it_was(cache: ContextCache) -> None:
    await cache.remember("c", [stored(1, "ü\u2028")])

    assert await cache.messages("c") == (1, (stored(1, "ü\u2028"),))


async def test_a_conversation_is_remembered_from_its_first_message_on(cache: ContextCache) -> None:
    await cache.remember("c", from_to(1, 1))
    await cache.remember("c", from_to(2, 3))

    assert await held(cache) == (3, [1, 2, 3])


async def test_what_is_remembered_twice_is_there_once(cache: ContextCache) -> None:
    await cache.remember("c", from_to(1, 2))
    await cache.remember("c", from_to(2, 2))
    await cache.remember("c", from_to(1, 1))

    assert await held(cache) == (2, [1, 2])


@pytest.mark.parametrize("seq", [3, 4])
async def test_a_copy_that_misses_what_came_before_is_dropped(
    cache: ContextCache, seq: int
) -> None:
    await cache.remember("c", from_to(1, 1))

    await cache.remember("c", from_to(seq, seq))

    assert await cache.messages("c") is None


async def test_after_it_was_dropped_a_copy_begins_with_what_postgres_says(
    cache: ContextCache,
) -> None:
    await cache.remember("c", from_to(2, 2))
    assert await cache.messages("c") is None

    await cache.replace("c", from_to(1, 2))
    await cache.remember("c", from_to(3, 3))

    assert await held(cache) == (3, [1, 2, 3])


@pytest.mark.parametrize("last", [1, 2])
async def test_what_postgres_said_earlier_does_not_replace_what_is_newer(
    cache: ContextCache, last: int
) -> None:
    await cache.remember("c", from_to(1, 2))

    await cache.replace("c", from_to(1, last))

    assert await held(cache) == (2, [1, 2])


async def test_what_postgres_says_replaces_what_is_older(cache: ContextCache) -> None:
    await cache.remember("c", from_to(1, 1))

    await cache.replace("c", from_to(2, 4))

    assert await held(cache) == (4, [2, 3, 4])


async def test_only_the_newest_messages_are_kept(cache: ContextCache) -> None:
    await cache.remember("c", from_to(1, KEPT_MESSAGES))
    await cache.remember("c", from_to(KEPT_MESSAGES + 1, KEPT_MESSAGES + 2))

    copy = await held(cache)
    assert copy is not None
    assert copy[0] == KEPT_MESSAGES + 2
    assert copy[1] == list(range(3, KEPT_MESSAGES + 3))


async def test_a_forgotten_conversation_is_not_known(cache: ContextCache) -> None:
    await cache.remember("c", from_to(1, 1))

    await cache.forget("c")

    assert await cache.messages("c") is None


async def test_a_profile_is_what_was_put_last(cache: ContextCache) -> None:
    assert await cache.profile("u") is None
    await cache.put_profile("u", {"name": "Ada"}, fresh=True)
    await cache.put_profile("u", {"name": "Zoë", "of": [1]}, fresh=True)
    await cache.put_profile("u", {"name": "as it was read before"}, fresh=False)

    assert await cache.profile("u") == {"name": "Zoë", "of": [1]}


async def test_all_of_it_is_held_for_the_time_configured(cache: ContextCache, redis: Redis) -> None:
    await cache.remember("c", from_to(1, 2))
    await cache.replace("d", from_to(1, 2))
    await cache.put_profile("u", {}, fresh=True)

    for key in (
        keys.context_version("c"),
        keys.context_messages("c"),
        keys.context_version("d"),
        keys.context_messages("d"),
        keys.profile("u"),
    ):
        assert TTL_S - 60 < await redis.client.ttl(key) <= TTL_S
