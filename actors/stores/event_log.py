"""The event log: a stream per conversation, appended to and attached to by scripts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgpack

from actors.core.cursors import Cursor
from actors.core.errors import Forbidden, Internal
from actors.stores import keys
from actors.stores.redis import Redis, translated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from actors.core.messages import Principal

Kind = Literal["message", "open", "delta", "end"]
Status = Literal["ok", "known", "absent", "fenced", "sealed", "ended", "gap"]
WATCH_S = 60
"""How long a gateway's registration holds unless it is renewed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """Events of one run, and the state of the run in which alone they may be appended.

    `message` announces the run; `open` begins an attempt at its deltas, where the log holds
    `index` of them; `delta` moves that number to `next_index` (back, where the events rewind);
    `end` is the terminal event of a run of which the log holds `index` deltas; others may come
    with it where it holds none.
    """

    conversation: str
    generation: int
    run: str
    kind: Kind
    events: Sequence[bytes]
    epoch: int = 0
    index: int = 0
    next_index: int = 0


@dataclass(frozen=True, slots=True)
class Appended:
    """`known`: it had been appended before. Every other status but `ok` is a refusal."""

    status: Status
    n: int
    next_index: int

    @property
    def held(self) -> bool:
        return self.status in {"ok", "known"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    n: int
    event: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """The log at the instant of the registration.

    `gapless`: `entries` are the first of those after the cursor asked for. Else they are all that
    is held, and `runs` has the state of every run in it: a, o, x or d (see append.lua).
    """

    cursor: Cursor
    gapless: bool
    entries: tuple[Entry, ...]
    runs: dict[str, str]


class EventLog:
    """The logs of all conversations. Methods raise Unavailable where Redis cannot be reached."""

    def __init__(
        self, redis: Redis, *, log_ttl_s: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._redis = redis
        self._log_ttl_s = log_ttl_s
        self._clock = clock

    async def append(self, appends: Sequence[Append]) -> list[Appended]:
        """All in one script; a refusal of one leaves the others."""
        operations = [
            [
                keys.head(a.conversation),
                keys.log(a.conversation),
                keys.watchers(a.conversation),
                a.conversation,
                a.generation,
                a.run,
                a.kind,
                a.epoch,
                a.index,
                a.next_index,
                a.events,
            ]
            for a in appends
        ]
        packed = msgpack.packb(operations, use_bin_type=False)  # cmsgpack knows no bin
        answers = await self._redis.run("append", [], [packed, int(self._clock()), self._log_ttl_s])
        return [Appended(status.decode(), n, index) for status, n, index in answers]

    async def begin(
        self,
        conversation: str,
        principal: Principal,
        generation: int,
        unfinished: Sequence[str] = (),
    ) -> int:
        """Begins a log, unless one of this or a later generation is held; answers which is.

        The messages of the `unfinished` runs count as announced: whoever attaches gets them in a
        snapshot.
        """
        held: int = await self._redis.run(
            "begin",
            [keys.head(conversation), keys.log(conversation)],
            [_owner(principal), generation, conversation, keys.BEGUN_CHANNEL, *unfinished],
        )
        return held

    async def attach(
        self, conversation: str, principal: Principal, gateway: str, after: Cursor | None
    ) -> Attached | None:
        """Registers the gateway; None where there is no log.

        Raises:
            Forbidden: the conversation is another user's.
        """
        known = after or Cursor(0, -1)
        answer = await self._redis.run(
            "attach",
            [keys.head(conversation), keys.log(conversation), keys.watchers(conversation)],
            [
                _owner(principal),
                keys.gateway_channel(gateway),
                WATCH_S,
                int(self._clock()),
                known.generation,
                known.n,
            ],
        )
        match answer:
            case [b"absent"]:
                return None
            case [b"forbidden"]:
                raise Forbidden("The conversation is another user's.")
            case [b"tail", generation, n, entries]:
                return Attached(
                    cursor=Cursor(generation, n), gapless=True, entries=_entries(entries), runs={}
                )
            case [b"lost", generation, n, entries, runs]:
                texts = [item.decode() for item in runs]
                return Attached(
                    cursor=Cursor(generation, n),
                    gapless=False,
                    entries=_entries(entries),
                    runs=dict(zip(texts[::2], texts[1::2], strict=True)),
                )
        raise Internal("attach.lua answered something unknown")

    async def read(self, conversation: str, after: Cursor, count: int) -> tuple[Entry, ...] | None:
        """The next events after a cursor, or None where the log no longer holds them gaplessly."""
        raw = await self._range(conversation, f"({after.generation}-{after.n}", count)
        entries = _entries(raw, generation=after.generation)
        if entries and entries[0].n != after.n + 1:
            return None
        return entries

    async def cursor_before_message(self, conversation: str, message: str) -> Cursor | None:
        """The cursor just before a message's own event, while the log holds that."""
        for stream_id, fields in await self._range(conversation):
            event: bytes = fields[b"e"]
            if b'"type":"message"' in event and message.encode() in event:
                generation, n = stream_id.split(b"-")
                return Cursor(int(generation), int(n) - 1)
        return None

    async def generation(self, conversation: str) -> int | None:
        """The generation held, or None where there is no log."""
        with translated():
            raw = await self._redis.client.hget(keys.head(conversation), "g")
        return None if raw is None else int(raw)

    async def held(self, conversation: str) -> tuple[Entry, ...]:
        """All events that the log holds."""
        return _entries(await self._range(conversation))

    async def fence(self, conversation: str, run: str, epoch: int) -> None:
        """Refuses all further appends of the run's earlier epochs."""
        await self._redis.run("fence", [keys.head(conversation)], [run, epoch])

    async def seal(self, conversation: str, run: str) -> None:
        """Refuses all further deltas of the run, and tells its producer."""
        await self._redis.run("seal", [keys.head(conversation)], [run, keys.STOPS_CHANNEL])

    async def _range(
        self, conversation: str, minimum: str = "-", count: int | None = None
    ) -> Sequence[Any]:
        with translated():
            raw = await self._redis.client.xrange(keys.log(conversation), min=minimum, count=count)
        return raw or ()

    async def forget(self, conversation: str) -> None:
        with translated():
            await self._redis.client.delete(
                keys.head(conversation), keys.log(conversation), keys.watchers(conversation)
            )


def _owner(principal: Principal) -> str:
    return f"{principal.org_id}/{principal.user_id}"


def _entries(raw: Sequence[Any], generation: int | None = None) -> tuple[Entry, ...]:
    entries = []
    for stream_id, fields in raw:
        held_generation, n = stream_id.split(b"-")
        if generation is not None and int(held_generation) != generation:
            break
        event = fields[b"e"] if isinstance(fields, dict) else fields[1]
        entries.append(Entry(n=int(n), event=event))
    return tuple(entries)
