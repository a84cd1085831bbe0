"""Writes a replica's deltas to the event log: all that are due in one tick, in one append.

A run's first delta goes at once; after it, at most one an interval. While an append is in flight,
text gathers.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from actors.core.errors import Unavailable
from actors.core.events import Delta, encode
from actors.stores.event_log import Append

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.background import Background
    from actors.core.runs import Production
    from actors.stores.event_log import Appended, EventLog, Kind, Status

log = structlog.get_logger()

MAX_WAITING_CHARS = 65_536
_RETRY_S = 0.1


class DeltaStream:
    """One attempt's way into the log. `refused` is why the log takes no more of it, if so.

    Where the log itself is lost, the attempt goes on without it: its answer is told whole.
    """

    def __init__(self, production: Production, wake: Callable[[], None]) -> None:
        self._production = production
        self._wake = wake
        self._index = production.progress.index
        self._opened = False
        self._lost = False
        self._waiting: list[str] = []
        self._waiting_chars = 0
        self._sent: list[str] = []
        self._settled = asyncio.Event()
        self.due_at = 0.0
        self.refused: Status | None = None
        self.on_refused: Callable[[], object] | None = None

    @property
    def text(self) -> str:
        """What the log holds of the attempt, or would."""
        return "".join(self._sent)

    @property
    def deltas(self) -> int:
        return self._index if self._opened else 0

    @property
    def dirty(self) -> bool:
        wanting = bool(self._waiting) or not self._opened
        return wanting and not self._lost and self.refused is None

    async def write(self, text: str) -> None:
        """Hands text over; waits only while too much of it waits already."""
        self._waiting.append(text)
        self._waiting_chars += len(text)
        if self._lost:
            self._take(len(self._waiting))
            return
        self._wake()
        while self._waiting_chars > MAX_WAITING_CHARS and self.dirty:
            await self._until_settled()

    async def flush(self) -> None:
        """Returns once the log holds everything, or refuses it."""
        self.due_at = 0.0
        self._wake()
        while self.dirty:
            await self._until_settled()

    async def _until_settled(self) -> None:
        self._settled.clear()
        await self._settled.wait()

    def next_append(self) -> tuple[Append, int]:
        """What is to be appended now, and how many waiting pieces it takes up."""
        if not self._opened:
            return self._append("open", 0, self._production.opening), 0
        delta = Delta(
            conversation=self._production.conversation,
            run=self._production.run,
            index=self._index,
            text="".join(self._waiting),
        )
        return self._append("delta", self._index + 1, (encode(delta),)), len(self._waiting)

    def _append(self, kind: Kind, next_index: int, events: tuple[bytes, ...]) -> Append:
        return Append(
            conversation=self._production.conversation,
            generation=self._production.generation,
            run=self._production.run,
            kind=kind,
            epoch=self._production.epoch,
            index=self._index,
            next_index=next_index,
            events=events,
        )

    def settle(self, append: Append, taken: int, appended: Appended) -> None:
        """Takes note of what the log answered to `next_append`."""
        if appended.status == "absent":
            log.warning("log lost", run=append.run, conversation=append.conversation)
            self._lost = True
            self._take(len(self._waiting))
        elif not appended.held:
            self.refused = appended.status
            if self.on_refused is not None:
                self.on_refused()
        else:
            self._opened = True
            self._index = append.next_index
            self._take(taken)
        self._settled.set()

    def _take(self, pieces: int) -> None:
        text = "".join(self._waiting[:pieces])
        del self._waiting[:pieces]
        self._waiting_chars -= len(text)
        self._sent.append(text)


class LogWriter:
    """The one writer of a replica's deltas."""

    def __init__(
        self,
        event_log: EventLog,
        background: Background,
        *,
        interval_s: float,
    ) -> None:
        self._log = event_log
        self._interval_s = interval_s
        self._streams: set[DeltaStream] = set()
        self._woken = asyncio.Event()
        background.start(self._write_forever(), name="log writer")

    def open(self, production: Production) -> DeltaStream:
        """Begins an attempt: its opening events are appended at once."""
        stream = DeltaStream(production, self._woken.set)
        self._streams.add(stream)
        self._woken.set()
        return stream

    def close(self, stream: DeltaStream) -> None:
        self._streams.discard(stream)

    async def _write_forever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            dirty = [stream for stream in self._streams if stream.dirty]
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
        prepared = [(stream, *stream.next_append()) for stream in due]
        try:
            answers = await self._log.append([append for _, append, _ in prepared])
        except Unavailable as error:
            log.warning("deltas wait", runs=len(due), error=str(error))
            for stream in due:
                stream.due_at = loop.time() + _RETRY_S
            return
        now = loop.time()
        tick = now - now % self._interval_s + self._interval_s if self._interval_s else now
        for (stream, append, taken), appended in zip(prepared, answers, strict=True):
            stream.due_at = now if append.kind == "open" else tick
            stream.settle(append, taken, appended)
