"""What only the log in Redis has: gateways that are told, a time to hold, an end of Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack
import pytest
from pydantic import SecretStr

from actors.core.cursors import Cursor
from actors.core.errors import Internal, Unavailable
from actors.stores import keys
from actors.stores.context_cache import ContextCache
from actors.stores.event_log import WATCH_S, EventLog
from actors.stores.redis import Redis
from config import settings
from tests.contract.stores.appends import SOMEBODY, delta, end, message, one, opening, statuses
from tests.contract.stores.conftest import LOG_TTL_S, Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio.client import PubSub


@pytest.fixture(autouse=True)
async def begun(redis_log: EventLog) -> None:
    for conversation in ("c", "d"):
        await redis_log.begin(conversation, SOMEBODY, 1)


class Channel:
    """A gateway's channel, as the gateway hears it."""

    def __init__(self, pubsub: PubSub) -> None:
        self._pubsub = pubsub

    async def hear(self) -> list[tuple[str, int, int, list[bytes]]]:
        """The next publication: (conversation, generation, first n, events) items."""
        while True:
            heard = await self._pubsub.get_message(ignore_subscribe_messages=True, timeout=10)
            assert heard is not None, "nothing was published"
            items: list[Any] = msgpack.unpackb(heard["data"], raw=True)
            return [(name.decode(), *rest) for name, *rest in items]

    async def is_quiet(self, redis: Redis) -> bool:
        """Nothing was published before now: a mark of our own comes first."""
        channel = next(iter(self._pubsub.channels))
        await redis.client.publish(channel, msgpack.packb([[b"mark", 0, 0, []]]))
        return (await self.hear())[0][0] == "mark"


@pytest.fixture
async def channel(redis: Redis) -> AsyncIterator[Channel]:
    """The channel of the gateway `g`."""
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(keys.gateway_channel("g"))
        await pubsub.get_message(timeout=10)
        yield Channel(pubsub)


# Who is told


async def test_one_append_is_one_publication_a_gateway_with_all_that_it_watches(
    redis_log: EventLog, channel: Channel, redis: Redis
) -> None:
    await redis_log.append([message(), opening(), message(conversation="d")])
    for conversation in ("c", "d"):
        await redis_log.attach(conversation, SOMEBODY, "g", None)
    appends = [delta(0, "a"), opening(conversation="d"), delta(1, "b")]

    await redis_log.append(appends)

    assert await channel.hear() == [
        ("c", 1, 3, [appends[0].events[0]]),
        ("d", 1, 2, [appends[1].events[0]]),
        ("c", 1, 4, [appends[2].events[0]]),
    ]
    assert await channel.is_quiet(redis)


async def test_a_gateway_is_told_only_of_what_it_watches(
    redis_log: EventLog, channel: Channel, redis: Redis
) -> None:
    await redis_log.attach("c", SOMEBODY, "another", None)
    await redis_log.attach("d", SOMEBODY, "g", None)

    await redis_log.append([message()])

    assert await channel.is_quiet(redis)


async def test_a_refused_or_known_append_tells_nobody(
    redis_log: EventLog, channel: Channel, redis: Redis
) -> None:
    await redis_log.append([message(), opening()])
    await redis_log.attach("c", SOMEBODY, "g", None)

    assert await statuses(redis_log, message(), delta(3)) == ["known", "gap"]

    assert await channel.is_quiet(redis)


async def test_a_registration_ends_unless_it_is_renewed(
    redis_log: EventLog, channel: Channel, redis: Redis, clock: Clock
) -> None:
    await redis_log.attach("c", SOMEBODY, "g", None)
    clock.now += WATCH_S + 1
    await redis_log.append([message()])
    assert await channel.is_quiet(redis)

    await redis_log.attach("c", SOMEBODY, "g", Cursor(1, 1))
    await redis_log.append([opening()])

    assert (await channel.hear())[0][:3] == ("c", 1, 2)


async def test_nothing_comes_between_the_tail_of_an_attach_and_the_first_publication(
    redis_log: EventLog, channel: Channel
) -> None:
    await redis_log.append([message(), opening()])

    attached = await redis_log.attach("c", SOMEBODY, "g", Cursor(1, 1))
    await redis_log.append([delta(0)])

    assert attached is not None
    assert [entry.n for entry in attached.entries] == [2]
    assert (await channel.hear())[0][:3] == ("c", 1, 3)


@pytest.mark.parametrize("held", [True, False], ids=["in the log", "of a log that was lost"])
async def test_producers_hear_of_a_seal(redis_log: EventLog, redis: Redis, held: bool) -> None:
    await redis_log.append([message(), opening()])
    if not held:
        await redis_log.forget("c")
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(keys.STOPS_CHANNEL)
        await pubsub.get_message(timeout=10)

        await redis_log.seal("c", "r")

        heard = await pubsub.get_message(ignore_subscribe_messages=True, timeout=10)
        assert heard is not None
        assert heard["data"] == b"r"


# How long it is held


async def finished(log: EventLog, run: str) -> None:
    await log.append([message(run), opening(run), delta(0, run=run), end(run, index=1)])


async def held_from(log: EventLog) -> int:
    entries = await log.held("c")
    return entries[0].n


async def test_events_are_held_for_the_time_promised_after_the_run_ended(
    redis_log: EventLog, clock: Clock
) -> None:
    await finished(redis_log, "r1")
    clock.now += LOG_TTL_S - 1
    await finished(redis_log, "r2")

    assert await held_from(redis_log) == 1


async def test_then_they_are_trimmed_when_a_later_run_ends(
    redis_log: EventLog, clock: Clock
) -> None:
    await finished(redis_log, "r1")
    clock.now += LOG_TTL_S + 1
    await finished(redis_log, "r2")

    assert await held_from(redis_log) == 5
    lost = await redis_log.attach("c", SOMEBODY, "g", Cursor(1, 2))
    kept = await redis_log.attach("c", SOMEBODY, "g", Cursor(1, 4))
    assert lost is not None
    assert kept is not None
    assert (lost.gapless, lost.runs) == (False, {"r2": "d"})
    assert [entry.n for entry in lost.entries] == [5, 6, 7, 8]
    assert (kept.gapless, [entry.n for entry in kept.entries]) == (True, [5, 6, 7, 8])
    assert await redis_log.read("c", Cursor(1, 2), 9) is None


async def test_a_run_in_progress_is_never_trimmed_though_queued_ones_are_stopped(
    redis_log: EventLog, redis: Redis, clock: Clock
) -> None:
    await redis_log.append([message("long"), opening("long"), delta(0, "a", run="long")])
    for waiting in ("stopped 1", "stopped 2", "stopped 3"):
        await redis_log.append([message(waiting), end(waiting, epoch=0)])
        clock.now += LOG_TTL_S + 1

    assert await held_from(redis_log) == 1
    assert await redis.client.ttl(keys.log("c")) > 10 * LOG_TTL_S

    await redis_log.append([end("long", index=1)])
    clock.now += LOG_TTL_S + 1
    await finished(redis_log, "next")
    assert await held_from(redis_log) == 11


async def test_the_events_of_a_quiet_conversation_expire_but_not_before_they_may(
    redis_log: EventLog, redis: Redis
) -> None:
    await redis_log.append([message(), opening(), delta(0)])
    assert await redis.client.ttl(keys.log("c")) > 10 * LOG_TTL_S

    await redis_log.append([end(index=1)])

    assert LOG_TTL_S <= await redis.client.ttl(keys.log("c")) <= LOG_TTL_S + 60
    assert await redis.client.ttl(keys.head("c")) > 10 * LOG_TTL_S


async def test_after_its_events_expired_a_log_still_knows_where_it_was(
    redis_log: EventLog, redis: Redis
) -> None:
    await finished(redis_log, "r")
    await redis.client.delete(keys.log("c"))

    up_to_date = await redis_log.attach("c", SOMEBODY, "g", Cursor(1, 4))
    behind = await redis_log.attach("c", SOMEBODY, "g", Cursor(1, 3))
    assert up_to_date is not None
    assert behind is not None
    assert (up_to_date.gapless, up_to_date.entries) == (True, ())
    assert (behind.gapless, behind.entries) == (False, ())
    assert (await one(redis_log, message("next"))).n == 5


async def test_every_key_of_a_log_is_to_expire(redis_log: EventLog, redis: Redis) -> None:
    await redis_log.append([message(), opening()])
    await redis_log.attach("c", SOMEBODY, "g", None)

    for key in await redis.client.keys("*"):
        assert await redis.client.ttl(key) > 0, key


# What Redis being down means


@pytest.fixture
async def unreachable(free_port: int) -> AsyncIterator[EventLog]:
    url = SecretStr(f"redis://127.0.0.1:{free_port}")
    async with Redis(settings.Redis(url=url)) as redis:
        yield EventLog(redis, log_ttl_s=LOG_TTL_S)


async def test_redis_down_is_unavailable_whatever_is_asked(unreachable: EventLog) -> None:
    for ask in (
        unreachable.append([message()]),
        unreachable.begin("c", SOMEBODY, 1),
        unreachable.attach("c", SOMEBODY, "g", None),
        unreachable.read("c", Cursor(1, 0), 1),
        unreachable.held("c"),
        unreachable.generation("c"),
        unreachable.seal("c", "r"),
        unreachable.forget("c"),
        unreachable.cursor_before_message("c", "m"),
    ):
        with pytest.raises(Unavailable) as raised:
            await ask
        assert raised.value.retryable


async def test_scripts_survive_a_restart_of_redis(redis_log: EventLog, redis: Redis) -> None:
    await redis.client.script_flush()

    assert await statuses(redis_log, message()) == ["ok"]


@pytest.fixture
async def full_redis(redis: Redis) -> AsyncIterator[Redis]:
    """Redis at the end of its memory."""
    await redis.client.config_set("maxmemory", 1)
    yield redis
    await redis.client.config_set("maxmemory", 0)


async def test_a_redis_out_of_memory_is_down_for_now(
    redis_log: EventLog, full_redis: Redis
) -> None:
    with pytest.raises(Unavailable):
        await redis_log.append([message()])
    with pytest.raises(Unavailable):
        await ContextCache(full_redis, 60).put_profile("u", {}, fresh=True)


async def test_a_command_that_is_wrong_is_a_defect_of_ours(redis: Redis) -> None:
    await redis.client.set(keys.head("wrong"), "no hash")

    with pytest.raises(Internal):
        await EventLog(redis, log_ttl_s=1).begin("wrong", SOMEBODY, 1)
