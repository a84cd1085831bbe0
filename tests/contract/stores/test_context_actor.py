"""The context actor: Postgres is the truth, Redis only makes it quick."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from pydantic import SecretStr

from actors.context import ContextActor
from actors.core.cursors import Cursor
from actors.core.errors import Busy, Conflict, NotFound
from actors.core.runs import Accepted, Outcome, RunStart, Submission
from actors.stores import keys
from actors.stores.context_cache import ContextCache
from actors.stores.event_log import EventLog
from config.loading import load
from tests.contract.stores.conftest import LOG_TTL_S
from tests.contract.stores.submissions import said
from tests.unit.actors.boxes import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from actors.core.messages import Principal
    from actors.stores.redis import Redis
    from config.settings import Settings

DONE = Outcome(state="completed", deltas=("Hel", "lo!"), agent="gpt", model="gpt-5.5")
Frame = dict[str, Any]


def settings_of(database_url: str, redis_url: str) -> Settings:
    read = load({})
    return read.model_copy(
        update={
            "redis": read.redis.model_copy(update={"url": SecretStr(redis_url)}),
            "database": read.database.model_copy(update={"url": SecretStr(database_url)}),
        }
    )


@asynccontextmanager
async def context_actor(database_url: str, redis_url: str) -> AsyncIterator[ContextActor]:
    async with running(ContextActor, settings_of(database_url, redis_url)) as actor:
        yield actor


@pytest.fixture
async def context(database_url: str, redis_url: str) -> AsyncIterator[ContextActor]:
    async with context_actor(database_url, redis_url) as actor:
        yield actor


@pytest.fixture
async def without_redis(database_url: str, free_port: int) -> AsyncIterator[ContextActor]:
    async with context_actor(database_url, f"redis://127.0.0.1:{free_port}") as actor:
        yield actor


@pytest.fixture
def event_log(redis: Redis) -> EventLog:
    return EventLog(redis, log_ttl_s=LOG_TTL_S)


async def frames(log: EventLog, conversation: str) -> list[Frame]:
    return [orjson.loads(entry.event) for entry in await log.held(conversation)]


async def begun(context: ContextActor, accepted: Accepted) -> RunStart:
    start = await context.begin(accepted.run, "owner")
    assert start is not None
    return start


async def answered(
    context: ContextActor, submission: Submission, outcome: Outcome = DONE
) -> Accepted:
    accepted = await context.accept(submission)
    await context.finish(await begun(context, accepted), outcome)
    return accepted


def known(start: RunStart) -> list[tuple[str, str]]:
    """What the run's agent is given."""
    return [(message.role, message.text) for message in start.context.messages]


# Accepting


async def test_accepted_is_told_after_the_message_is_announced_from_just_before_it(
    context: ContextActor, event_log: EventLog, somebody: Principal
) -> None:
    first = await context.accept(said(somebody, text="One"))
    second = await context.accept(said(somebody, first.conversation, text="Two"))

    for accepted, text in ((first, "One"), (second, "Two")):
        cursor = Cursor.parse(accepted.cursor)
        entries = await event_log.read(accepted.conversation, cursor, 1)
        assert entries
        frame = orjson.loads(entries[0].event)
        assert (frame["type"], frame["run"]) == ("message", accepted.run)
        assert (frame["message"]["id"], frame["message"]["text"]) == (accepted.message, text)
    assert (first.ready, second.ready) == (True, False)
    assert first.durability == "committed"


async def test_the_same_message_again_gets_the_same_answer_and_no_second_event(
    context: ContextActor, event_log: EventLog, somebody: Principal
) -> None:
    submission = said(somebody)
    first = await context.accept(submission)
    await context.accept(said(somebody, first.conversation))

    again = await context.accept(submission)

    assert again == first
    assert len(await frames(event_log, first.conversation)) == 2


async def test_twenty_times_at_once_one_message_is_announced_once(
    context: ContextActor, event_log: EventLog, somebody: Principal
) -> None:
    submission = said(somebody)

    accepted = await asyncio.gather(*(context.accept(submission) for _ in range(20)))

    assert len({(a.conversation, a.message, a.run, a.seq) for a in accepted}) == 1
    assert all(a.ready for a in accepted)
    assert len(await frames(event_log, accepted[0].conversation)) == 1


async def test_after_its_event_is_gone_a_repeated_message_gets_no_cursor(
    context: ContextActor, redis: Redis, somebody: Principal
) -> None:
    submission = said(somebody)
    first = await context.accept(submission)
    await begun(context, first)
    await redis.client.flushall()

    again = await context.accept(submission)

    assert again == replace(first, ready=False, cursor=None)


async def test_a_message_that_nobody_announced_is_announced_when_it_is_repeated(
    context: ContextActor, redis: Redis, event_log: EventLog, somebody: Principal
) -> None:
    submission = said(somebody)
    first = await context.accept(submission)
    await redis.client.flushall()

    again = await context.accept(submission)

    assert again.ready
    assert (again.message, again.run, again.seq) == (first.message, first.run, first.seq)
    assert [f["type"] for f in await frames(event_log, first.conversation)] == ["message"]


async def test_refusals_are_errors(context: ContextActor, somebody: Principal) -> None:
    first = await context.accept(said(somebody, id="taken"))
    await context.conversations("update", somebody, first.conversation, {"busy": "reject"})

    with pytest.raises(Conflict):
        await context.accept(said(somebody, id="taken", text="Else"))
    with pytest.raises(Busy):
        await context.accept(said(somebody, first.conversation))
    with pytest.raises(NotFound):
        await context.accept(said(somebody, "00000000-0000-7000-8000-000000000000"))


async def test_an_interrupting_message_stops_the_run_and_is_ready_where_that_was_queued(
    context: ContextActor, event_log: EventLog, somebody: Principal
) -> None:
    first = await context.accept(said(somebody))
    await context.conversations("update", somebody, first.conversation, {"busy": "interrupt"})

    second = await context.accept(said(somebody, first.conversation))
    assert second.ready
    start = await begun(context, second)
    third = await context.accept(said(somebody, first.conversation))
    assert not third.ready
    finished = await context.finish(start, Outcome(state="completed"))

    assert finished is not None
    assert (finished.state, finished.next_run) == ("stopped", third.run)
    ends = [f["run"] for f in await frames(event_log, first.conversation) if "stopped" in f["type"]]
    assert ends == [first.run, second.run]


# What an agent is given


async def test_an_agent_knows_the_conversation_up_to_its_question_and_the_user(
    context: ContextActor, somebody: Principal
) -> None:
    await context.merge_profile(somebody, {"name": "Ada"})
    first = await answered(context, said(somebody, text="One"))
    second = await context.accept(said(somebody, first.conversation, text="Two"))
    await context.accept(said(somebody, first.conversation, text="Three"))

    start = await begun(context, second)

    assert known(start) == [("user", "One"), ("assistant", "Hello!"), ("user", "Two")]
    assert start.context.profile == {"name": "Ada"}
    assert start.sticky_agent == "gpt"


async def test_a_hot_copy_is_all_that_is_read(
    context: ContextActor, redis: Redis, somebody: Principal
) -> None:
    first = await answered(context, said(somebody, text="One"))
    second = await context.accept(said(somebody, first.conversation, text="Two"))
    copy = await ContextCache(redis, 60).messages(first.conversation)
    assert copy is not None
    retold = replace(copy[1][0], message=replace(copy[1][0].message, text="Uno"))
    await redis.client.lset(
        keys.context_messages(first.conversation), 0, orjson.dumps(retold).decode()
    )

    assert known(await begun(context, second))[0] == ("user", "Uno")


async def test_after_redis_was_emptied_postgres_says_the_same(
    context: ContextActor, redis: Redis, somebody: Principal
) -> None:
    await context.merge_profile(somebody, {"name": "Ada"})
    first = await answered(context, said(somebody, text="One"))
    second = await context.accept(said(somebody, first.conversation, text="Two"))
    await redis.client.flushall()

    start = await begun(context, second)

    assert known(start) == [("user", "One"), ("assistant", "Hello!"), ("user", "Two")]
    assert start.context.profile == {"name": "Ada"}
    copy = await ContextCache(redis, 60).messages(first.conversation)
    assert copy is not None
    assert copy[0] == 3


async def test_a_profile_that_was_changed_is_the_one_that_every_replica_gives(
    context: ContextActor, database_url: str, redis_url: str, somebody: Principal
) -> None:
    async with context_actor(database_url, redis_url) as other:
        for replica, changes in ((context, {"a": 1}), (other, {"b": 2}), (context, {"a": None})):
            await replica.merge_profile(somebody, changes)
            assert await context.profile(somebody) == await other.profile(somebody)

        assert await other.profile(somebody) == {"b": 2}


# Ending


async def test_an_end_is_committed_and_announced(
    context: ContextActor, event_log: EventLog, somebody: Principal
) -> None:
    first = await context.accept(said(somebody))
    second = await context.accept(said(somebody, first.conversation))

    finished = await context.finish(await begun(context, first), DONE)

    assert finished is not None
    assert (finished.state, finished.next_run) == ("completed", second.run)
    end = (await frames(event_log, first.conversation))[-1]
    assert (end["type"], end["run"], end["seq"]) == ("run.completed", first.run, 3)
    page, _ = await context.conversations("page", somebody, first.conversation, None, 10)
    assert page[-1].id == end["message"]


async def test_a_former_owner_ends_and_announces_nothing(
    context: ContextActor, event_log: EventLog, somebody: Principal
) -> None:
    accepted = await context.accept(said(somebody))
    former = await begun(context, accepted)
    await context.release([(former.run, former.epoch)])
    (start,) = await context.claim_expired("sweeper", 10)

    assert await context.finish(former, DONE) is None
    assert len(await frames(event_log, accepted.conversation)) == 1
    assert await context.finish(start, DONE) is not None


async def test_a_stop_wins_over_an_answer_and_keeps_its_text(
    context: ContextActor, event_log: EventLog, somebody: Principal
) -> None:
    accepted = await context.accept(said(somebody))
    start = await begun(context, accepted)
    await context.stop(somebody, accepted.run)

    finished = await context.finish(start, DONE)

    assert finished is not None
    assert finished.state == "stopped"
    end = (await frames(event_log, accepted.conversation))[-1]
    assert (end["type"], end["deltas"]) == ("run.stopped", 1), "the log held none: told whole"
    page, _ = await context.conversations("page", somebody, accepted.conversation, None, 10)
    assert (page[-1].text, page[-1].status) == ("Hello!", "stopped")


async def test_a_run_stopped_in_the_queue_is_announced_as_stopped(
    context: ContextActor, event_log: EventLog, somebody: Principal
) -> None:
    first = await context.accept(said(somebody))
    second = await context.accept(said(somebody, first.conversation))

    assert await context.stop(somebody, first.run) == second.run
    await context.stop(somebody, first.run)

    ends = [f for f in await frames(event_log, first.conversation) if f["type"] == "run.stopped"]
    assert [(f["run"], f["message"], f["deltas"]) for f in ends] == [(first.run, None, 0)]


async def test_a_deleted_conversation_is_gone_everywhere(
    context: ContextActor, redis: Redis, event_log: EventLog, somebody: Principal
) -> None:
    accepted = await context.accept(said(somebody))
    start = await begun(context, accepted)

    await context.delete_conversation(somebody, accepted.conversation)

    assert await context.finish(start, DONE) is None
    assert await frames(event_log, accepted.conversation) == []
    left = [key for key in await redis.client.keys("*") if accepted.conversation in key.decode()]
    assert left == []
    with pytest.raises(NotFound):
        await context.accept(said(somebody, accepted.conversation))


# Without Redis


async def test_without_redis_messages_are_accepted_begun_answered_and_stopped(
    without_redis: ContextActor, somebody: Principal
) -> None:
    context = without_redis
    await context.merge_profile(somebody, {"name": "Ada"})
    first = await answered(context, said(somebody, text="One"))
    second = await context.accept(said(somebody, first.conversation, text="Two"))
    start = await begun(context, second)
    await context.stop(somebody, second.run)
    finished = await context.finish(start, DONE)

    assert known(start) == [("user", "One"), ("assistant", "Hello!"), ("user", "Two")]
    assert start.context.profile == {"name": "Ada"}
    assert finished is not None
    assert finished.state == "stopped"
    assert await context.degraded() == ["redis"]


async def test_without_redis_runs_are_taken_over(
    without_redis: ContextActor, somebody: Principal
) -> None:
    accepted = await without_redis.accept(said(somebody))
    start = await begun(without_redis, accepted)
    await without_redis.release([(start.run, start.epoch)])

    (taken,) = await without_redis.claim_expired("sweeper", 10)

    assert (taken.run, taken.epoch) == (accepted.run, 2)


async def test_a_message_accepted_without_redis_is_answered_with_it(
    context: ContextActor, without_redis: ContextActor, event_log: EventLog, somebody: Principal
) -> None:
    first = await answered(without_redis, said(somebody, text="One"))

    second = await context.accept(said(somebody, first.conversation, text="Two"))

    assert known(await begun(context, second)) == [
        ("user", "One"),
        ("assistant", "Hello!"),
        ("user", "Two"),
    ]
    assert [f["run"] for f in await frames(event_log, first.conversation)] == [second.run]


async def test_with_everything_up_nothing_is_degraded(context: ContextActor) -> None:
    assert await context.degraded() == []
