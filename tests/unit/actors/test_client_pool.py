"""The client pool: a provider's answer on its way into the log, until either ends."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import orjson
import pytest
from structlog.testing import capture_logs

from actors.background import Background, forever
from actors.client_pool import ClientPool
from actors.core.completion import Chunk, CompletionRequest, Finish, TextChunk, Usage
from actors.core.errors import ProviderRejected, Truncated, Unavailable
from actors.core.runs import Outcome, Progress
from actors.log_writer import LogWriter
from tests.harness.boxes import LocalBox
from tests.unit.actors.boxes import running
from tests.unit.actors.memory_log import MemoryLog
from tests.unit.actors.productions import SOMEBODY, production, told

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from actors.stores.event_log import Append, Appended

FINISH = Finish(reason="length", usage=Usage(input_tokens=3, output_tokens=2))
Line = Chunk | Exception | float


class ScriptedProvider:
    """Streams its script: chunks, errors it raises, and seconds of silence."""

    def __init__(self, *script: Line) -> None:
        self.script = script
        self.requests: list[CompletionRequest] = []
        self.open_streams = 0
        self.closed = False

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        self.requests.append(request)
        self.open_streams += 1
        try:
            for line in self.script:
                if isinstance(line, Exception):
                    raise line
                if isinstance(line, float):
                    await asyncio.sleep(line)
                else:
                    yield line
        finally:
            self.open_streams -= 1

    async def aclose(self) -> None:
        self.closed = True


class FakeContext:
    """The context actor as a client pool knows it; `down` while it cannot be reached."""

    def __init__(self) -> None:
        self.down = False
        self.checkpoints: list[list[tuple[str, int, str]]] = []

    async def checkpoint(self, batch: Sequence[tuple[str, int, str]]) -> None:
        if self.down:
            raise Unavailable
        self.checkpoints.append(list(batch))


class ServerlessPool(ClientPool):
    """A client pool over a log in memory; nobody tells it of stops but the log itself."""

    async def __init__(  # type: ignore[misc]
        self, provider: ScriptedProvider, log: MemoryLog, context: FakeContext | None = None
    ) -> None:
        self._context = LocalBox(context or FakeContext())
        self._resources = AsyncExitStack()
        self._background = await self._resources.enter_async_context(Background())
        self._provider = provider
        self._resources.push_async_callback(provider.aclose)
        self._writer = LogWriter(
            log, self._background, interval_s=0.03, begin_again=partial(_begin_again, log)
        )
        self._readers = {}
        self._checkpointed = {}
        self._background.start(
            forever(self._checkpoint, interval_s=1.0, what="checkpoint"), name="checkpoint"
        )


async def _begin_again(log: MemoryLog, run: str, epoch: int) -> int:
    assert epoch > 0
    return await log.begin("c", SOMEBODY, (await log.generation("c") or 1) + 1, [run])


@pytest.fixture
async def event_log() -> MemoryLog:
    log = MemoryLog()
    await log.begin("c", SOMEBODY, 1)
    return log


@pytest.fixture
def log_text(event_log: MemoryLog) -> Callable[[], str]:
    """Function: what the log holds of the run, as text."""

    def text() -> str:
        frames = [orjson.loads(event) for event in event_log.logs["c"].events]
        deltas: list[str] = []
        for frame in frames:
            if frame["type"] == "delta":
                deltas.append(frame["text"])
            elif frame["type"] == "rewind":
                del deltas[frame["index"] :]
        return "".join(deltas)

    return text


async def test_an_answer_goes_into_the_log_and_comes_back_whole(
    event_log: MemoryLog, log_text: Callable[[], str]
) -> None:
    provider = ScriptedProvider(TextChunk("Hel"), 0.5, TextChunk("lo"), FINISH)
    asked = production()

    async with running(ServerlessPool, provider, event_log) as pool:
        outcome = await pool.produce(asked)

    assert outcome == Outcome(
        state="completed", deltas=("Hel", "lo"), finish_reason="length", usage=FINISH.usage
    )
    assert log_text() == "Hello"
    assert provider.requests == [asked.request]
    assert provider.open_streams == 0
    assert provider.closed


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        (Truncated(), "provider_error", True),
        (ProviderRejected("No."), "provider_error", False),
        (ZeroDivisionError("a defect"), "internal", False),
    ],
)
async def test_a_failure_keeps_what_was_said_and_says_whether_to_try_again(
    event_log: MemoryLog, log_text: Callable[[], str], error: Exception, code: str, retryable: bool
) -> None:
    provider = ScriptedProvider(TextChunk("Hel"), error)

    async with running(ServerlessPool, provider, event_log) as pool:
        with capture_logs():
            outcome = await pool.produce(production())

    assert (outcome.state, outcome.deltas) == ("failed", ("Hel",))
    assert outcome.error is not None
    assert (outcome.error["code"], outcome.error["retryable"]) == (code, retryable)
    assert log_text() == "Hel"
    assert provider.open_streams == 0


async def test_a_stream_without_an_end_is_never_a_completed_answer(event_log: MemoryLog) -> None:
    provider = ScriptedProvider(TextChunk("Hel"))

    async with running(ServerlessPool, provider, event_log) as pool:
        outcome = await pool.produce(production())

    assert outcome.state == "failed"


@pytest.mark.parametrize(
    ("script", "text", "at_s"),
    [
        ((11.0, TextChunk("late")), "", 10.0),
        ((9.0, TextChunk("Hel"), 6.0, TextChunk("late")), "Hel", 14.0),
        (tuple([4.0, TextChunk("x")] * 20), "x" * 14, 60.0),
    ],
    ids=["before the first token", "between tokens", "over the whole answer"],
)
async def test_a_provider_that_is_too_slow_is_left(
    event_log: MemoryLog, script: tuple[Line, ...], text: str, at_s: float
) -> None:
    provider = ScriptedProvider(*script, FINISH)

    async with running(ServerlessPool, provider, event_log) as pool:
        outcome = await pool.produce(production())
        assert asyncio.get_running_loop().time() == pytest.approx(at_s, abs=0.1)

    assert (outcome.state, outcome.text) == ("failed", text)
    assert outcome.error is not None
    assert outcome.error["code"] == "provider_timeout"
    assert provider.open_streams == 0


async def test_a_sealed_run_closes_the_providers_stream_and_is_stopped_with_what_was_told(
    event_log: MemoryLog, log_text: Callable[[], str]
) -> None:
    provider = ScriptedProvider(TextChunk("Hel"), 1.0, TextChunk("lo"), 50.0, FINISH)

    async with running(ServerlessPool, provider, event_log) as pool:
        produced = asyncio.create_task(pool.produce(production(idle_timeout_s=60.0)))
        await asyncio.sleep(0.5)
        await event_log.seal("c", "r")
        outcome = await produced
        assert asyncio.get_running_loop().time() < 2

    assert outcome == Outcome(state="stopped", deltas=("Hel",))
    assert log_text() == "Hel"
    assert provider.open_streams == 0


async def test_a_stop_is_heard_though_the_provider_is_silent(
    event_log: MemoryLog, log_text: Callable[[], str]
) -> None:
    provider = ScriptedProvider(TextChunk("Hel"), 50.0, FINISH)

    async with running(ServerlessPool, provider, event_log) as pool:
        produced = asyncio.create_task(pool.produce(production(idle_timeout_s=60.0)))
        await asyncio.sleep(0.5)
        await event_log.seal("c", "r")
        pool._readers["r"].cancel()
        outcome = await produced

    assert outcome == Outcome(state="stopped", deltas=("Hel",))
    assert log_text() == "Hel"
    assert asyncio.get_running_loop().time() < 2


async def test_a_run_sealed_before_it_opened_stops_with_what_the_log_holds(
    event_log: MemoryLog,
) -> None:
    progress = await left_by_another(event_log, "Hel")
    await event_log.seal("c", "r")
    provider = ScriptedProvider(1.0, TextChunk("Hello"), FINISH)

    async with running(ServerlessPool, provider, event_log) as pool:
        outcome = await pool.produce(production(epoch=2, progress=progress))

    assert outcome == Outcome(state="stopped", deltas=("Hel",))


# After a failed attempt


async def left_by_another(log: MemoryLog, *pieces: str) -> Progress:
    """The log as a provider left it that broke off after these pieces."""
    script = [line for piece in pieces for line in (TextChunk(piece), 0.5)]
    async with running(ServerlessPool, ScriptedProvider(*script, Truncated()), log) as pool:
        outcome = await pool.produce(production())
    assert outcome.deltas == pieces
    return told(*outcome.deltas)


async def test_an_attempt_that_repeats_the_last_one_is_not_told_again(
    event_log: MemoryLog, log_text: Callable[[], str]
) -> None:
    progress = await left_by_another(event_log, "Hel", "lo ")
    provider = ScriptedProvider(TextChunk("Hello you"), FINISH)

    async with running(ServerlessPool, provider, event_log) as pool:
        outcome = await pool.produce(production(epoch=2, progress=progress))

    assert (outcome.state, outcome.deltas) == ("completed", ("Hel", "lo ", "you"))
    assert log_text() == "Hello you"
    assert not any(b'"rewind"' in event for event in event_log.logs["c"].events)


@pytest.mark.parametrize(
    ("answer", "deltas"),
    [("Help!", ("Help!",)), ("Hel", ("Hel",)), ("Bye", ("Bye",))],
    ids=["goes on differently", "ends earlier", "is another"],
)
async def test_an_attempt_that_differs_from_the_last_one_takes_back_the_difference(
    event_log: MemoryLog, log_text: Callable[[], str], answer: str, deltas: tuple[str, ...]
) -> None:
    progress = await left_by_another(event_log, "Hel", "lo ")
    provider = ScriptedProvider(TextChunk(answer), FINISH)

    async with running(ServerlessPool, provider, event_log) as pool:
        outcome = await pool.produce(production(epoch=2, progress=progress))

    assert (outcome.state, outcome.deltas) == ("completed", deltas)
    assert log_text() == answer


async def test_an_attempt_that_differs_in_a_log_begun_again_is_told_as_it_is(
    event_log: MemoryLog, log_text: Callable[[], str]
) -> None:
    progress = await left_by_another(event_log, "Hel", "lo ")
    await event_log.forget("c")
    provider = ScriptedProvider(1.0, TextChunk("Help!"), FINISH)

    async with running(ServerlessPool, provider, event_log) as pool:
        outcome = await pool.produce(production(epoch=2, progress=progress))

    assert (outcome.state, outcome.text) == ("completed", "Help!")
    assert log_text() == "Help!"


async def test_a_continuation_is_told_after_what_readers_have(
    event_log: MemoryLog, log_text: Callable[[], str]
) -> None:
    progress = await left_by_another(event_log, "Hel")
    provider = ScriptedProvider(TextChunk("Hel"), TextChunk("p"), FINISH)

    async with running(ServerlessPool, provider, event_log) as pool:
        outcome = await pool.produce(production(epoch=2, progress=progress, continues=True))

    assert (outcome.state, outcome.text) == ("completed", "HelHelp")
    assert log_text() == "HelHelp"


async def test_a_failed_attempt_keeps_what_readers_have_though_it_repeated_less(
    event_log: MemoryLog,
) -> None:
    progress = await left_by_another(event_log, "Hel", "lo ")
    provider = ScriptedProvider(TextChunk("He"), Truncated())

    async with running(ServerlessPool, provider, event_log) as pool:
        outcome = await pool.produce(production(epoch=2, progress=progress))

    assert (outcome.state, outcome.deltas) == ("failed", ("Hel", "lo "))


# Checkpoints


async def test_checkpoints_are_of_the_runs_that_have_changed(event_log: MemoryLog) -> None:
    context = FakeContext()
    provider = ScriptedProvider(TextChunk("a"), 1.5, TextChunk("b"), 4.0, FINISH)

    async with running(ServerlessPool, provider, event_log, context) as pool:
        await asyncio.sleep(0.5)
        await pool.produce(production(epoch=3))

    assert context.checkpoints == [[("r", 3, "a")], [("r", 3, "ab")]]


async def test_a_checkpoint_that_failed_is_made_with_the_next(event_log: MemoryLog) -> None:
    context = FakeContext()
    context.down = True
    provider = ScriptedProvider(TextChunk("a"), 4.0, FINISH)

    async with running(ServerlessPool, provider, event_log, context) as pool:
        produced = asyncio.create_task(pool.produce(production()))
        await asyncio.sleep(2.5)
        assert not context.checkpoints
        context.down = False
        await produced

    assert context.checkpoints == [[("r", 1, "a")]]


class UnreachableLog(MemoryLog):
    async def append(self, appends: Sequence[Append]) -> list[Appended]:
        raise Unavailable


async def test_checkpoints_go_on_while_the_log_cannot_be_reached() -> None:
    context = FakeContext()
    provider = ScriptedProvider(
        *[line for text in "abc" for line in (TextChunk(text), 1.0)], FINISH
    )

    async with running(ServerlessPool, provider, UnreachableLog(), context) as pool:
        await asyncio.sleep(0.5)
        outcome = await pool.produce(production())

    assert [text for batch in context.checkpoints for _, _, text in batch] == ["a", "ab", "abc"]
    assert (outcome.state, outcome.text) == ("completed", "abc")


async def test_a_caller_that_goes_away_does_not_end_the_answer(
    event_log: MemoryLog, log_text: Callable[[], str]
) -> None:
    provider = ScriptedProvider(TextChunk("Hel"), 1.0, TextChunk("lo"), FINISH)

    async with running(ServerlessPool, provider, event_log) as pool:
        caller = asyncio.create_task(pool.produce(production()))
        await asyncio.sleep(0.5)
        caller.cancel()
        await asyncio.sleep(1)
        assert log_text() == "Hello"
        assert not pool._readers
        assert not pool._writer._streams

    assert caller.cancelled()


async def test_a_second_attempt_at_a_run_is_not_forgotten_with_the_first(
    event_log: MemoryLog,
) -> None:
    provider = ScriptedProvider(TextChunk("Hel"), 1.0, FINISH)

    async with running(ServerlessPool, provider, event_log) as pool:
        first = asyncio.create_task(pool.produce(production()))
        await asyncio.sleep(0.5)
        second = asyncio.create_task(pool.produce(production(epoch=2, progress=told("Hel"))))
        await first
        assert set(pool._readers) == {"r"}
        await second
        assert not pool._readers


async def test_what_no_database_takes_never_reaches_the_log(
    event_log: MemoryLog, log_text: Callable[[], str]
) -> None:
    provider = ScriptedProvider(TextChunk("a\0b\ud800c"), FINISH)

    async with running(ServerlessPool, provider, event_log) as pool:
        outcome = await pool.produce(production())

    assert outcome.text == log_text() == "ab\N{REPLACEMENT CHARACTER}c"


async def test_an_ending_replica_closes_its_streams_and_its_client(event_log: MemoryLog) -> None:
    provider = ScriptedProvider(TextChunk("Hel"), 50.0, FINISH)

    async with running(ServerlessPool, provider, event_log) as pool:
        caller = asyncio.create_task(pool.produce(production(idle_timeout_s=60.0)))
        await asyncio.sleep(0.5)

    assert provider.open_streams == 0
    assert provider.closed
    caller.cancel()
    await asyncio.wait([caller])


async def test_a_replica_that_ends_before_the_answer_says_so_and_not_that_it_was_stopped(
    event_log: MemoryLog,
) -> None:
    provider = ScriptedProvider(TextChunk("Hel"), 60.0)
    async with running(ServerlessPool, provider, event_log) as pool:
        producing = asyncio.create_task(pool.produce(production()))
        await asyncio.sleep(1.0)

    with pytest.raises(Unavailable):
        await producing
