"""Deltas on their way into the log: the first at once, then at most one an interval."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from actors.core.completion import CompletionRequest
from actors.core.errors import Unavailable
from actors.core.events import RunStarted, encode
from actors.core.messages import Principal
from actors.core.runs import Production, Progress
from actors.log_writer import MAX_WAITING_CHARS, LogWriter
from config.settings import Parameters
from tests.unit.actors.memory_log import MemoryLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.background import Background
    from actors.log_writer import DeltaStream
    from actors.stores.event_log import Append, Appended

INTERVAL_S = 0.03
SOMEBODY = Principal(org_id="o", user_id="u")
ASKED = CompletionRequest(model="m", system="", turns=(), parameters=Parameters())


class TimedLog(MemoryLog):
    """Its appends take `latency_s`; the first `outages` of them find no Redis.

    After the first `lost_answers`, the append was done and only its answer does not arrive.
    """

    latency_s = 0.0
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
            raise Unavailable("Redis cannot be reached.")
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


@pytest.fixture
async def writer(event_log: TimedLog, background: Background) -> LogWriter:
    return LogWriter(event_log, background, interval_s=INTERVAL_S)


def production(run: str = "r", conversation: str = "c", **fields: Any) -> Production:
    started = RunStarted(conversation=conversation, run=run, agent="a", model="m", reply_to="q")
    return Production(
        **{
            "run": run,
            "epoch": 1,
            "conversation": conversation,
            "generation": 1,
            "progress": Progress(),
            "opening": (encode(started),),
            "request": ASKED,
            "timeout_s": 60,
            "first_token_timeout_s": 60,
            "idle_timeout_s": 60,
        }
        | fields
    )


async def taken_up(*streams: DeltaStream) -> None:
    """Returns when nothing of the streams waits any more."""
    while any(stream.dirty for stream in streams):  # noqa: ASYNC110 - only the writer is told
        await asyncio.sleep(0)


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
    assert (stream.text, stream.deltas) == ("abcd", 2)


async def test_a_flush_does_not_wait_for_the_interval(
    writer: LogWriter, event_log: TimedLog
) -> None:
    stream = await opened(writer, production())
    await stream.write("a")
    await taken_up(stream)
    await stream.write("b")
    await stream.flush()

    assert event_log.texts() == ["a", "b"]
    assert asyncio.get_running_loop().time() == 0


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
        await opened(writer, production(epoch=2, opening=()))
    refused = asyncio.Event()
    stream.on_refused = refused.set

    await stream.write("refused")
    await refused.wait()
    await stream.flush()

    assert stream.refused == status
    assert (stream.text, stream.deltas) == ("kept", 1)
    assert event_log.texts() == ["kept"]


async def test_a_refusal_frees_a_reader_that_waited(writer: LogWriter, event_log: TimedLog) -> None:
    stream = await opened(writer, production())
    await event_log.seal("c", "r")

    await stream.write("x" * (MAX_WAITING_CHARS + 1))

    assert stream.refused == "sealed"


async def test_where_the_log_is_lost_the_attempt_goes_on_without_it(
    writer: LogWriter, event_log: TimedLog
) -> None:
    stream = await opened(writer, production())
    await stream.write("told ")
    await stream.flush()
    await event_log.forget("c")

    await stream.write("and ")
    await stream.flush()
    await stream.write("untold")
    await stream.flush()

    assert stream.text == "told and untold"
    assert stream.refused is None
    assert "c" not in event_log.logs


async def test_an_outage_only_delays(writer: LogWriter, event_log: TimedLog) -> None:
    stream = await opened(writer, production())
    event_log.outages = 5
    await stream.write("a")
    await asyncio.sleep(0.01)
    await stream.write("b")
    await stream.flush()

    assert "".join(event_log.texts()) == stream.text == "ab"


async def test_an_append_whose_answer_was_lost_is_not_done_twice(
    writer: LogWriter, event_log: TimedLog
) -> None:
    event_log.lost_answers = 1
    stream = await opened(writer, production())
    assert [frame["type"] for frame in event_log.frames()] == ["run.started"]

    event_log.lost_answers = 1
    await stream.write("a")
    await stream.flush()
    await stream.write("b")
    await stream.flush()

    assert event_log.texts() == ["a", "b"]
    assert (stream.text, stream.deltas) == ("ab", 2)


async def test_a_later_attempt_numbers_its_deltas_from_the_rewind(
    writer: LogWriter, event_log: TimedLog
) -> None:
    first = await opened(writer, production())
    await first.write("abandoned")
    await first.flush()
    writer.close(first)

    second = await opened(
        writer,
        production(
            progress=Progress(started=True, index=1, text="abandoned"),
            opening=(b'{"type":"rewind","run":"r","index":0}',),
        ),
    )
    await second.write("new")
    await second.flush()

    assert [(f["type"], f.get("index")) for f in event_log.frames()] == [
        ("run.started", None),
        ("delta", 0),
        ("rewind", 0),
        ("delta", 0),
    ]
    assert (second.text, second.deltas) == ("new", 1)


async def test_a_closed_attempt_is_not_written_any_more(
    writer: LogWriter, event_log: TimedLog
) -> None:
    stream = await opened(writer, production())
    writer.close(stream)

    await stream.write("late")
    await asyncio.sleep(1)

    assert event_log.texts() == []


async def test_without_an_interval_every_piece_goes_as_soon_as_it_can(
    event_log: TimedLog, background: Background
) -> None:
    writer = LogWriter(event_log, background, interval_s=0)
    stream = await opened(writer, production())
    for text in "abc":
        await stream.write(text)
        await stream.flush()

    assert event_log.texts() == ["a", "b", "c"]
    assert asyncio.get_running_loop().time() == 0
