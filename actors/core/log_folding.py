"""What a sequence of a conversation's events amounts to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from actors.core.events import TERMINAL_TYPES
from actors.core.runs import Progress

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(slots=True)
class FoldedRun:
    """A run as its events leave it."""

    agent: str | None = None
    model: str | None = None
    reply_to: str | None = None
    started: bool = False
    ended: bool = False
    deltas: list[str] = field(default_factory=list)

    def progress(self) -> Progress:
        return Progress(started=self.started, deltas=tuple(self.deltas))


def fold(events: Iterable[bytes]) -> dict[str, FoldedRun]:
    """The runs that the events tell of, in the order of their first event."""
    runs: dict[str, FoldedRun] = {}
    for encoded in events:
        event: dict[str, Any] = orjson.loads(encoded)
        run = runs.setdefault(event["run"], FoldedRun())
        match event["type"]:
            case "run.started":
                run.started = True
                run.agent, run.model = event["agent"], event["model"]
                run.reply_to = event["reply_to"]
            case "delta":
                run.deltas.append(event["text"])
            case "rewind":
                del run.deltas[event["index"] :]
            case kind if kind in TERMINAL_TYPES:
                run.ended = True
    return runs


def announced(events: Iterable[bytes]) -> frozenset[str]:
    """The runs whose user message is among the events."""
    return frozenset(orjson.loads(event)["run"] for event in events if b'"type":"message"' in event)
