"""Deltas on their way into the log: the first at once, then at most one an interval."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from actors.core.errors import Internal, ParleyError, Unavailable
from actors.delta_stream import MAX_WAITING_CHARS
from actors.log_writer import LogWriter
from tests.unit.actors.memory_log import MemoryLog
from tests.unit.actors.productions import SOMEBODY, production, told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.background import Background
    from actors.core.runs import Production
    from actors.delta_stream import DeltaStream
    from actors.stores.event_log import Append, Appended

INTERVAL_S = 0.03


class TimedLog(MemoryLog):
    """Its appends take `latency_s`; the first `outages` of them fail.

    After the first `lost_answers`, the append was done and only its answer does not arrive.
    """

    latency_s = 0.0
    failure: ParleyError = Unavailable("Redis cannot be reached.")
    outages = 0
    lost_answers = 0

    def __init__(self) -> None:
        super().__init__()
        self.at: list[float] = []

    async def append(self, appends: Sequence[Append]) -> list[Appended]:
        self.at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.latency_s)
        if self.outages:
            self.outages -= 1
            raise self.failure
        answers = await super().append(appends)
        if self.lost_answers:
            self.lost_answers -= 1
            raise Unavailable("Redis cannot be reached.")
        return answers

    def frames(self, conversation: str = "c") -> list[dict[str, Any]]:
        return [orjson.loads(event) for event in self.logs[conversation].events]

    def texts(self, conversation: str = "c") -> list[str]:
        return [f["text"] for f in self.frames(conversation) if f["type"] == "delta"]


@pytest.fixture
async def event_log() -> TimedLog:
    log = TimedLog()
    for conversation in ("c", "d"):
        await log.begin(conversation, SOMEBODY, 1)
    return log


class Owners:
    """Who holds which run: begins its log again for whoever does, after the first `outages`."""

    def __init__(self, log: MemoryLog) -> None:
        self.log = log
        self.outages = 0
        self.gone = False
        self.asked: list[tuple[str, int]] = []
        self.asked_at: list[float] = []

    async def begin_again(self, run: str, epoch: int) -> int | None:
        self.asked.append((run, epoch))
        self.asked_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0)
        if self.outages:
            self.outages -= 1
            raise Unavailable("Postgres cannot be reached.")
        if self.gone:
            return None
        conversation = "c" if run == "r" else "d"
        held = await self.log.generation(conversation)
        return await self.log.begin(conversation, SOMEBODY, (held or 1) + 1, [run])


@pytest.fixture
def owners(event_log: TimedLog) -> Owners:
    return Owners(event_log)


@pytest.fixture
async def writer(event_log: TimedLog, owners: Owners, background: Background) -> LogWriter:
    return LogWriter(event_log, background, interval_s=INTERVAL_S, begin_again=owners.begin_again)


async def taken_up(*streams: DeltaStream) -> None:
    """Returns when nothing of the streams waits any more."""
    while any(stream.dirty for stream in streams):  # noqa: ASYNC110 - only the writer is told
        await asyncio.sleep(0.001)


async def opened(writer: LogWriter, stream_of: Production) -> DeltaStream:
    stream = writer.open(stream_of)
    await stream.flush()
    return stream


async def test_an_attempt_begins_with_its_opening_events(
    writer: LogWriter, event_log: TimedLog
) -> None:
    await opened(writer, production())

    assert [frame["type"] for frame in event_log.frames()] == ["run.started"]


async def test_the_first_delta_goes_at_once_and_later_ones_gather_for_an_interval(
    writer: LogWriter, event_log: TimedLog
) -> None:
    stream = writer.open(production())
    for text in "abcdefg":
        await stream.write(text)
        await asyncio.sleep(0.01)
    await asyncio.sleep(INTERVAL_S)

    deltas = [f for f in event_log.frames() if f["type"] == "delta"]
    assert [d["index"] for d in deltas] == list(range(len(deltas)))
    assert deltas[0]["text"] == "a"
    assert "".join(d["text"] for d in deltas) == "abcdefg"
    assert event_log.at[:2] == [0, 0]
    assert all(b - a >= INTERVAL_S - 1e-9 for a, b in pairwise(event_log.at[1:]))
    assert len(event_log.at) >= 4


async def test_nothing_is_appended_while_nothing_is_said(
    writer: LogWriter, event_log: TimedLog
) -> None:
    stream = await opened(writer, production())
    await stream.write("a")
    await asyncio.sleep(8000)

    assert len(event_log.batches) == 2


async def test_runs_that_are_due_in_one_tick_travel_in_one_append(
    writer: LogWriter, event_log: TimedLog
) -> None:
    streams = [
        await opened(writer, production(run, conversation))
        for run, conversation in (("r", "c"), ("s", "d"))
    ]
    for stream in streams:
        await stream.write("first ")
    await taken_up(*streams)
    before = len(event_log.batches)
    for stream in streams:
        await stream.write("second")
    await asyncio.sleep(2 * INTERVAL_S)

    assert [len(batch) for batch in event_log.batches[before:]] == [2]
    assert "".join(event_log.texts("c")) == "".join(event_log.texts("d")) == "first second"


async def test_while_an_append_is_in_flight_text_gathers(
    writer: LogWriter, event_log: TimedLog
) -> None:
    stream = await opened(writer, production())
    event_log.latency_s = 1.0
    await stream.write("a")
    await asyncio.sleep(0.1)
    for text in "bcd":
        await stream.write(text)
    await stream.flush()

    assert event_log.texts() == ["a", "bcd"]
    assert stream.told == ("a", "bcd")


async def test_a_flush_does_not_wait_for_the_interval(
    writer: LogWriter, event_log: TimedLog
) -> None:
    stream = await opened(writer, production())
    await stream.write("a")
    await taken_up(stream)
    await stream.write("b")
    await stream.flush()

    assert event_log.texts() == ["a", "b"]
    assert asyncio.get_running_loop().time() < INTERVAL_S


async def test_a_reader_far_ahead_of_the_log_waits_for_it(
    writer: LogWriter, event_log: TimedLog
) -> None:
    stream = await opened(writer, production())
    event_log.latency_s = 1.0
    await stream.write("x" * MAX_WAITING_CHARS)

    await stream.write("y")

    assert asyncio.get_running_loop().time() >= 1.0
    await stream.flush()
    assert "".join(event_log.texts()) == "x" * MAX_WAITING_CHARS + "y"


@pytest.mark.parametrize(("epoch", "status"), [(1, "sealed"), (0, "fenced")])
async def test_a_refusal_ends_the_attempt_and_is_heard_at_once(
    writer: LogWriter, event_log: TimedLog, epoch: int, status: str
) -> None:
    stream = await opened(writer, production())
    await stream.write("kept")
    await stream.flush()
    if status == "sealed":
        await event_log.seal("c", "r")
    else:
        await opened(writer, production(epoch=2, progress=told("kept")))
    refused = asyncio.Event()
    stream.on_refused = refused.set

    await stream.write("refused")
    await refused.wait()
    await stream.flush()

    assert stream.refused == status
    assert stream.told == ("kept",)
    assert event_log.texts() == ["kept"]


async def test_a_refusal_frees_a_reader_that_waited(writer: LogWriter, event_log: TimedLog) -> None:
    stream = await opened(writer, production())
    await event_log.seal("c", "r")

    await stream.write("x" * (MAX_WAITING_CHARS + 1))

    assert stream.refused == "sealed"


async def test_where_the_log_is_lost_it_is_begun_again_and_told_everything(
    writer: LogWriter, event_log: TimedLog, owners: Owners
) -> None:
    stream = await opened(writer, production())
    await stream.write("told ")
    await stream.flush()
    await event_log.forget("c")

    await stream.write("and ")
    await stream.flush()
    await stream.write("more")
    await stream.flush()

    assert owners.asked == [("r", 1)]
    assert event_log.logs["c"].generation == 2
    assert [f["type"] for f in event_log.frames()] == ["run.started", "delta", "delta"]
    assert event_log.texts() == ["told and ", "more"]
    assert stream.told == ("told and ", "more")


async def test_where_the_log_fell_back_it_is_begun_again(
    writer: LogWriter, event_log: TimedLog, owners: Owners
) -> None:
    stream = await opened(writer, production())
    await stream.write("told ")
    await stream.flush()
    event_log.logs["c"].runs["r"].index = 0

    await stream.write("more")
    await stream.flush()

    assert owners.asked == [("r", 1)]
    assert event_log.texts() == ["told more"]


async def test_a_log_that_holds_less_than_an_attempt_was_told_is_begun_again(
    writer: LogWriter, event_log: TimedLog, owners: Owners
) -> None:
    await opened(writer, production())

    stream = await opened(writer, production(epoch=2, progress=told("one ", "two ")))

    assert owners.asked == [("r", 2)]
    assert event_log.texts() == ["one two "]
    assert stream.told == ("one two ",)


async def test_whose_run_is_anothers_by_now_begins_no_log(
    writer: LogWriter, event_log: TimedLog, owners: Owners
) -> None:
    stream = await opened(writer, production())
    owners.gone = True
    await event_log.forget("c")
    refused = asyncio.Event()
    stream.on_refused = refused.set

    await stream.write("late")
    await refused.wait()
    await stream.flush()

    assert stream.refused == "fenced"
    assert "c" not in event_log.logs


async def test_until_it_is_known_whose_the_run_is_the_log_waits(
    writer: LogWriter, event_log: TimedLog, owners: Owners
) -> None:
    stream = await opened(writer, production())
    await event_log.forget("c")
    owners.outages = 3

    await stream.write("a")
    await stream.flush()
    assert stream.unreachable
    assert (stream.told, stream.deltas) == ((), ("a",))
    await taken_up(stream)

    assert event_log.texts() == ["a"]
    assert all(b - a >= 0.1 - 1e-9 for a, b in pairwise(owners.asked_at))
    assert len(owners.asked) == 4


async def test_one_lost_log_delays_no_other_run(
    writer: LogWriter, event_log: TimedLog, owners: Owners
) -> None:
    lost = await opened(writer, production())
    other = await opened(writer, production("s", "d"))
    await event_log.forget("c")
    owners.outages = 1000

    await lost.write("a")
    await other.write("b")
    await other.flush()

    assert event_log.texts("d") == ["b"]
    assert asyncio.get_running_loop().time() == 0


@pytest.mark.parametrize("failure", [Unavailable(), Internal("The script failed.")])
async def test_an_outage_only_delays(
    writer: LogWriter, event_log: TimedLog, failure: ParleyError
) -> None:
    stream = await opened(writer, production())
    event_log.failure, event_log.outages = failure, 5
    await stream.write("a")
    await asyncio.sleep(0.01)
    await stream.write("b")
    await stream.flush()
    assert stream.unreachable
    assert stream.deltas == ("a", "b")
    await taken_up(stream)

    assert event_log.texts() == ["a", "b"]
    assert stream.told == ("a", "b")


async def test_an_append_whose_answer_was_lost_is_not_done_twice(
    writer: LogWriter, event_log: TimedLog
) -> None:
    event_log.lost_answers = 1
    stream = await opened(writer, production())
    await taken_up(stream)
    assert [frame["type"] for frame in event_log.frames()] == ["run.started"]

    event_log.lost_answers = 1
    await stream.write("a")
    await taken_up(stream)
    await stream.write("b")
    await stream.flush()

    assert event_log.texts() == ["a", "b"]
    assert stream.told == ("a", "b")


async def test_a_later_attempt_numbers_its_deltas_from_the_rewind(
    writer: LogWriter, event_log: TimedLog
) -> None:
    first = await opened(writer, production())
    await first.write("abandoned")
    await first.flush()
    writer.close(first)

    second = await opened(writer, production(progress=told("abandoned")))
    second.rewind()
    await second.write("new")
    await second.flush()

    assert [(f["type"], f.get("index")) for f in event_log.frames()] == [
        ("run.started", None),
        ("delta", 0),
        ("rewind", 0),
        ("delta", 0),
    ]
    assert second.told == ("new",)


async def test_a_closed_attempt_is_not_written_any_more(
    writer: LogWriter, event_log: TimedLog
) -> None:
    stream = await opened(writer, production())
    writer.close(stream)

    await stream.write("late")
    await asyncio.sleep(1)

    assert event_log.texts() == []


async def test_without_an_interval_every_piece_goes_as_soon_as_it_can(
    event_log: TimedLog, owners: Owners, background: Background
) -> None:
    writer = LogWriter(event_log, background, interval_s=0, begin_again=owners.begin_again)
    stream = await opened(writer, production())
    for text in "abc":
        await stream.write(text)
        await stream.flush()

    assert event_log.texts() == ["a", "b", "c"]
    assert asyncio.get_running_loop().time() == 0
