"""Sending: idempotent by id, answered in order, each answer knowing what was said before it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from simulator import Behaviour
from simulator.faults import StallAfter
from tests.harness.client import TERMINAL, connected, text_of
from tests.integration.gateway.conditions import until
from tests.integration.gateway.endings import codes

if TYPE_CHECKING:
    import httpx2

    from simulator import RunningSimulator
    from tests.harness.boxes import LocalParley
    from tests.harness.client import Client, Frame
    from tests.integration.gateway.conftest import Behave, Strangers


async def test_the_same_id_and_payload_gets_the_same_accepted_on_any_socket(
    parley: LocalParley,
) -> None:
    payload: dict[str, Any] = {"id": "once", "metadata": {"a": 1, "b": 2}, "agent": "gpt"}
    async with connected(parley.websocket_url) as first:
        accepted, _, _ = await first.ask("Hi", **payload)
        events = [frame for frame in first.frames if frame["type"] not in {"welcome", "accepted"}]
        again = await first.send("Hi", **payload | {"metadata": {"b": 2, "a": 1}})
        assert (await first.hear())["type"] == "attached"
        await first.say(type="ping", t="nothing came twice")
        assert (await first.hear())["type"] == "pong"

    async with connected(parley.websocket_url) as second:
        elsewhere = await second.send("Hi", **payload)
        attached_again = [await second.hear() for _ in events]

    assert accepted == again == elsewhere
    assert attached_again == events


async def test_the_same_id_with_another_payload_is_a_conflict(parley: LocalParley) -> None:
    async with connected(parley.websocket_url) as client:
        accepted, _, _ = await client.ask("Hi", id="once", metadata={"a": 1})
        others: list[dict[str, Any]] = [
            {"text": "Ho", "metadata": {"a": 1}},
            {"text": "Hi", "metadata": {"a": 2}},
            {"text": "Hi", "metadata": {"a": 1}, "agent": "gpt"},
            {"text": "Hi", "metadata": {"a": 1}, "conversation": accepted["conversation"]},
        ]
        for other in others:
            assert codes([await client.send(id="once", **other)]) == ["conflict"], other


async def test_ids_are_each_users_own(parley: LocalParley, strangers: Strangers) -> None:
    async with (
        connected(parley.websocket_url) as mine,
        connected(parley.websocket_url, hello=False) as theirs,
    ):
        await theirs.hello(token=strangers.neighbour)
        first = await mine.send("Hi", id="once")
        second = await theirs.send("Ho", id="once")

    assert (first["type"], second["type"]) == ("accepted", "accepted")
    assert first["conversation"] != second["conversation"]


async def test_a_refused_send_reserves_nothing(parley: LocalParley) -> None:
    async with connected(parley.websocket_url) as client:
        assert codes([await client.send("Hi", id="once", agent="nobody")]) == ["not_found"]

        assert (await client.send("Hi", id="once"))["type"] == "accepted"


async def test_one_id_sent_by_many_sockets_at_once_makes_one_message_and_one_run(
    parley: LocalParley, simulator: RunningSimulator
) -> None:
    async def send() -> Frame:
        async with connected(parley.websocket_url) as client:
            accepted, ended, text = await client.ask("Hi", id="once")
            return accepted | {"ended": ended, "text": text}

    told = await asyncio.gather(*(send() for _ in range(8)))

    assert all(each == told[0] for each in told)
    assert len(simulator.journal.records) == 1


async def test_messages_sent_at_once_are_answered_in_order_each_knowing_the_ones_before(
    parley: LocalParley, behave: Behave
) -> None:
    behave(Behaviour(length=40, tokens_per_s=400))
    async with connected(parley.websocket_url) as client:
        accepted, _, _ = await client.ask("Zero.")
        conversation = accepted["conversation"]
        for text in ("One.", "Two.", "Three."):
            await client.say(type="send", id=text, text=text, conversation=conversation)
        runs = [(await client.hear_until("accepted", id=id_))["run"] for id_ in ("One.", "Two.")]
        runs.append((await client.hear_until("accepted", id="Three."))["run"])
        for run in runs:
            if not _ended(client, run):
                await client.hear_until("run.completed", run=run)

    spans = [f["run"] for f in client.frames if f["type"] in {"run.started", "run.completed"}]
    assert spans[2:] == [run for run in runs for _ in range(2)]
    answers = [text_of(client.frames, run) for run in runs]
    quoted = ['"Zero."', '"One."', '"Two."', '"Three."']
    for number, text in enumerate(answers, start=2):
        assert all(quote in text for quote in quoted[:number])
        assert not any(quote in text for quote in quoted[number:])


def _ended(client: Client, run: str) -> bool:
    return any(f["type"] in TERMINAL and f["run"] == run for f in client.frames)


async def test_a_conversation_that_rejects_is_busy_while_it_answers(
    parley: LocalParley, behave: Behave, api: httpx2.AsyncClient
) -> None:
    made = await api.post("/v1/conversations", json={"busy": "reject"})
    conversation = made.json()["id"]
    behave(Behaviour(faults=(StallAfter(tokens=3),)))
    async with connected(parley.websocket_url) as client:
        accepted = await client.send("First", conversation=conversation)
        await client.hear_until("delta")
        refused = await client.send("Second", id="second", conversation=conversation)
        assert codes([refused]) == ["busy"]
        assert refused["error"]["retryable"] is True
        assert refused["error"]["retry_after_s"] > 0

        await client.say(type="stop", run=accepted["run"])
        await client.hear_until("run.stopped")
        behave(Behaviour())
        assert (await client.send("Second", id="second", conversation=conversation))["seq"] == 3


async def test_a_conversation_that_is_interrupted_stops_what_it_answers(
    parley: LocalParley, behave: Behave, api: httpx2.AsyncClient
) -> None:
    made = await api.post("/v1/conversations", json={"busy": "interrupt"})
    conversation = made.json()["id"]
    behave(Behaviour(faults=(StallAfter(tokens=3),)))
    async with connected(parley.websocket_url) as client:
        first = await client.send("First", conversation=conversation)
        await client.hear_until("delta")
        behave(Behaviour())
        second = await client.send("Second", conversation=conversation)
        stopped = await client.hear_until("run.stopped")
        completed = await client.hear_until("run.completed")

    assert (stopped["run"], completed["run"]) == (first["run"], second["run"])
    assert '"Second"' in text_of(client.frames, second["run"])


async def test_a_message_is_answered_though_its_sender_is_gone_at_once(
    parley: LocalParley, api: httpx2.AsyncClient
) -> None:
    async with connected(parley.websocket_url) as client:
        await client.say(type="send", id="last-words", text="Goodbye")

    async def answered() -> bool:
        found = (await api.get("/v1/conversations")).json()["data"]
        if not found:
            return False
        page = await api.get(f"/v1/conversations/{found[0]['id']}/messages")
        return [m["role"] for m in page.json()["data"]] == ["user", "assistant"]

    await until(answered)
