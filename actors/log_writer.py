"""Writes a replica's deltas to the event log: all that are due in one tick, in one append.

A run's first delta goes at once; after it, at most one an interval. While an append is in flight,
text gathers.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from actors.core.errors import ParleyError
from actors.delta_stream import DeltaStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from actors.background import Background
    from actors.core.runs import Production
    from actors.stores.event_log import EventLog

log = structlog.get_logger()

_RETRY_S = 0.1
_LOST = {"absent", "gap"}
"""Answers of a log that was emptied, or fell back, since the stream began."""


class LogWriter:
    """The one writer of a replica's deltas.

    `begin_again` gives the generation of a new log for a run held in an epoch, or None where the
    run is another's by now; it raises Unavailable where that cannot be known.
    """

    def __init__(
        self,
        event_log: EventLog,
        background: Background,
        *,
        interval_s: float,
        begin_again: Callable[[str, int], Awaitable[int | None]],
    ) -> None:
        self._log = event_log
        self._background = background
        self._interval_s = interval_s
        self._begin_again = begin_again
        self._streams: set[DeltaStream] = set()
        self._lost: set[DeltaStream] = set()
        self._woken = asyncio.Event()
        background.start(self._write_forever(), name="log writer")

    @property
    def streams(self) -> tuple[DeltaStream, ...]:
        return tuple(self._streams)

    def open(self, production: Production) -> DeltaStream:
        """Begins an attempt: its opening is appended at once."""
        stream = DeltaStream(production, self._woken.set)
        self._streams.add(stream)
        self._woken.set()
        return stream

    def close(self, stream: DeltaStream) -> None:
        self._streams.discard(stream)

    async def _write_forever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            dirty = [s for s in self._streams if s.dirty and s not in self._lost]
            now = loop.time()
            due = [stream for stream in dirty if stream.due_at <= now]
            if due:
                await self._append(due)
                continue
            delay = min((s.due_at for s in dirty), default=now + 3600) - now
            self._woken.clear()
            try:
                async with asyncio.timeout(delay):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def _append(self, due: list[DeltaStream]) -> None:
        loop = asyncio.get_running_loop()
        appends = [stream.next_append() for stream in due]
        try:
            answers = await self._log.append(appends)
        except ParleyError as error:
            log.warning("deltas wait", runs=len(due), error=str(error))
            for stream in due:
                stream.due_at = loop.time() + _RETRY_S
                stream.lose_contact()
            return
        now = loop.time()
        tick = now - now % self._interval_s + self._interval_s if self._interval_s else now
        for stream, append, appended in zip(due, appends, answers, strict=True):
            stream.due_at = now if append.kind == "open" else tick
            if appended.status in _LOST:
                self._lost.add(stream)
                self._background.start(self._recover(stream), name=f"log of {append.run}")
            else:
                stream.settle(appended)

    async def _recover(self, stream: DeltaStream) -> None:
        """Only whoever holds the run's epoch begins its log again."""
        production = stream.production
        try:
            generation = await self._begin_again(production.run, production.epoch)
        except ParleyError as error:
            log.warning("log not begun again", run=production.run, error=str(error))
            stream.due_at = asyncio.get_running_loop().time() + _RETRY_S
            stream.lose_contact()
        else:
            if generation is None:
                stream.abandon()
            else:
                stream.begin_again(generation)
        finally:
            self._lost.discard(stream)
            self._woken.set()
