"""An event log in memory, for tests that have no Redis.

It keeps every rule of the scripts but time: nothing is trimmed and nothing expires. The contract
suite of the stores runs over it as over the real one.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from actors.core.cursors import Cursor
from actors.core.errors import Forbidden
from actors.stores.event_log import Append, Appended, Attached, Entry, EventLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.core.messages import Principal
    from actors.stores.event_log import Status

STATES = {"message": "a", "open": "o", "delta": "o", "end": "d"}


@dataclass
class HeldRun:
    state: str
    epoch: int
    index: int
    n: int


@dataclass
class HeldLog:
    """One conversation's log of one generation."""

    generation: int
    owner: Principal
    events: list[bytes] = field(default_factory=list)
    runs: dict[str, HeldRun] = field(default_factory=dict)


class MemoryLog(EventLog):
    """`batches` has the appends as they came; `told` what each gateway would have been told."""

    def __init__(self) -> None:
        self.logs: dict[str, HeldLog] = {}
        self.batches: list[list[Append]] = []
        self.watchers: dict[str, set[str]] = defaultdict(set)
        self.told: dict[str, list[tuple[str, Cursor, bytes]]] = defaultdict(list)

    async def append(self, appends: Sequence[Append]) -> list[Appended]:
        self.batches.append(list(appends))
        return [self._append(append) for append in appends]

    def _append(self, append: Append) -> Appended:
        log = self.logs.get(append.conversation)
        if log is None or log.generation != append.generation:
            return Appended("absent", 0, 0)
        run = log.runs.get(append.run)
        refusal = _refusal(append, run)
        if refusal is not None:
            known = refusal == "known" and run is not None
            return Appended(refusal, run.n if known else len(log.events), run.index if run else 0)
        for event in append.events:
            log.events.append(event)
            for gateway in self.watchers[append.conversation]:
                cursor = Cursor(log.generation, len(log.events))
                self.told[gateway].append((append.conversation, cursor, event))
        index = append.next_index
        if append.kind in {"message", "end"}:
            index = run.index if run else 0
        n = len(log.events)
        log.runs[append.run] = HeldRun(STATES[append.kind], append.epoch, index, n)
        return Appended("ok", n, index)

    async def begin(
        self,
        conversation: str,
        principal: Principal,
        generation: int,
        unfinished: Sequence[str] = (),
    ) -> int:
        log = self.logs.get(conversation)
        if log is None or log.generation < generation:
            runs = {run: HeldRun("a", 0, 0, 0) for run in unfinished}
            self.logs[conversation] = log = HeldLog(generation, principal, runs=runs)
        return log.generation

    async def generation(self, conversation: str) -> int | None:
        log = self.logs.get(conversation)
        return log.generation if log else None

    async def attach(
        self, conversation: str, principal: Principal, gateway: str, after: Cursor | None
    ) -> Attached | None:
        log = self.logs.get(conversation)
        if log is None:
            return None
        if (log.owner.org_id, log.owner.user_id) != (principal.org_id, principal.user_id):
            raise Forbidden
        self.watchers[conversation].add(gateway)
        last = Cursor(log.generation, len(log.events))
        entries = _entries(log)
        if after and after.generation == log.generation and after.n <= last.n:
            return Attached(cursor=last, gapless=True, entries=entries[after.n :][:500], runs={})
        states = {name: run.state for name, run in log.runs.items()}
        return Attached(cursor=last, gapless=False, entries=entries, runs=states)

    async def read(self, conversation: str, after: Cursor, count: int) -> tuple[Entry, ...] | None:
        log = self.logs.get(conversation)
        if log is None or log.generation != after.generation:
            return ()
        return _entries(log)[after.n :][:count]

    async def cursor_before_message(self, conversation: str, message: str) -> Cursor | None:
        log = self.logs.get(conversation)
        for n, event in enumerate(log.events if log else ()):
            fields = orjson.loads(event)
            if log and fields["type"] == "message" and fields["message"]["id"] == message:
                return Cursor(log.generation, n)
        return None

    async def held(self, conversation: str) -> tuple[Entry, ...]:
        log = self.logs.get(conversation)
        return _entries(log) if log else ()

    async def fence(self, conversation: str, run: str, epoch: int) -> None:
        log = self.logs.get(conversation)
        held = log.runs.get(run) if log is not None else None
        if held is not None and held.state != "d":
            held.epoch = max(held.epoch, epoch)

    async def seal(self, conversation: str, run: str) -> None:
        log = self.logs.get(conversation)
        if log is not None and run in log.runs and log.runs[run].state in {"a", "o"}:
            log.runs[run].state = "x"

    async def forget(self, conversation: str) -> None:
        self.logs.pop(conversation, None)
        self.watchers.pop(conversation, None)


def _entries(log: HeldLog) -> tuple[Entry, ...]:
    return tuple(Entry(n=n, event=event) for n, event in enumerate(log.events, start=1))


def _refusal(append: Append, run: HeldRun | None) -> Status | None:
    match append.kind:
        case "message":
            return None if run is None else "known"
        case "open":
            return None if run is None else _refusal_to_open(append, run)
        case "delta":
            return "absent" if run is None else _refusal_of_delta(append, run)
    return _refusal_of_end(append, run or HeldRun("a", 0, 0, 0))


def _refusal_to_open(append: Append, run: HeldRun) -> Status | None:
    if run.state in {"d", "x"}:
        return "ended" if run.state == "d" else "sealed"
    if run.epoch > append.epoch:
        return "fenced"
    if run.state == "a":
        return None
    if run.index != append.index:
        return "gap"
    return "known" if run.epoch == append.epoch else None


def _refusal_of_end(append: Append, run: HeldRun) -> Status | None:
    if run.state == "d":
        return "known"
    if run.epoch > append.epoch:
        return "fenced"
    return None if run.index == append.index else "gap"


def _refusal_of_delta(append: Append, run: HeldRun) -> Status | None:
    if run.epoch != append.epoch:
        return "fenced"
    if append.index != run.index == append.next_index:
        return "known"
    if run.state != "o":
        return "sealed" if run.state == "x" else "ended"
    return None if run.index == append.index else "gap"
