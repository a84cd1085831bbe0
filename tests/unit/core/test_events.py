"""Events are written exactly as PROTOCOL.md has them."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.completion import Usage
from actors.core.events import (
    TERMINAL_TYPES,
    Delta,
    Event,
    MessageAdded,
    Rewind,
    RunCompleted,
    RunFailed,
    RunStarted,
    RunStopped,
    encode,
    run_ended,
    sha256,
    with_cursor,
)
from actors.core.messages import Message
from actors.core.runs import Outcome

MESSAGE = Message(id="m", seq=1, role="user", text="Hi", created_at="2026-01-01T00:00:00Z")
OF_THE_PROTOCOL: list[tuple[Event, dict[str, Any]]] = [
    (
        MessageAdded(conversation="c", message=MESSAGE, id="client-1", run="r"),
        {
            "type": "message",
            "id": "client-1",
            "run": "r",
            "message": {
                "id": "m",
                "seq": 1,
                "role": "user",
                "text": "Hi",
                "agent": None,
                "model": None,
                "reply_to": None,
                "status": "complete",
                "created_at": "2026-01-01T00:00:00Z",
                "metadata": {},
            },
        },
    ),
    (
        RunStarted(conversation="c", run="r", agent="gpt", model="gpt-5.5", reply_to="m"),
        {"type": "run.started", "run": "r", "agent": "gpt", "model": "gpt-5.5", "reply_to": "m"},
    ),
    (
        Delta(conversation="c", run="r", index=0, text='"\n\u2028ü\N{GRINNING FACE}'),
        {"type": "delta", "run": "r", "index": 0, "text": '"\n\u2028ü\N{GRINNING FACE}'},
    ),
    (
        Rewind(conversation="c", run="r", index=12, reason="begun again"),
        {"type": "rewind", "run": "r", "index": 12, "reason": "begun again"},
    ),
    (
        RunCompleted(
            conversation="c",
            run="r",
            message="a",
            seq=8,
            deltas=57,
            sha256="00",
            finish_reason="length",
            agent="gpt",
            model="gpt-5.5",
            usage=Usage(input_tokens=3, output_tokens=5),
            attempts=1,
        ),
        {
            "type": "run.completed",
            "run": "r",
            "message": "a",
            "seq": 8,
            "deltas": 57,
            "sha256": "00",
            "finish_reason": "length",
            "agent": "gpt",
            "model": "gpt-5.5",
            "usage": {"input_tokens": 3, "output_tokens": 5},
            "attempts": 1,
            "durability": "committed",
        },
    ),
    (
        RunFailed(conversation="c", run="r", error={"code": "internal"}, message=None),
        {"type": "run.failed", "run": "r", "error": {"code": "internal"}, "message": None},
    ),
    (
        RunStopped(conversation="c", run="r", message="a", deltas=12, sha256="00"),
        {"type": "run.stopped", "run": "r", "message": "a", "deltas": 12, "sha256": "00"},
    ),
]


@pytest.mark.parametrize(
    ("event", "frame"), OF_THE_PROTOCOL, ids=[event.type for event, _ in OF_THE_PROTOCOL]
)
def test_an_event_has_exactly_the_fields_of_the_protocol(
    event: Event, frame: dict[str, Any]
) -> None:
    expected = {**frame, "conversation": "c", "cursor": "3.14"}

    assert orjson.loads(with_cursor(encode(event), "3.14")) == expected


def test_the_terminal_types_are_those_that_end_a_run() -> None:
    ends = RunCompleted | RunFailed | RunStopped

    assert {e.type for e, _ in OF_THE_PROTOCOL if isinstance(e, ends)} == TERMINAL_TYPES


@given(st.text())
def test_the_digest_is_over_the_bytes_of_utf_8(text: str) -> None:
    assert sha256(text) == hashlib.sha256(text.encode("utf-8")).hexdigest()


def test_a_completed_run_ends_with_its_digest_and_its_usage() -> None:
    outcome = Outcome(
        state="completed",
        deltas=("Grü", "ße"),
        finish_reason="length",
        agent="gpt",
        model="gpt-5.5",
        usage=Usage(input_tokens=1, output_tokens=2),
        attempts=3,
    )

    assert run_ended("c", "r", outcome, "a", 4) == RunCompleted(
        conversation="c",
        run="r",
        message="a",
        seq=4,
        deltas=2,
        sha256=hashlib.sha256("Grüße".encode()).hexdigest(),
        finish_reason="length",
        agent="gpt",
        model="gpt-5.5",
        usage=Usage(input_tokens=1, output_tokens=2),
        attempts=3,
    )


def test_a_failed_run_ends_with_its_error_and_names_the_part_that_was_kept() -> None:
    outcome = Outcome(state="failed", deltas=("Half",), error={"code": "provider_error"})

    assert run_ended("c", "r", outcome, "a", 4) == RunFailed(
        conversation="c", run="r", error={"code": "provider_error"}, message="a"
    )


def test_a_stopped_run_ends_with_the_digest_of_what_was_said() -> None:
    outcome = Outcome(state="stopped", deltas=("Half",))

    assert run_ended("c", "r", outcome, None, None) == RunStopped(
        conversation="c",
        run="r",
        message=None,
        deltas=1,
        sha256=hashlib.sha256(b"Half").hexdigest(),
    )
