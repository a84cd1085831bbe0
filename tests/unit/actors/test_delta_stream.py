"""One attempt's way into the log: nothing is lost on it, and nothing is told twice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from actors.core.runs import Progress
from actors.delta_stream import MAX_WAITING_CHARS, DeltaStream
from tests.unit.actors.memory_log import MemoryLog
from tests.unit.actors.productions import SOMEBODY, production, told

if TYPE_CHECKING:
    from actors.stores.event_log import Append


@pytest.fixture
async def event_log() -> MemoryLog:
    log = MemoryLog()
    await log.begin("c", SOMEBODY, 1)
    return log


def begun(**fields: Any) -> DeltaStream:
    return DeltaStream(production(**fields), wake=lambda: None)


async def append(stream: DeltaStream, log: MemoryLog) -> Append:
    """What the stream has to say next, said to the log."""
    said = stream.next_append()
    (answer,) = await log.append([said])
    stream.settle(answer)
    return said


async def drain(stream: DeltaStream, log: MemoryLog) -> None:
    while stream.dirty:
        await append(stream, log)


def frames(log: MemoryLog) -> list[tuple[str, int | None, str | None]]:
    events = [orjson.loads(event) for event in log.logs["c"].events]
    return [(e["type"], e.get("index"), e.get("text")) for e in events]


async def left_by_another(log: MemoryLog, *deltas: str) -> Progress:
    """The log as an earlier attempt left it."""
    earlier = begun()
    for delta in deltas:
        await append(earlier, log)
        await earlier.write(delta)
    await drain(earlier, log)
    return told(*deltas)


async def test_an_attempt_says_first_that_the_run_has_started(event_log: MemoryLog) -> None:
    stream = begun()
    await stream.write("a")
    await drain(stream, event_log)

    assert frames(event_log) == [("run.started", None, None), ("delta", 0, "a")]
    assert not stream.dirty
    assert stream.told == stream.deltas == ("a",)


async def test_a_later_attempt_goes_on_from_what_the_log_holds(event_log: MemoryLog) -> None:
    progress = await left_by_another(event_log, "one ", "two ")

    stream = begun(epoch=2, progress=progress)
    await stream.write("three")
    await drain(stream, event_log)

    assert frames(event_log)[-1] == ("delta", 2, "three")
    assert [kind for kind, _, _ in frames(event_log)].count("run.started") == 1
    assert stream.told == ("one ", "two ", "three")


async def test_progress_that_the_log_does_not_hold_is_told_as_one_delta(
    event_log: MemoryLog,
) -> None:
    stream = begun(epoch=2, progress=Progress(deltas=("one ", "two ")))
    assert (stream.told, stream.deltas) == ((), ("one two ",))

    await drain(stream, event_log)

    assert frames(event_log) == [("run.started", None, None), ("delta", 0, "one two ")]
    assert stream.told == ("one two ",)


async def test_an_append_without_an_answer_is_repeated_unchanged_and_text_waits(
    event_log: MemoryLog,
) -> None:
    stream = begun()
    await append(stream, event_log)
    await stream.write("a")
    unanswered = stream.next_append()
    stream.lose_contact()
    await stream.write("b")
    assert (stream.told, stream.deltas) == ((), ("a", "b"))

    assert await append(stream, event_log) is unanswered
    await append(stream, event_log)

    assert stream.told == ("a", "b")
    assert not stream.unreachable


async def test_text_that_was_held_before_a_seal_is_told_though_its_answer_was_lost(
    event_log: MemoryLog,
) -> None:
    stream = begun()
    await append(stream, event_log)
    await stream.write("held")
    await event_log.append([stream.next_append()])
    stream.lose_contact()
    await event_log.seal("c", "r")
    await stream.write("refused")

    await drain(stream, event_log)

    assert stream.refused == "sealed"
    assert stream.told == ("held",)


# Rewinds


async def test_a_rewind_travels_with_the_text_that_follows_it(event_log: MemoryLog) -> None:
    progress = await left_by_another(event_log, "one ", "two ", "three")
    stream = begun(epoch=2, progress=progress)
    await append(stream, event_log)

    stream.rewind()
    await stream.write("1")
    assert (stream.told, stream.deltas) == (("one ", "two ", "three"), ("1",))
    batches = len(event_log.batches)
    await drain(stream, event_log)

    assert frames(event_log)[-2:] == [("rewind", 0, None), ("delta", 0, "1")]
    assert len(event_log.batches) == batches + 1
    assert stream.told == ("1",)


async def test_a_rewind_is_told_though_nothing_follows_it(event_log: MemoryLog) -> None:
    stream = begun(epoch=2, progress=await left_by_another(event_log, "one ", "two "))
    stream.rewind()

    await drain(stream, event_log)

    assert frames(event_log)[-1] == ("rewind", 0, None)
    assert stream.told == ()


async def test_a_rewind_on_its_way_is_no_more_among_what_readers_have(
    event_log: MemoryLog,
) -> None:
    stream = begun(epoch=2, progress=await left_by_another(event_log, "one ", "two "))
    await append(stream, event_log)
    stream.rewind()
    await stream.write("2")
    stream.next_append()

    assert (stream.told, stream.deltas) == (("one ", "two "), ("2",))


@pytest.mark.parametrize("already", [False, True], ids=["while it waits", "once it is told"])
async def test_a_rewind_takes_back_what_is_told_again_as_well(
    event_log: MemoryLog, already: bool
) -> None:
    stream = begun(epoch=2, progress=Progress(deltas=("one ", "two ")))
    if already:
        await drain(stream, event_log)

    stream.rewind()
    await stream.write("2")
    await drain(stream, event_log)

    assert stream.told == ("2",)


async def test_a_rewind_in_a_log_begun_again_meanwhile(
    event_log: MemoryLog,
) -> None:
    stream = begun(epoch=2, progress=await left_by_another(event_log, "one ", "two ", "three"))
    await append(stream, event_log)
    await event_log.begin("c", SOMEBODY, 2)
    stream.begin_again(2)
    await drain(stream, event_log)

    stream.rewind()
    await stream.write("one two four")
    await drain(stream, event_log)

    assert frames(event_log) == [
        ("run.started", None, None),
        ("delta", 0, "one two three"),
        ("rewind", 0, None),
        ("delta", 0, "one two four"),
    ]


# Logs begun again


async def test_in_a_log_begun_again_everything_is_told_again_as_one_delta(
    event_log: MemoryLog,
) -> None:
    stream = begun(epoch=2, progress=await left_by_another(event_log, "told "))
    await append(stream, event_log)
    await stream.write("on its way ")
    stream.next_append()
    await stream.write("waiting")
    await event_log.begin("c", SOMEBODY, 2)

    stream.begin_again(2)
    assert (stream.told, stream.deltas) == ((), ("told on its way waiting",))
    await drain(stream, event_log)

    assert frames(event_log) == [
        ("run.started", None, None),
        ("delta", 0, "told on its way waiting"),
    ]


async def test_a_log_begun_again_before_anything_was_said_is_only_opened(
    event_log: MemoryLog,
) -> None:
    stream = begun()
    await append(stream, event_log)
    await event_log.begin("c", SOMEBODY, 2)

    stream.begin_again(2)
    await drain(stream, event_log)

    assert frames(event_log) == [("run.started", None, None)]


# Waiting


async def test_a_writer_far_ahead_waits_until_the_log_has_caught_up(event_log: MemoryLog) -> None:
    stream = begun()
    await append(stream, event_log)
    writing = asyncio.create_task(stream.write("x" * (MAX_WAITING_CHARS + 1)))
    await asyncio.sleep(1)
    assert not writing.done()

    await append(stream, event_log)

    await writing


async def test_a_writer_far_ahead_goes_on_while_the_log_cannot_be_reached(
    event_log: MemoryLog,
) -> None:
    stream = begun()
    await append(stream, event_log)
    writing = asyncio.create_task(stream.write("x" * (MAX_WAITING_CHARS + 1)))
    await asyncio.sleep(1)

    stream.lose_contact()
    await writing
    await stream.write("and more")

    assert stream.dirty


async def test_a_flush_ends_when_the_log_cannot_be_reached() -> None:
    stream = begun()
    await stream.write("a")
    flushing = asyncio.create_task(stream.flush())
    await asyncio.sleep(1)
    assert not flushing.done()

    stream.lose_contact()
    await flushing

    assert (stream.told, stream.deltas) == ((), ("a",))


async def test_an_abandoned_attempt_tells_its_reader_and_has_nothing_more_to_say(
    event_log: MemoryLog,
) -> None:
    stream = begun()
    await append(stream, event_log)
    await stream.write("late")
    flushing = asyncio.create_task(stream.flush())
    heard = asyncio.Event()
    stream.on_refused = heard.set

    stream.abandon()
    await flushing

    assert heard.is_set()
    assert (stream.refused, stream.dirty) == ("fenced", False)
    assert stream.told == ()


async def test_an_answer_to_what_is_no_more_asked_changes_nothing(event_log: MemoryLog) -> None:
    stream = begun()
    (answer,) = await event_log.append([stream.next_append()])
    stream.begin_again(2)

    stream.settle(answer)

    assert stream.next_append().generation == 2
