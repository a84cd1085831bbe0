"""The client pool: a provider's answer on its way into the log, until either ends."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from structlog.testing import capture_logs

from actors.background import Background
from actors.client_pool import ClientPool
from actors.core.completion import Chunk, CompletionRequest, Finish, TextChunk, Usage
from actors.core.errors import ProviderRejected, Truncated
from actors.core.messages import Principal
from actors.core.runs import Outcome, Production, Progress
from actors.log_writer import LogWriter
from config.settings import Parameters
from tests.unit.actors.boxes import running
from tests.unit.actors.memory_log import MemoryLog

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

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


class ServerlessPool(ClientPool):
    """A client pool over a log in memory; nobody tells it of stops but the log itself."""

    async def __init__(self, provider: ScriptedProvider, log: MemoryLog) -> None:  # type: ignore[misc]
        self._resources = AsyncExitStack()
        self._background = await self._resources.enter_async_context(Background())
        self._provider = provider
        self._resources.push_async_callback(provider.aclose)
        self._writer = LogWriter(log, self._background, interval_s=0.03)
        self._readers = {}


@pytest.fixture
async def event_log() -> MemoryLog:
    log = MemoryLog()
    await log.begin("c", Principal(org_id="o", user_id="u"), 1)
    return log


def production(**fields: Any) -> Production:
    return Production(
        **{
            "run": "r",
            "epoch": 1,
            "conversation": "c",
            "generation": 1,
            "progress": Progress(),
            "opening": (b'{"type":"run.started","run":"r"}',),
            "request": CompletionRequest(model="m", system="", turns=(), parameters=Parameters()),
            "timeout_s": 60.0,
            "first_token_timeout_s": 10.0,
            "idle_timeout_s": 5.0,
        }
        | fields
    )


@pytest.fixture
def told(event_log: MemoryLog) -> Callable[[], str]:
    """Function: what the log holds of the run, as text."""

    def text() -> str:
        frames = [orjson.loads(event) for event in event_log.logs["c"].events]
        return "".join(frame["text"] for frame in frames if frame["type"] == "delta")

    return text


async def test_an_answer_goes_into_the_log_and_comes_back_whole(
    event_log: MemoryLog, told: Callable[[], str]
) -> None:
    provider = ScriptedProvider(TextChunk("Hel"), 0.5, TextChunk("lo"), FINISH)
    asked = production()

    async with running(ServerlessPool, provider, event_log) as pool:
        outcome = await pool.produce(asked)

    assert outcome == Outcome(
        state="completed", text="Hello", deltas=2, finish_reason="length", usage=FINISH.usage
    )
    assert told() == "Hello"
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
    event_log: MemoryLog, told: Callable[[], str], error: Exception, code: str, retryable: bool
) -> None:
    provider = ScriptedProvider(TextChunk("Hel"), error)

    async with running(ServerlessPool, provider, event_log) as pool:
        with capture_logs():
            outcome = await pool.produce(production())

    assert (outcome.state, outcome.text, outcome.deltas) == ("failed", "Hel", 1)
    assert outcome.error is not None
    assert (outcome.error["code"], outcome.error["retryable"]) == (code, retryable)
    assert told() == "Hel"
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
    event_log: MemoryLog, told: Callable[[], str]
) -> None:
    provider = ScriptedProvider(TextChunk("Hel"), 1.0, TextChunk("lo"), 50.0, FINISH)

    async with running(ServerlessPool, provider, event_log) as pool:
        produced = asyncio.create_task(pool.produce(production(idle_timeout_s=60.0)))
        await asyncio.sleep(0.5)
        await event_log.seal("c", "r")
        outcome = await produced
        assert asyncio.get_running_loop().time() < 2

    assert outcome == Outcome(state="stopped", text="Hel", deltas=1)
    assert told() == "Hel"
    assert provider.open_streams == 0


async def test_a_caller_that_goes_away_does_not_end_the_answer(
    event_log: MemoryLog, told: Callable[[], str]
) -> None:
    provider = ScriptedProvider(TextChunk("Hel"), 1.0, TextChunk("lo"), FINISH)

    async with running(ServerlessPool, provider, event_log) as pool:
        caller = asyncio.create_task(pool.produce(production()))
        await asyncio.sleep(0.5)
        caller.cancel()
        await asyncio.sleep(1)
        assert told() == "Hello"
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
        second = asyncio.create_task(pool.produce(production(epoch=2, opening=())))
        await first
        assert set(pool._readers) == {"r"}
        await second
        assert not pool._readers


async def test_what_no_database_takes_never_reaches_the_log(
    event_log: MemoryLog, told: Callable[[], str]
) -> None:
    provider = ScriptedProvider(TextChunk("a\0b\ud800c"), FINISH)

    async with running(ServerlessPool, provider, event_log) as pool:
        outcome = await pool.produce(production())

    assert outcome.text == told() == "ab\N{REPLACEMENT CHARACTER}c"


async def test_an_ending_replica_closes_its_streams_and_its_client(event_log: MemoryLog) -> None:
    provider = ScriptedProvider(TextChunk("Hel"), 50.0, FINISH)

    async with running(ServerlessPool, provider, event_log) as pool:
        caller = asyncio.create_task(pool.produce(production(idle_timeout_s=60.0)))
        await asyncio.sleep(0.5)

    assert provider.open_streams == 0
    assert provider.closed
    caller.cancel()
    await asyncio.wait([caller])
