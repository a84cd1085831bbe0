"""What clients are told: the events of a conversation's log.

An event's JSON lacks `cursor`: the log gives it, and `with_cursor` adds it, so that an event is
encoded once, by its producer, however many sockets it goes to.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import orjson

if TYPE_CHECKING:
    from actors.core.completion import FinishReason, Usage
    from actors.core.messages import Message
    from actors.core.runs import Outcome

Durability = Literal["committed", "pending"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageAdded:
    conversation: str
    message: Message
    id: str
    run: str
    type: str = "message"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    conversation: str
    run: str
    agent: str
    model: str
    reply_to: str
    type: str = "run.started"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    conversation: str
    run: str
    index: int
    text: str
    type: str = "delta"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewind:
    """Drop the run's deltas with an index of `index` or more; numbering goes on at `index`."""

    conversation: str
    run: str
    index: int
    reason: str
    type: str = "rewind"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCompleted:
    """`sha256` is over the UTF-8 bytes of all the run's deltas, `deltas` their number."""

    conversation: str
    run: str
    message: str
    seq: int | None
    deltas: int
    sha256: str
    finish_reason: FinishReason
    agent: str
    model: str
    usage: Usage
    attempts: int
    durability: Durability = "committed"
    type: str = "run.completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed:
    conversation: str
    run: str
    error: dict[str, Any]
    message: str | None
    type: str = "run.failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStopped:
    conversation: str
    run: str
    message: str | None
    deltas: int
    sha256: str
    type: str = "run.stopped"


Event = MessageAdded | RunStarted | Delta | Rewind | RunCompleted | RunFailed | RunStopped
TERMINAL_TYPES = frozenset({"run.completed", "run.failed", "run.stopped"})


def encode(event: Event) -> bytes:
    """The event's JSON object, without its cursor."""
    return orjson.dumps(event)


def run_ended(
    conversation: str, run: str, outcome: Outcome, message: str | None, seq: int | None
) -> RunCompleted | RunFailed | RunStopped:
    """The terminal event of an outcome; `message` is the answer kept, if any."""
    match outcome.state:
        case "completed":
            return RunCompleted(
                conversation=conversation,
                run=run,
                message=message or "",
                seq=seq,
                deltas=len(outcome.deltas),
                sha256=sha256(outcome.text),
                finish_reason=outcome.finish_reason,
                agent=outcome.agent or "",
                model=outcome.model or "",
                usage=outcome.usage,
                attempts=outcome.attempts,
            )
        case "failed":
            error = outcome.error or {}
            return RunFailed(conversation=conversation, run=run, error=error, message=message)
        case _:
            return RunStopped(
                conversation=conversation,
                run=run,
                message=message,
                deltas=len(outcome.deltas),
                sha256=sha256(outcome.text),
            )


def with_cursor(encoded: bytes, cursor: str) -> bytes:
    """The frame clients get. A cursor has no character that JSON would escape."""
    return b'%b,"cursor":"%b"}' % (encoded[:-1], cursor.encode())


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
