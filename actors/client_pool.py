"""The client pool of one provider: long-lived SDK clients, and the runs that read from them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from actors.background import Background, forever
from actors.calls import ask
from actors.core.completion import Finish, TextChunk
from actors.core.errors import Internal, ParleyError, ProviderTimeout, Unavailable
from actors.core.runs import Outcome
from actors.core.stitching import Step, Stitcher
from actors.log_writer import LogWriter
from actors.providers.registry import create
from actors.stores import keys
from actors.stores.event_log import EventLog
from actors.stores.redis import Redis

if TYPE_CHECKING:
    from actors.core.runs import Production
    from actors.delta_stream import DeltaStream
    from config.settings import Settings

log = structlog.get_logger()

_CHECKPOINT_S = 1.0
_UNSTORABLE = {0: None} | dict.fromkeys(range(0xD800, 0xE000), "\N{REPLACEMENT CHARACTER}")
"""Characters that neither UTF-8 nor Postgres takes: NUL, and surrogates standing alone."""


class ClientPool:
    """Produces answers of one provider straight into the event log.

    The SDK client is the replica's, one for all the runs; a run has only a stream of it.
    """

    _closing = False

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, provider: str, settings: Settings, context: Any
    ) -> None:
        self._context = context
        self._resources = AsyncExitStack()
        background = await self._resources.enter_async_context(Background())
        self._redis = await self._resources.enter_async_context(Redis(settings.redis))
        self._provider = create(provider, settings.providers[provider])
        self._resources.push_async_callback(self._provider.aclose)
        self._background = background
        self._writer = LogWriter(
            EventLog(self._redis, log_ttl_s=settings.redis.log_ttl_s),
            background,
            interval_s=settings.coalescing.interval_ms / 1000,
            begin_again=partial(ask, context, "begin_log_again"),
        )
        self._readers: dict[str, asyncio.Task[Outcome]] = {}
        self._checkpointed: dict[DeltaStream, str] = {}
        background.start(
            forever(self._checkpoint, interval_s=_CHECKPOINT_S, what="checkpoint"),
            name="checkpoint",
        )
        background.start(forever(self._hear_stops, interval_s=0.5, what="stops"), name="stops")

    async def __del__(self) -> None:
        self._closing = True
        await self._resources.aclose()

    async def produce(self, production: Production) -> Outcome:
        """Reads the provider's answer into the run's log, until either ends.

        A failed outcome is the provider's; a stopped one says that the log refuses more.

        Raises:
            Unavailable: this replica ends before the answer does.
        """
        stream = self._writer.open(production)
        reader = self._background.start(
            self._read(production, stream), name=f"run {production.run}"
        )
        stream.on_refused = reader.cancel
        self._readers[production.run] = reader
        try:
            return await asyncio.shield(reader)
        except asyncio.CancelledError:
            if not reader.cancelled():
                raise
            if self._closing:
                raise Unavailable("The client pool is restarting.", retry_after_s=1.0) from None
            await stream.flush()
            return Outcome(state="stopped", deltas=stream.told)
        finally:
            if reader.done():
                self._forget(production.run, reader, stream)
            else:
                reader.add_done_callback(lambda _: self._forget(production.run, reader, stream))

    def _forget(self, run: str, reader: asyncio.Task[Outcome], stream: DeltaStream) -> None:
        self._writer.close(stream)
        if self._readers.get(run) is reader:
            del self._readers[run]

    async def _read(self, production: Production, stream: DeltaStream) -> Outcome:
        finish: Finish | None = None
        error: ParleyError | None = None
        try:
            finish = await self._copy(production, stream)
        except TimeoutError:
            error = ProviderTimeout()
        except ParleyError as failure:
            error = failure
        except Exception as defect:
            log.exception("adapter failed", run=production.run)
            error = Internal(f"The adapter failed: {type(defect).__name__}.")
        await stream.flush()
        if finish is None or error is not None:
            problem = error or Internal()
            error_json = problem.as_json()
            error_json["message"] = problem.message.translate(_UNSTORABLE)
            return Outcome(state="failed", deltas=stream.deltas, error=error_json)
        return Outcome(
            state="completed",
            deltas=stream.deltas,
            finish_reason=finish.reason,
            usage=finish.usage,
        )

    async def _copy(self, production: Production, stream: DeltaStream) -> Finish | None:
        loop = asyncio.get_running_loop()
        finish = None
        stitcher = Stitcher("" if production.continues else production.progress.text)
        async with (
            asyncio.timeout(production.timeout_s),
            asyncio.timeout(production.first_token_timeout_s) as silence,
            aclosing(self._provider.stream(production.request)) as chunks,
        ):
            async for chunk in chunks:
                match chunk:
                    case TextChunk(text):
                        silence.reschedule(loop.time() + production.idle_timeout_s)
                        await _tell(stream, stitcher.feed(text.translate(_UNSTORABLE)))
                    case Finish():
                        finish = chunk
        if finish is not None:
            await _tell(stream, stitcher.end())
        return finish

    async def _checkpoint(self) -> None:
        """Hands what unfinished answers have become since the last time to Postgres."""
        texts = {stream: "".join(stream.deltas) for stream in self._writer.streams}
        batch = [
            (stream.production.run, stream.production.epoch, text)
            for stream, text in texts.items()
            if text != self._checkpointed.get(stream, "")
        ]
        if batch:
            await ask(self._context, "checkpoint", batch)
        self._checkpointed = texts

    async def _hear_stops(self) -> None:
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(keys.STOPS_CHANNEL)
            async for message in pubsub.listen():
                if message["type"] == "message":
                    reader = self._readers.get(message["data"].decode())
                    if reader is not None:
                        reader.cancel()


async def _tell(stream: DeltaStream, step: Step) -> None:
    if step.rewind:
        stream.rewind()
    if step.text:
        await stream.write(step.text)
