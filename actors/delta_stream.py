"""One attempt's way into the event log: what is told, what is on its way, what waits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.core.events import Delta, Rewind, encode
from actors.stores.event_log import Append

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.core.runs import Production
    from actors.stores.event_log import Appended, Kind, Status

MAX_WAITING_CHARS = 65_536
_AGAIN = "the answer went on differently"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pending:
    """An append on its way; it is repeated unchanged until the log has answered."""

    append: Append
    rewinds: bool = False
    text: str = ""


class DeltaStream:
    """`refused` is why the log takes no more of this attempt, if so; `unreachable`, that Redis is.

    Where a log was begun again, all that was told so far is told again, as one delta.
    """

    def __init__(self, production: Production, wake: Callable[[], None]) -> None:
        self.production = production
        self._wake = wake
        self._generation = production.generation
        self._started = production.progress.started
        self._opened = False
        self._told = list(production.progress.deltas) if self._started else []
        self._waiting = [] if self._started else list(production.progress.deltas)
        self._waiting_chars = sum(map(len, self._waiting))
        self._rewinds = False
        self._pending: _Pending | None = None
        self._settled = asyncio.Event()
        self.due_at = 0.0
        self.unreachable = False
        self.refused: Status | None = None
        self.on_refused: Callable[[], object] | None = None

    @property
    def deltas(self) -> tuple[str, ...]:
        """What readers have, and what they would have next."""
        told = list(self._told)
        if self._pending is not None:
            if self._pending.rewinds:
                told.clear()
            if self._pending.text:
                told.append(self._pending.text)
        if self._rewinds:
            told.clear()
        if self._waiting:
            told.append("".join(self._waiting))
        return tuple(told)

    @property
    def told(self) -> tuple[str, ...]:
        """What the log holds."""
        return tuple(self._told)

    @property
    def dirty(self) -> bool:
        if self.refused is not None:
            return False
        return bool(self._waiting or self._pending or self._rewinds or not self._opened)

    async def write(self, text: str) -> None:
        """Hands text over; waits only while too much of it waits already."""
        self._waiting.append(text)
        self._waiting_chars += len(text)
        self._wake()
        while self._waiting_chars > MAX_WAITING_CHARS and self.dirty and not self.unreachable:
            await self._until_settled()

    def rewind(self) -> None:
        """Takes back all that readers have, or would have next."""
        self._rewinds = True
        self._waiting.clear()
        self._waiting_chars = 0
        self._wake()

    async def flush(self) -> None:
        """Returns once the log holds everything, refuses it, or cannot be reached."""
        self.due_at = 0.0
        self._wake()
        while self.dirty and not self.unreachable:
            await self._until_settled()

    async def _until_settled(self) -> None:
        self._settled.clear()
        await self._settled.wait()

    def next_append(self) -> Append:
        """What is to be appended now."""
        if self._pending is None:
            self._pending = self._prepare()
        return self._pending.append

    def _prepare(self) -> _Pending:
        index = len(self._told)
        if not self._opened:
            opening = [] if self._started else [self.production.started]
            return _Pending(append=self._append("open", index, opening))
        text = "".join(self._waiting)
        self._waiting.clear()
        self._waiting_chars = 0
        rewinds, self._rewinds = self._rewinds and index > 0, False
        kept = 0 if rewinds else index
        append = self._append("delta", kept + bool(text), self._events(kept, text, rewinds=rewinds))
        return _Pending(append=append, rewinds=rewinds, text=text)

    def _events(self, index: int, text: str, *, rewinds: bool) -> list[bytes]:
        names = {"conversation": self.production.conversation, "run": self.production.run}
        events = []
        if rewinds:
            events.append(encode(Rewind(**names, index=0, reason=_AGAIN)))
        if text:
            events.append(encode(Delta(**names, index=index, text=text)))
        return events

    def _append(self, kind: Kind, next_index: int, events: list[bytes]) -> Append:
        return Append(
            conversation=self.production.conversation,
            generation=self._generation,
            run=self.production.run,
            kind=kind,
            epoch=self.production.epoch,
            index=len(self._told),
            next_index=next_index,
            events=events,
        )

    def settle(self, appended: Appended) -> None:
        """Takes note of what the log answered to `next_append`."""
        pending, self._pending = self._pending, None
        self.unreachable = False
        if pending is None:
            return
        if not appended.held:
            self._refuse(appended.status)
        elif pending.append.kind == "open":
            self._opened = self._started = True
        else:
            if pending.rewinds:
                self._told.clear()
            if pending.text:
                self._told.append(pending.text)
        self._settled.set()

    def lose_contact(self) -> None:
        """Redis did not answer; the append is repeated."""
        self.unreachable = True
        self._settled.set()

    def begin_again(self, generation: int) -> None:
        """The log was lost, and begun again: all that readers had is to be told again."""
        text = "".join(self.deltas)
        self._generation = generation
        self._pending = None
        self._opened = self._started = self._rewinds = False
        self._told.clear()
        self._waiting = [text] if text else []
        self._waiting_chars = len(text)
        self._wake()

    def abandon(self) -> None:
        """The run is no longer this attempt's."""
        self._refuse("fenced")
        self._settled.set()

    def _refuse(self, status: Status) -> None:
        self.refused = status
        if self.on_refused is not None:
            self.on_refused()
