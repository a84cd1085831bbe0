"""Appends as the boxes make them, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.core.events import (
    Delta,
    MessageAdded,
    RunStarted,
    RunStopped,
    encode,
)
from actors.core.messages import Message, Principal
from actors.stores.event_log import Append

if TYPE_CHECKING:
    from actors.stores.event_log import Appended, EventLog

SOMEBODY = Principal(org_id="org", user_id="user")
GATEWAY = "gateway-1"


def message(run: str = "r", conversation: str = "c", generation: int = 1) -> Append:
    said = Message(id=f"m-{run}", seq=1, role="user", text="Hi", created_at="")
    event = MessageAdded(conversation=conversation, message=said, id=f"id-{run}", run=run)
    return Append(
        conversation=conversation,
        generation=generation,
        run=run,
        kind="message",
        events=(encode(event),),
    )


def opening(
    run: str = "r", conversation: str = "c", generation: int = 1, epoch: int = 1, index: int = 0
) -> Append:
    """An attempt's opening: the run's first tells that it started, a later one nothing."""
    started = RunStarted(
        conversation=conversation, run=run, agent="a", model="m", reply_to=f"m-{run}"
    )
    return Append(
        conversation=conversation,
        generation=generation,
        run=run,
        kind="open",
        epoch=epoch,
        index=index,
        next_index=index,
        events=() if index else (encode(started),),
    )


def delta(
    index: int,
    text: str = "x",
    run: str = "r",
    conversation: str = "c",
    generation: int = 1,
    epoch: int = 1,
) -> Append:
    event = Delta(conversation=conversation, run=run, index=index, text=text)
    return Append(
        conversation=conversation,
        generation=generation,
        run=run,
        kind="delta",
        epoch=epoch,
        index=index,
        next_index=index + 1,
        events=(encode(event),),
    )


def end(
    run: str = "r", conversation: str = "c", generation: int = 1, epoch: int = 1, index: int = 0
) -> Append:
    """The end of a run of which the log holds `index` deltas."""
    event = RunStopped(conversation=conversation, run=run, message=None, deltas=0, sha256="")
    return Append(
        conversation=conversation,
        generation=generation,
        run=run,
        kind="end",
        epoch=epoch,
        index=index,
        events=(encode(event),),
    )


async def one(log: EventLog, append: Append) -> Appended:
    (appended,) = await log.append([append])
    return appended


async def statuses(log: EventLog, *appends: Append) -> list[str]:
    """Of appends made one after the other."""
    return [(await one(log, append)).status for append in appends]
