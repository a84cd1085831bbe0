"""Messages over HTTP: read in pages, sent, and their events streamed."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis

from actors.stores import keys
from simulator import Behaviour
from simulator.faults import StallAfter
from tests.harness.client import TERMINAL, connected, text_of
from tests.integration.gateway.conditions import until
from tests.integration.gateway.endings import codes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx2

    from tests.harness.boxes import LocalParley
    from tests.harness.client import Frame
    from tests.integration.gateway.conftest import Behave

SSE = {"Accept": "text/event-stream"}
PATIENCE_S = 20.0


async def new_conversation(api: httpx2.AsyncClient, **fields: str) -> str:
    made: str = (await api.post("/v1/conversations", json=fields)).json()["id"]
    return f"/v1/conversations/{made}"


async def events_of(response: httpx2.Response) -> AsyncIterator[Frame]:
    """Server-Sent Events, as a reader of the standard's makes them out."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
        elif not line and fields:
            frame: Frame = json.loads(fields["data"])
            assert fields.get("id") == frame.get("cursor")
            assert fields["event"] == frame["type"]
            fields = {}
            yield frame


async def read_until(response: httpx2.Response, *types: str, **fields: str) -> list[Frame]:
    heard: list[Frame] = []
    async with asyncio.timeout(PATIENCE_S):
        async for frame in events_of(response):
            heard.append(frame)
            if frame["type"] in types and all(frame.get(k) == v for k, v in fields.items()):
                break
    return heard


async def test_a_message_is_accepted_and_answered(
    parley: LocalParley, api: httpx2.AsyncClient
) -> None:
    place = await new_conversation(api)
    message = {"id": "first", "text": "Hi", "agent": "gpt", "metadata": {"k": 1}}
    response = await api.post(f"{place}/messages", json=message)
    accepted = response.json()

    assert response.status_code == 202
    assert accepted == {
        "type": "accepted",
        "id": "first",
        "conversation": place.rpartition("/")[2],
        "message": accepted["message"],
        "run": accepted["run"],
        "seq": 1,
        "durability": "committed",
    }
    async with api.stream("GET", f"{place}/events") as stream:
        await read_until(stream, *TERMINAL, "snapshot")
    again = await api.post(f"{place}/messages", json=message)
    assert (again.status_code, again.json()) == (202, accepted)
    conflict = await api.post(f"{place}/messages", json=message | {"text": "Ho"})
    assert (conflict.status_code, conflict.json()["error"]["code"]) == (409, "conflict")


async def test_a_message_with_an_event_stream_gets_its_runs_events_until_it_ends(
    api: httpx2.AsyncClient,
) -> None:
    place = await new_conversation(api)
    for number in range(2):
        body = {"id": f"m{number}", "text": f"{number}"}
        async with api.stream("POST", f"{place}/messages", json=body, headers=SSE) as response:
            assert response.status_code == 200
            assert response.headers["Content-Type"].startswith("text/event-stream")
            heard = [frame async for frame in events_of(response)]

        run = heard[0]["run"]
        assert [frame["type"] for frame in heard if frame["type"] != "delta"] == [
            "message",
            "run.started",
            "run.completed",
        ]
        assert all(frame["run"] == run for frame in heard)
        assert text_of(heard, run)


async def test_the_same_message_again_gets_the_same_events_again(
    api: httpx2.AsyncClient,
) -> None:
    place = await new_conversation(api)
    told = []
    for _ in range(2):
        body = {"id": "once", "text": "Hi"}
        async with api.stream("POST", f"{place}/messages", json=body, headers=SSE) as response:
            told.append([frame async for frame in events_of(response)])

    assert told[0] == told[1]


async def test_events_go_on_after_the_last_one_that_was_read(
    parley: LocalParley, api: httpx2.AsyncClient, behave: Behave
) -> None:
    behave(Behaviour(length=40, tokens_per_s=100))
    async with connected(parley.websocket_url) as client:
        accepted = await client.send("Hi")
        place = f"/v1/conversations/{accepted['conversation']}/events"
        last = (await client.hear_until("attached"))["cursor"]
        pieces: list[Frame] = []
        while not pieces or pieces[-1]["type"] not in TERMINAL:
            async with api.stream("GET", place, headers={"Last-Event-ID": last}) as response:
                pieces += await read_until(response, "run.started", "delta", *TERMINAL)
                last = pieces[-1]["cursor"]
        await client.hear_until("run.completed")

    told = [f for f in client.frames if "cursor" in f and f["type"] != "attached"]
    assert pieces == told


async def test_without_a_last_event_a_stream_begins_with_a_snapshot(
    parley: LocalParley, api: httpx2.AsyncClient, behave: Behave
) -> None:
    behave(Behaviour(faults=(StallAfter(tokens=5),)))
    async with connected(parley.websocket_url) as client:
        accepted = await client.send("Hi")
        await client.hear_until("delta")
        place = f"/v1/conversations/{accepted['conversation']}/events"
        async with api.stream("GET", place) as response:
            stream = events_of(response)
            snapshot = await anext(stream)
            await client.say(type="stop", run=accepted["run"])
            stopped = await client.hear_until("run.stopped")
            async for frame in stream:
                if frame["type"] == "run.stopped":
                    break

    assert snapshot["type"] == "snapshot"
    assert snapshot["runs"][0]["run"] == accepted["run"]
    assert frame == stopped


async def test_a_stream_of_a_queued_run_waits_for_it(
    api: httpx2.AsyncClient, parley: LocalParley, behave: Behave
) -> None:
    behave(Behaviour(faults=(StallAfter(tokens=5),)))
    async with connected(parley.websocket_url) as client:
        first = await client.send("First")
        await client.hear_until("delta")
        behave(Behaviour())
        place = f"/v1/conversations/{first['conversation']}"
        body = {"id": "second", "text": "Second"}
        async with api.stream("POST", f"{place}/messages", json=body, headers=SSE) as response:
            stream = events_of(response)
            message = await anext(stream)
            await client.say(type="stop", run=first["run"])
            rest = [frame async for frame in stream]

    assert message["message"]["text"] == "Second"
    assert rest[-1]["type"] == "run.completed"
    assert {frame["run"] for frame in rest} == {message["run"]}


async def test_a_stream_that_begins_with_a_snapshot_waits_for_a_queued_run_too(
    parley: LocalParley, api: httpx2.AsyncClient, behave: Behave, redis_url: str
) -> None:
    behave(Behaviour(faults=(StallAfter(tokens=5),)))
    async with connected(parley.websocket_url) as client:
        first = await client.send("First")
        await client.hear_until("delta")
        behave(Behaviour())
        second = await client.send("Second", id="second", conversation=first["conversation"])
        place = f"/v1/conversations/{first['conversation']}/messages"
        body = {"id": "second", "text": "Second"}
        with Redis.from_url(redis_url) as redis:
            redis.xtrim(keys.log(first["conversation"]), maxlen=0, approximate=False)
        async with api.stream("POST", place, json=body, headers=SSE) as response:
            stream = events_of(response)
            snapshot = await anext(stream)
            await client.say(type="stop", run=first["run"])
            rest = [frame async for frame in stream]
        async with api.stream("POST", place, json=body, headers=SSE) as response:
            again = [frame async for frame in events_of(response)]

    assert snapshot["type"] == "snapshot"
    assert rest[-1]["type"] == "run.completed"
    assert {frame["run"] for frame in rest} == {second["run"]}
    assert [frame["type"] for frame in again] == ["snapshot"]


async def test_messages_are_read_backwards_in_pages(
    parley: LocalParley, api: httpx2.AsyncClient
) -> None:
    async with connected(parley.websocket_url) as client:
        accepted, _, _ = await client.ask("0")
        conversation = accepted["conversation"]
        for number in range(1, 4):
            await client.ask(str(number), conversation=conversation)
    place = f"/v1/conversations/{conversation}/messages"

    newest = (await api.get(place, params={"limit": "3"})).json()
    assert set(newest) == {"data", "has_more"}
    assert ([m["seq"] for m in newest["data"]], newest["has_more"]) == ([6, 7, 8], True)
    older = (await api.get(place, params={"limit": "5", "before": "6"})).json()
    assert ([m["seq"] for m in older["data"]], older["has_more"]) == ([1, 2, 3, 4, 5], False)
    assert (await api.get(place, params={"before": "1"})).json() == {"data": [], "has_more": False}
    everything = (await api.get(place)).json()["data"]
    assert everything == older["data"] + newest["data"]
    async with connected(parley.websocket_url) as client:
        await client.say(type="attach", conversation=conversation)
        assert (await client.hear_until("snapshot"))["messages"] == everything


async def test_a_stream_that_is_left_is_no_longer_watched(
    parley: LocalParley, api: httpx2.AsyncClient
) -> None:
    place = await new_conversation(api)
    hub = parley.gateway.target._services.hub
    async with api.stream("GET", f"{place}/events") as response:
        await read_until(response, "snapshot")
        assert len(hub._feeds) == 1

    async def let_go() -> bool:
        return not hub._feeds

    await until(let_go)


@pytest.mark.parametrize("with_http", [{"heartbeat_s": 0.05}], indirect=True)
async def test_a_quiet_stream_is_kept_alive_by_comments(
    api: httpx2.AsyncClient, behave: Behave, with_http: Any
) -> None:
    behave(Behaviour(first_token_s=0.3))
    place = await new_conversation(api)
    body = {"id": "m", "text": "Hi"}
    async with api.stream("POST", f"{place}/messages", json=body, headers=SSE) as response:
        lines = [line async for line in response.aiter_lines()]

    assert ": alive" in lines
    assert "event: run.completed" in lines


async def test_an_error_is_the_last_event_of_a_stream(
    parley: LocalParley, api: httpx2.AsyncClient
) -> None:
    place = await new_conversation(api)
    async with api.stream("GET", f"{place}/events") as response:
        stream = events_of(response)
        assert (await anext(stream))["type"] == "snapshot"
        await api.delete(place)
        await parley.gateway.target._services.hub._renew()
        rest = [frame async for frame in stream]

    assert codes(rest) == ["not_found"]
    assert rest[0]["conversation"] == place.rpartition("/")[2]
