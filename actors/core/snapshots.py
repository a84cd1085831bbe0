"""A snapshot of a conversation at a cursor, from parts that were read one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from actors.core.log_folding import announced, fold

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from actors.core.cursors import Cursor
    from actors.core.messages import StoredMessage

MESSAGES = 50
_ENDED = "d"


def snapshot(
    *,
    conversation: str,
    cursor: Cursor,
    run_states: Mapping[str, str],
    held: Sequence[bytes],
    messages: Sequence[StoredMessage],
    unfinished: Sequence[str],
    later: Sequence[bytes],
) -> bytes:
    """The `snapshot` frame that tells exactly what the events up to the cursor amount to.

    `run_states` and the `held` events are the log's at the cursor; `messages` and `unfinished`
    were read from Postgres afterwards, `later` events after that. What Postgres already knows and
    a later event will tell is left out, so that the client hears it once.
    """
    comes_later = announced(later)
    hidden_questions = comes_later | {run for run in unfinished if run not in run_states}
    in_progress = {run for run, state in run_states.items() if state != _ENDED}

    def told(stored: StoredMessage) -> bool:
        if stored.message.role == "assistant":
            return stored.run not in in_progress and stored.run not in comes_later
        return stored.run not in hidden_questions

    told_messages = [stored for stored in messages if told(stored)][-MESSAGES:]
    runs: list[dict[str, Any]] = [
        {
            "run": run,
            "agent": folded.agent,
            "model": folded.model,
            "reply_to": folded.reply_to,
            "index": len(folded.deltas),
            "text": "".join(folded.deltas),
        }
        for run, folded in fold(held).items()
        if folded.started and not folded.ended and run in in_progress
    ]
    waiting = in_progress - {entry["run"] for entry in runs}
    return orjson.dumps(
        {
            "type": "snapshot",
            "conversation": conversation,
            "cursor": str(cursor),
            "messages": [stored.message for stored in told_messages],
            "runs": runs,
            "queued": [
                {"run": stored.run, "reply_to": stored.message.id}
                for stored in told_messages
                if stored.message.role == "user" and stored.run in waiting
            ],
        }
    )
