"""Productions as agents ask for them, for tests."""

from __future__ import annotations

from typing import Any

from actors.core.completion import CompletionRequest
from actors.core.events import RunStarted, encode
from actors.core.messages import Principal
from actors.core.runs import Production, Progress
from config.settings import Parameters

SOMEBODY = Principal(org_id="o", user_id="u")


def production(run: str = "r", conversation: str = "c", **fields: Any) -> Production:
    """A run's first, but for the fields given."""
    started = RunStarted(conversation=conversation, run=run, agent="a", model="m", reply_to="q")
    made: dict[str, Any] = {
        "run": run,
        "epoch": 1,
        "conversation": conversation,
        "generation": 1,
        "progress": Progress(),
        "started": encode(started),
        "continues": False,
        "request": CompletionRequest(model="m", system="", turns=(), parameters=Parameters()),
        "timeout_s": 60.0,
        "first_token_timeout_s": 10.0,
        "idle_timeout_s": 5.0,
    }
    return Production(**made | fields)


def told(*deltas: str) -> Progress:
    """What an earlier attempt left in the log."""
    return Progress(started=True, deltas=deltas)
