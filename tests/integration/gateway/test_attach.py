"""Attaching: exactly what comes after a cursor, or a snapshot and what comes after that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis import Redis

from actors.stores import keys
from simulator import Behaviour
from simulator.faults import Silence, StallAfter
from tests.harness.client import TERMINAL, connected, text_of
from tests.integration.gateway.endings import codes

if TYPE_CHECKING:
    from tests.harness.boxes import LocalParley
    from tests.harness.client import Client, Frame
    from tests.integration.gateway.conftest import Behave

LEISURELY = Behaviour(length=40, tokens_per_s=50)


async def attach(client: Client, conversation: str, **after: str) -> Frame:
    """Attaches; answers the frame behind `attached`."""
    await client.say(type="attach", conversation=conversation, **after)
    await client.hear_until("attached", conversation=conversation)
    return await client.hear()


def events_of(client: Client) -> list[Frame]:
    return [frame for frame in client.frames if "cursor" in frame and frame["type"] != "attached"]


async def test_every_cursor_of_an_answer_resumes_with_exactly_the_events_after_it(
    parley: LocalParley, behave: Behave
) -> None:
    behave(LEISURELY)
    async with connected(parley.websocket_url) as client:
        accepted, _, _ = await client.ask("Hi")
        attached = next(frame for frame in client.frames if frame["type"] == "attached")
        events = events_of(client)
    assert len(events) > 10

    async with connected(parley.websocket_url) as other:
        for at, cursor in enumerate([attached["cursor"], *(e["cursor"] for e in events[:-1])]):
            other.frames.clear()
            hello = {"conversation": accepted["conversation"], "after": cursor}
            await other.say(type="attach", **hello)
            await other.hear_until("run.completed")
            assert other.frames[0] == {"type": "attached", **_renamed(hello)}
            assert other.frames[1:] == events[at:]


def _renamed(attachment: dict[str, str]) -> dict[str, str]:
    return {"conversation": attachment["conversation"], "cursor": attachment["after"]}


async def test_a_socket_cut_at_every_event_of_a_live_answer_loses_and_repeats_nothing(
    parley: LocalParley, behave: Behave
) -> None:
    behave(LEISURELY)
    async with connected(parley.websocket_url) as witness:
        accepted = await witness.send("Hi")
        attached = await witness.hear_until("attached")
        after = attached["cursor"]
        pieces: list[Frame] = []
        while not pieces or pieces[-1]["type"] not in TERMINAL:
            async with connected(parley.websocket_url, hello=False) as client:
                place = {"conversation": accepted["conversation"], "after": after}
                await client.hello(attach=[place])
                assert (await client.hear()) == {"type": "attached", **_renamed(place)}
                pieces.append(await client.hear())
                after = pieces[-1]["cursor"]
        await witness.hear_until("run.completed")

    assert pieces == events_of(witness)
    assert pieces[-1]["deltas"] == len(pieces) - 3


async def test_a_socket_that_detaches_and_attaches_again_goes_on_where_it_was(
    parley: LocalParley, behave: Behave
) -> None:
    behave(LEISURELY)
    async with (
        connected(parley.websocket_url) as witness,
        connected(parley.websocket_url) as client,
    ):
        accepted = await witness.send("Hi")
        conversation = accepted["conversation"]
        cursor = (await witness.hear_until("attached"))["cursor"]
        pieces: list[Frame] = []
        while not pieces or pieces[-1]["type"] not in TERMINAL:
            pieces.append(await attach(client, conversation, after=cursor))
            cursor = pieces[-1]["cursor"]
            await client.say(type="detach", conversation=conversation)
            await client.say(type="ping", t=cursor)
            while (late := await client.hear())["type"] != "pong":
                pieces.append(late)
                cursor = late["cursor"]
        await witness.hear_until("run.completed")

    assert pieces == events_of(witness)


async def test_after_a_detach_nothing_of_the_conversation_is_heard(parley: LocalParley) -> None:
    async with (
        connected(parley.websocket_url) as speaker,
        connected(parley.websocket_url) as listener,
    ):
        accepted, _, _ = await speaker.ask("Hi")
        conversation = accepted["conversation"]
        await attach(listener, conversation)
        await listener.say(type="detach", conversation=conversation)
        await listener.say(type="detach", conversation=conversation)
        await speaker.ask("Again", conversation=conversation)
        await listener.say(type="ping", t="silence")

        assert (await listener.hear())["type"] == "pong"


async def test_a_snapshot_of_a_quiet_conversation_has_its_messages(parley: LocalParley) -> None:
    async with connected(parley.websocket_url) as client:
        accepted, completed, text = await client.ask("Hi", metadata={"k": "v"})
        message = next(f for f in client.frames if f["type"] == "message")["message"]
        snapshot = await attach(client, accepted["conversation"])

    answer = snapshot["messages"][1]
    assert snapshot == {
        "type": "snapshot",
        "conversation": accepted["conversation"],
        "cursor": completed["cursor"],
        "messages": [message, answer],
        "runs": [],
        "queued": [],
    }
    assert answer == {
        "id": completed["message"],
        "seq": completed["seq"],
        "role": "assistant",
        "text": text,
        "agent": completed["agent"],
        "model": completed["model"],
        "reply_to": message["id"],
        "status": "complete",
        "created_at": answer["created_at"],
        "metadata": {},
    }


async def test_a_snapshot_in_mid_answer_has_the_text_so_far_and_the_next_index(
    parley: LocalParley, behave: Behave
) -> None:
    behave(Behaviour(length=60, tokens_per_s=100))
    async with (
        connected(parley.websocket_url) as speaker,
        connected(parley.websocket_url) as latecomer,
    ):
        accepted = await speaker.send("Hi")
        await speaker.hear_until("delta", index=5)
        queued = await speaker.send("Next", conversation=accepted["conversation"])
        snapshot = await attach(latecomer, accepted["conversation"])
        completed = await latecomer.hear_until("run.completed")
        await speaker.hear_until("run.completed")
        await speaker.hear_until("run.completed", run=queued["run"])
        await latecomer.hear_until("run.completed", run=queued["run"])

    run = accepted["run"]
    (told,) = snapshot["runs"]
    text = text_of(speaker.frames, run)
    assert told == {
        "run": run,
        "agent": "gemini",
        "model": "gemini-3.8-flash",
        "reply_to": accepted["message"],
        "index": told["index"],
        "text": told["text"],
    }
    assert [m["id"] for m in snapshot["messages"]] == [accepted["message"], queued["message"]]
    assert snapshot["queued"] == [{"run": queued["run"], "reply_to": queued["message"]}]
    later = [f for f in latecomer.frames if f["type"] == "delta" and f["run"] == run]
    assert 5 < told["index"] == later[0]["index"]
    assert told["text"] + "".join(f["text"] for f in later) == text
    assert completed["deltas"] == told["index"] + len(later)
    heard = events_of(latecomer)
    assert heard[1:] == events_of(speaker)[-len(heard) + 1 :]


async def test_a_snapshot_before_the_first_token_leaves_the_start_to_the_events(
    parley: LocalParley, behave: Behave
) -> None:
    behave(Behaviour(faults=(Silence(),)))
    async with connected(parley.websocket_url) as client:
        accepted = await client.send("Hi")
        await client.hear_until("run.started")
        snapshot = await attach(client, accepted["conversation"])

    (told,) = snapshot["runs"]
    assert (told["index"], told["text"]) == (0, "")
    assert [m["id"] for m in snapshot["messages"]] == [accepted["message"]]


async def test_a_snapshot_has_the_newest_fifty_messages(parley: LocalParley) -> None:
    async with connected(parley.websocket_url) as client:
        accepted, _, _ = await client.ask("0")
        conversation = accepted["conversation"]
        for number in range(1, 28):
            await client.ask(str(number), conversation=conversation)
        snapshot = await attach(client, conversation)

    assert [m["seq"] for m in snapshot["messages"]] == list(range(7, 57))


async def test_cursors_that_prove_nothing_lead_to_a_snapshot(parley: LocalParley) -> None:
    async with connected(parley.websocket_url) as client:
        accepted, completed, _ = await client.ask("Hi")
        others, _, _ = await client.ask("Hi")
        first = next(f["cursor"] for f in client.frames if f["type"] == "message")
        generation, _, n = completed["cursor"].partition(".")
        useless = [
            f"{generation}.{int(n) + 1}",
            f"{generation}.{10**17}",
            f"{int(generation) + 1}.0",
            "0.0",
            next(f["cursor"] for f in events_of(client) if _is_of(f, others)),
        ]
        for cursor in useless:
            snapshot = await attach(client, accepted["conversation"], after=cursor)
            assert snapshot["type"] == "snapshot", cursor
            assert snapshot["cursor"] == completed["cursor"]
        resumed = await attach(client, accepted["conversation"], after=first)
        assert resumed["type"] == "run.started"


def _is_of(frame: Frame, accepted: Frame) -> bool:
    return bool(frame["conversation"] == accepted["conversation"])


async def test_a_log_that_was_trimmed_leads_to_a_snapshot(
    parley: LocalParley, redis_url: str
) -> None:
    async with connected(parley.websocket_url) as client:
        accepted, completed, _ = await client.ask("Hi")
        conversation = accepted["conversation"]
        with Redis.from_url(redis_url) as redis:
            redis.xtrim(keys.log(conversation), maxlen=2, approximate=False)
        first, *_, last_but_one, _ = events_of(client)
        async with connected(parley.websocket_url) as other:
            lost = await attach(other, conversation, after=first["cursor"])
            held = await attach(other, conversation, after=last_but_one["cursor"])

    assert lost["type"] == "snapshot"
    assert held == completed


async def test_a_lost_log_leads_to_a_snapshot_and_the_conversation_goes_on(
    parley: LocalParley, redis_url: str
) -> None:
    async with connected(parley.websocket_url) as client:
        accepted, completed, _ = await client.ask("My name is Ada.")
        conversation = accepted["conversation"]
        with Redis.from_url(redis_url) as redis:
            redis.delete(keys.log(conversation), keys.head(conversation))
        async with connected(parley.websocket_url) as other:
            snapshot = await attach(other, conversation, after=completed["cursor"])
            assert snapshot["type"] == "snapshot"
            assert len(snapshot["messages"]) == 2
            _, ended, text = await other.ask("What is it?", conversation=conversation)

    assert '"My name is Ada."' in text
    assert ended["type"] == "run.completed"


async def test_many_conversations_are_attached_by_one_hello(parley: LocalParley) -> None:
    async with connected(parley.websocket_url) as client:
        ends: dict[str, Any] = {}
        for number in range(5):
            accepted, completed, _ = await client.ask(f"{number}")
            ends[accepted["conversation"]] = completed["cursor"]

    async with connected(parley.websocket_url, hello=False) as other:
        places = [{"conversation": c, "after": cursor} for c, cursor in ends.items()]
        await other.hello(attach=places)
        attached = [await other.hear() for _ in places]
        for conversation in ends:
            await other.ask("Again", conversation=conversation)

    assert attached == [{"type": "attached", **_renamed(place)} for place in places]


async def test_an_answer_to_a_stalled_run_is_in_the_snapshot_only_once(
    parley: LocalParley, behave: Behave
) -> None:
    behave(Behaviour(faults=(StallAfter(tokens=4),)))
    async with connected(parley.websocket_url) as client:
        accepted = await client.send("Hi")
        await client.hear_until("delta")
        await client.say(type="stop", run=accepted["run"])
        stopped = await client.hear_until("run.stopped")
        snapshot = await attach(client, accepted["conversation"])

    assert snapshot["runs"] == []
    assert [m["id"] for m in snapshot["messages"]] == [accepted["message"], stopped["message"]]
    assert snapshot["messages"][1]["status"] == "stopped"


async def test_a_deleted_conversation_cannot_be_attached(parley: LocalParley, api: Any) -> None:
    async with connected(parley.websocket_url) as client:
        accepted, completed, _ = await client.ask("Hi")
        conversation = accepted["conversation"]
        assert (await api.delete(f"/v1/conversations/{conversation}")).status_code == 204
        for after in ({}, {"after": completed["cursor"]}):
            await client.say(type="attach", conversation=conversation, **after)
            assert codes([await client.hear()]) == ["not_found"]
