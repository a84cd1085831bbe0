"""The frames of a message's way, each exactly as the protocol writes it."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from simulator import Behaviour
from simulator.faults import Silence, Status
from tests.harness.client import connected, text_of

if TYPE_CHECKING:
    from tests.harness.boxes import LocalParley
    from tests.harness.client import Frame
    from tests.integration.gateway.conftest import Behave


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def is_uuid(text: str) -> bool:
    return str(UUID(text)) == text


async def test_an_answer_is_told_in_the_frames_of_the_protocol(
    parley: LocalParley, behave: Behave
) -> None:
    behave(Behaviour(length=30, tokens_per_s=300))
    async with connected(parley.websocket_url) as client:
        client.frames.clear()
        await client.say(type="send", id="m:1", text="Hi\N{SNOWMAN}", agent="gpt")
        await client.hear_until("run.completed")

    accepted, attached, message, started, *deltas, completed = client.frames
    conversation, run = accepted["conversation"], accepted["run"]
    common = {"conversation": conversation, "run": run}
    assert accepted == {
        "type": "accepted",
        "id": "m:1",
        "conversation": conversation,
        "message": accepted["message"],
        "run": run,
        "seq": 1,
        "durability": "committed",
    }
    assert all(map(is_uuid, [conversation, accepted["message"], run]))
    assert attached == {
        "type": "attached",
        "conversation": conversation,
        "cursor": attached["cursor"],
    }
    created_at = message["message"]["created_at"]
    assert datetime.fromisoformat(created_at).tzinfo is not None
    assert message == common | {
        "type": "message",
        "cursor": message["cursor"],
        "id": "m:1",
        "message": {
            "id": accepted["message"],
            "seq": 1,
            "role": "user",
            "text": "Hi\N{SNOWMAN}",
            "agent": None,
            "model": None,
            "reply_to": None,
            "status": "complete",
            "created_at": created_at,
            "metadata": {},
        },
    }
    assert started == common | {
        "type": "run.started",
        "cursor": started["cursor"],
        "agent": "gpt",
        "model": "gpt-5.5",
        "reply_to": accepted["message"],
    }
    assert len(deltas) > 1
    assert deltas == [
        common | {"type": "delta", "cursor": frame["cursor"], "index": index, "text": frame["text"]}
        for index, frame in enumerate(deltas)
    ]
    assert completed == common | {
        "type": "run.completed",
        "cursor": completed["cursor"],
        "message": completed["message"],
        "seq": 2,
        "deltas": len(deltas),
        "sha256": sha256(text_of(client.frames, run)),
        "finish_reason": "stop",
        "agent": "gpt",
        "model": "gpt-5.5",
        "usage": completed["usage"],
        "attempts": 1,
        "durability": "committed",
    }
    assert is_uuid(completed["message"])
    assert set(completed["usage"]) == {"input_tokens", "output_tokens"}
    assert completed["usage"]["output_tokens"] == 30
    cursors = [frame["cursor"] for frame in client.frames[2:]]
    assert len(set(cursors)) == len(cursors)


async def test_every_attached_socket_hears_the_same_events_with_the_same_cursors(
    parley: LocalParley, behave: Behave
) -> None:
    behave(Behaviour(length=30, tokens_per_s=300))
    async with (
        connected(parley.websocket_url) as speaker,
        connected(parley.websocket_url) as listener,
    ):
        accepted, _, _ = await speaker.ask("Hi")
        conversation = accepted["conversation"]
        await listener.say(type="attach", conversation=conversation)
        await listener.hear_until("snapshot")
        heard = [], []
        for client in (speaker, listener):
            client.frames.clear()
        await speaker.say(type="send", id="again", text="Again", conversation=conversation)
        for client, frames in zip((speaker, listener), heard, strict=True):
            await client.hear_until("run.completed")
            frames += [frame for frame in client.frames if "cursor" in frame]

    told, overheard = heard
    assert told[0]["type"] == "attached"
    assert told[1:] == overheard
    assert overheard[0]["type"] == "message"
    assert overheard[-1]["seq"] == 4


async def test_a_run_that_fails_before_any_text_keeps_no_message(
    parley: LocalParley, behave: Behave
) -> None:
    behave(Behaviour(faults=(Status(code=400, message="No."),)))
    async with connected(parley.websocket_url) as client:
        accepted, failed, _ = await client.ask("Hi")

    assert failed == {
        "type": "run.failed",
        "conversation": accepted["conversation"],
        "cursor": failed["cursor"],
        "run": accepted["run"],
        "error": failed["error"],
        "message": None,
    }
    assert failed["error"]["code"] == "provider_error"
    assert set(failed["error"]) >= {"code", "message", "retryable"}


async def test_a_run_that_is_stopped_before_its_first_token_is_told_as_such(
    parley: LocalParley, behave: Behave
) -> None:
    behave(Behaviour(faults=(Silence(),)))
    async with connected(parley.websocket_url) as client:
        accepted = await client.send("Hi")
        await client.hear_until("run.started")
        await client.say(type="stop", run=accepted["run"])
        stopped = await client.hear_until("run.stopped")

    assert stopped == {
        "type": "run.stopped",
        "conversation": accepted["conversation"],
        "cursor": stopped["cursor"],
        "run": accepted["run"],
        "message": None,
        "deltas": 0,
        "sha256": sha256(""),
    }


async def test_pings_are_answered_with_what_they_carry(parley: LocalParley) -> None:
    carried: list[object] = [None, 7, -1.5, "text", True, [1, {"a": None}], {"k": "\N{SNOWMAN}"}]
    async with connected(parley.websocket_url) as client:
        for t in carried:
            await client.say(type="ping", t=t)
            assert await client.hear() == {"type": "pong", "t": t}
        await client.say(type="ping")
        assert await client.hear() == {"type": "pong", "t": None}


def _agents(frames: list[Frame]) -> list[str]:
    return [frame["agent"] for frame in frames if frame["type"] == "run.started"]


async def test_an_agent_that_is_asked_for_stays_until_another_is(
    parley: LocalParley,
) -> None:
    async with connected(parley.websocket_url) as client:
        accepted, _, _ = await client.ask("Hi")
        conversation = accepted["conversation"]
        for agent in ({"agent": "gpt"}, {}, {"agent": "auto"}, {"agent": "gemini"}, {}):
            await client.ask("Hi", conversation=conversation, **agent)

        assert _agents(client.frames) == ["gemini", "gpt", "gpt", "gpt", "gemini", "gemini"]
