"""A watched conversation: its newest events in memory, and who waits for them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from actors.core.cursors import Cursor
from actors.core.events import with_cursor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors.core.messages import Principal

CHUNK = 128
_RECENT = 512
_RECENT_BYTES = 262_144


class Frame(NamedTuple):
    """What a client is sent, and the cursor that it has reached by then."""

    cursor: Cursor
    text: bytes


@dataclass(slots=True, eq=False)
class Watch:
    """One connection's place in one conversation; whoever sends the frames moves the cursor."""

    feed: Feed
    principal: Principal
    wake: Callable[[Watch], None]
    cursor: Cursor | None = None
    """The last event told; None where a snapshot is due."""
    held: int = 0
    """Above 0, events wait: the connection has a reply to send that comes before them."""

    @property
    def conversation(self) -> str:
        return self.feed.conversation

    @property
    def live(self) -> bool:
        return self in self.feed.watches


@dataclass(slots=True, eq=False)
class Feed:
    """`last` is the newest event of all, whether memory holds it or only the log."""

    conversation: str
    last: Cursor = field(default=Cursor(0, 0))
    recent: deque[Frame] = field(default_factory=deque)
    recent_bytes: int = 0
    watches: dict[Watch, None] = field(default_factory=dict)
    placing: int = 0
    """How many are about to watch."""
    gone: bool = False
    """The conversation was deleted."""

    def add(self, generation: int, first: int, events: Iterable[bytes]) -> None:
        """Takes note of events that follow each other; those known already are passed over."""
        if generation < self.last.generation:
            return
        if generation > self.last.generation or first > self.last.n + 1:
            self.reach(Cursor(generation, first - 1))
        for n, event in enumerate(events, start=first):
            if n == self.last.n + 1:
                self.last = Cursor(generation, n)
                self._remember(Frame(self.last, with_cursor(event, str(self.last))))

    def reach(self, cursor: Cursor) -> None:
        """Takes note that there are events up to a cursor, which only the log holds."""
        if cursor > self.last:
            self.last = cursor
            self.recent.clear()
            self.recent_bytes = 0

    def after(self, cursor: Cursor) -> list[Frame] | None:
        """The next frames after a cursor, or None where memory does not reach back to it."""
        if cursor == self.last:
            return []
        first = self.recent[0].cursor if self.recent else None
        if first is None or cursor.generation != first.generation or cursor.n + 1 < first.n:
            return None
        skip = cursor.n + 1 - first.n
        return [self.recent[at] for at in range(skip, min(skip + CHUNK, len(self.recent)))]

    def wake(self) -> None:
        for watch in self.watches:
            watch.wake(watch)

    def _remember(self, frame: Frame) -> None:
        self.recent.append(frame)
        self.recent_bytes += len(frame.text)
        while len(self.recent) > _RECENT or self.recent_bytes > _RECENT_BYTES:
            self.recent_bytes -= len(self.recent.popleft().text)
