"""Stopping a run: whatever its state, once or often, but only one's own."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from simulator import Behaviour
from simulator.faults import Silence, StallAfter
from tests.harness.client import connected, text_of
from tests.integration.gateway.endings import codes

if TYPE_CHECKING:
    import httpx2

    from tests.harness.boxes import LocalParley
    from tests.integration.gateway.conftest import Behave, Strangers


async def test_a_stop_in_mid_answer_keeps_what_was_told(
    parley: LocalParley, behave: Behave, api: httpx2.AsyncClient
) -> None:
    behave(Behaviour(faults=(StallAfter(tokens=9),)))
    async with connected(parley.websocket_url) as client:
        accepted = await client.send("Hi")
        await client.hear_until("delta")
        await client.say(type="stop", run=accepted["run"])
        stopped = await client.hear_until("run.stopped")

    text = text_of(client.frames, accepted["run"])
    deltas = [frame for frame in client.frames if frame["type"] == "delta"]
    assert stopped["deltas"] == len(deltas)
    assert stopped["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    page = await api.get(f"/v1/conversations/{accepted['conversation']}/messages")
    kept = page.json()["data"][-1]
    assert (kept["id"], kept["text"]) == (stopped["message"], text)
    assert (kept["status"], kept["reply_to"]) == ("stopped", accepted["message"])


async def test_a_stop_is_idempotent_even_after_the_end(parley: LocalParley, behave: Behave) -> None:
    behave(Behaviour(faults=(Silence(),)))
    async with connected(parley.websocket_url) as client:
        accepted = await client.send("Hi")
        for _ in range(3):
            await client.say(type="stop", run=accepted["run"])
        await client.hear_until("run.stopped")
        for _ in range(3):
            await client.say(type="stop", run=accepted["run"])
        await client.say(type="ping", t="all is said")

        assert (await client.hear())["type"] == "pong"


async def test_a_completed_run_stays_completed(parley: LocalParley) -> None:
    async with connected(parley.websocket_url) as client:
        accepted, ended, _ = await client.ask("Hi")
        assert ended["type"] == "run.completed"
        await client.say(type="stop", run=accepted["run"])
        await client.say(type="ping", t="all is said")

        assert (await client.hear())["type"] == "pong"


async def test_a_queued_run_is_stopped_without_having_begun(
    parley: LocalParley, behave: Behave
) -> None:
    behave(Behaviour(faults=(StallAfter(tokens=3),)))
    async with connected(parley.websocket_url) as client:
        first = await client.send("First")
        await client.hear_until("delta")
        conversation = first["conversation"]
        second = await client.send("Second", conversation=conversation)
        third = await client.send("Third", conversation=conversation)
        await client.say(type="stop", run=second["run"])
        stopped = await client.hear_until("run.stopped", run=second["run"])
        assert (stopped["message"], stopped["deltas"]) == (None, 0)

        behave(Behaviour())
        await client.say(type="stop", run=first["run"])
        await client.hear_until("run.stopped", run=first["run"])
        await client.hear_until("run.completed", run=third["run"])

    started = [frame["run"] for frame in client.frames if frame["type"] == "run.started"]
    assert started == [first["run"], third["run"]]


async def test_another_socket_and_http_stop_a_run_too(
    parley: LocalParley, behave: Behave, api: httpx2.AsyncClient
) -> None:
    behave(Behaviour(faults=(StallAfter(tokens=3),)))
    async with (
        connected(parley.websocket_url) as client,
        connected(parley.websocket_url) as other,
    ):
        accepted = await client.send("First")
        await client.hear_until("delta")
        await other.say(type="stop", run=accepted["run"])
        await client.hear_until("run.stopped")

        accepted = await client.send("Second", conversation=accepted["conversation"])
        await client.hear_until("delta")
        response = await api.post(f"/v1/runs/{accepted['run']}/stop")
        await client.hear_until("run.stopped", run=accepted["run"])

    assert (response.status_code, response.json()) == (202, {"run": accepted["run"]})


async def test_disconnecting_is_not_stopping(parley: LocalParley, behave: Behave) -> None:
    behave(Behaviour(length=60, tokens_per_s=200))
    async with connected(parley.websocket_url) as client:
        accepted = await client.send("Hi")
        delta = await client.hear_until("delta")

    async with connected(parley.websocket_url) as client:
        await client.say(
            type="attach", conversation=accepted["conversation"], after=delta["cursor"]
        )
        assert (await client.hear_until("run.completed"))["run"] == accepted["run"]


async def test_somebody_elses_run_is_not_found_and_goes_on(
    parley: LocalParley, behave: Behave, strangers: Strangers
) -> None:
    behave(Behaviour(length=40, tokens_per_s=200))
    async with (
        connected(parley.websocket_url) as client,
        connected(parley.websocket_url, hello=False) as stranger,
    ):
        await stranger.hello(token=strangers.neighbour)
        accepted = await client.send("Hi")
        await stranger.say(type="stop", run=accepted["run"])
        assert codes([await stranger.hear()]) == ["not_found"]

        assert (await client.hear_until("run.completed"))["run"] == accepted["run"]
