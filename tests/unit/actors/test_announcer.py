"""Ends are told in a log that holds all that came before them, or whole in a new one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from actors.announcer import Announcer
from actors.core.events import sha256
from actors.core.messages import Context
from actors.core.runs import Outcome, Progress, RunStart
from actors.delta_stream import DeltaStream
from actors.stores.run_records import Committed
from tests.unit.actors.memory_log import MemoryLog
from tests.unit.actors.productions import SOMEBODY, production

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.background import Background

START = RunStart(
    run="r",
    epoch=1,
    principal=SOMEBODY,
    conversation="c",
    generation=1,
    message="q",
    requested_agent=None,
    sticky_agent=None,
    stopping=False,
    context=Context(profile={}, messages=(), metadata={}),
    progress=Progress(),
)


class FakePostgres:
    """What the announcer asks of runs and conversations, of one conversation."""

    def __init__(self) -> None:
        self.current = 1
        self.marked: list[str] = []

    async def raise_generation(self, conversation: str, seen: int) -> int:
        assert conversation == "c"
        self.current += seen == self.current
        return self.current

    async def mark_announced(self, runs: Sequence[str]) -> list[None]:
        self.marked += runs
        return [None] * len(runs)

    async def unfinished(self, *_: object) -> list[str]:
        return []


@pytest.fixture
async def event_log() -> MemoryLog:
    log = MemoryLog()
    await log.begin("c", SOMEBODY, 1)
    return log


@pytest.fixture
def postgres() -> FakePostgres:
    return FakePostgres()


@pytest.fixture
async def announcer(
    event_log: MemoryLog, postgres: FakePostgres, background: Background
) -> Announcer:
    database: Any = postgres
    return Announcer(event_log, database, database, background)


async def told(log: MemoryLog, *deltas: str, generation: int = 1) -> None:
    """The run, as its producer told it in the log of this generation."""
    stream = DeltaStream(production(generation=generation), wake=lambda: None)
    for text in ("", *deltas):
        if text:
            await stream.write(text)
        (answer,) = await log.append([stream.next_append()])
        stream.settle(answer)
    assert stream.told == deltas


async def end(announcer: Announcer, *deltas: str) -> None:
    outcome = Outcome(state="completed", deltas=deltas, agent="a", model="m")
    committed = Committed(
        run="r", answer="answer", seq=2, next_run=None, state="completed", created_at=""
    )
    await announcer.ended(START, outcome, committed)
    await asyncio.sleep(1)


def heard(log: MemoryLog) -> list[tuple[str, str | int | None]]:
    """What the log tells: each delta's text, and of the end that its digest is of them all."""
    texts: list[str] = []
    events: list[tuple[str, str | int | None]] = []
    for encoded in log.logs["c"].events:
        event = orjson.loads(encoded)
        if event["type"] == "delta":
            assert event["index"] == len(texts), "a delta is missing or repeated"
            texts.append(event["text"])
        if event["type"] == "run.completed":
            assert event["sha256"] == sha256("".join(texts))
            assert event["deltas"] == len(texts)
        events.append((event["type"], event.get("text")))
    return events


STARTED, COMPLETED = ("run.started", None), ("run.completed", None)


async def test_an_end_follows_what_the_log_holds(
    announcer: Announcer, event_log: MemoryLog, postgres: FakePostgres
) -> None:
    await told(event_log, "Hel", "lo")

    await end(announcer, "Hel", "lo")

    assert heard(event_log) == [STARTED, ("delta", "Hel"), ("delta", "lo"), COMPLETED]
    assert event_log.logs["c"].generation == 1
    assert postgres.marked == ["r"]


async def test_where_the_log_is_lost_a_new_one_tells_the_whole_run(
    announcer: Announcer, event_log: MemoryLog, postgres: FakePostgres
) -> None:
    await told(event_log, "Hel", "lo")
    await event_log.forget("c")

    await end(announcer, "Hel", "lo")

    assert heard(event_log) == [STARTED, ("delta", "Hello"), COMPLETED]
    assert event_log.logs["c"].generation > 1
    assert postgres.marked == ["r"]


async def test_in_a_log_that_the_producer_began_again_nothing_is_told_twice(
    announcer: Announcer, event_log: MemoryLog, postgres: FakePostgres
) -> None:
    postgres.current = await event_log.begin("c", SOMEBODY, 2)
    await told(event_log, "Hel", "lo", generation=2)

    await end(announcer, "Hel", "lo")

    assert heard(event_log) == [STARTED, ("delta", "Hel"), ("delta", "lo"), COMPLETED]
    assert event_log.logs["c"].generation == 2


async def test_a_log_that_lacks_the_last_words_is_begun_again_and_told_the_whole_run(
    announcer: Announcer, event_log: MemoryLog
) -> None:
    await told(event_log, "Hel")

    await end(announcer, "Hel", "lo")

    assert heard(event_log) == [STARTED, ("delta", "Hello"), COMPLETED]
    assert event_log.logs["c"].generation == 2
