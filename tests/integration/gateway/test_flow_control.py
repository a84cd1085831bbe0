"""Heartbeats, silence, and clients that do not keep up."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosed

from simulator import Behaviour
from simulator.faults import Silence
from tests.harness.client import connected

if TYPE_CHECKING:
    from tests.harness.boxes import LocalParley
    from tests.harness.client import Client, Frame
    from tests.integration.gateway.conftest import Behave

LIMIT = 262_144
PATIENCE_S = 20.0
QUICK = {"heartbeat_s": 0.2, "client_silence_s": 1.5}
WORDY = "x" * 8_000


async def raw(client: Client) -> Frame:
    """The next frame, pings not answered."""
    frame: Frame = json.loads(await asyncio.wait_for(client.socket.recv(), PATIENCE_S))
    return frame


async def close_code(client: Client) -> int | None:
    """Of a socket on which nothing is answered any more."""
    try:
        while True:
            await raw(client)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


@pytest.mark.parametrize("with_http", [QUICK], indirect=True)
async def test_after_silence_the_server_pings_and_who_answers_stays(
    parley: LocalParley, with_http: Any
) -> None:
    async with connected(parley.websocket_url) as client:
        begun = time.monotonic()
        while time.monotonic() < begun + 2 * QUICK["client_silence_s"]:
            ping = await raw(client)
            assert set(ping) == {"type", "t"}
            assert ping["type"] == "ping"
            await client.say(type="pong", t=ping["t"])

        assert (await client.send("Hi"))["type"] == "accepted"


@pytest.mark.parametrize("with_http", [QUICK], indirect=True)
async def test_a_silent_client_is_dropped(parley: LocalParley, with_http: Any) -> None:
    async with connected(parley.websocket_url) as client:
        assert await close_code(client) == 1001


@pytest.mark.parametrize("with_http", [QUICK], indirect=True)
async def test_any_frame_counts_as_life(parley: LocalParley, with_http: Any) -> None:
    async with connected(parley.websocket_url) as client:
        begun = time.monotonic()
        while time.monotonic() < begun + 2 * QUICK["client_silence_s"]:
            await raw(client)
            await client.say(type="detach", conversation="01890000-0000-7000-8000-000000000000")

        assert (await client.send("Hi"))["type"] == "accepted"


@pytest.mark.parametrize("with_http", [QUICK], indirect=True)
async def test_who_only_listens_to_a_long_answer_is_pinged_too(
    parley: LocalParley, behave: Behave, with_http: Any
) -> None:
    behave(Behaviour(length=80, tokens_per_s=20))
    async with connected(parley.websocket_url) as client:
        accepted = await client.send("Hi")
        ended = await client.hear_until("run.completed")

    assert ended["run"] == accepted["run"]


async def fill(client: Client, conversation: str, count: int) -> None:
    for number in range(count):
        await client.say(
            type="send", id=f"fill.{number}", text=f"{number} {WORDY}", conversation=conversation
        )
        await client.hear_until("accepted")


async def until_blocked(client: Client) -> list[Frame]:
    """What is sent to a client that answers nothing, until no event comes any more."""
    heard: list[Frame] = []
    sent_bytes = 0
    while sent_bytes <= LIMIT:
        text = await asyncio.wait_for(client.socket.recv(), PATIENCE_S)
        heard.append(json.loads(text))
        sent_bytes += 0 if heard[-1]["type"] == "ping" else len(text)
    for t in ("all", "really all"):
        await client.say(type="ping", t=t)
        while (frame := await raw(client)) != {"type": "pong", "t": t}:
            assert frame["type"] == "ping"
            heard.append(frame)
    return heard


async def test_who_answers_no_ping_gets_no_more_events_until_it_does_and_loses_none(
    parley: LocalParley, behave: Behave
) -> None:
    behave(Behaviour(faults=(Silence(),)))
    async with (
        connected(parley.websocket_url) as speaker,
        connected(parley.websocket_url) as slow,
    ):
        conversation = (await speaker.send("Hi"))["conversation"]
        await speaker.hear_until("run.started")
        await slow.say(type="attach", conversation=conversation)
        await slow.hear_until("snapshot")
        await fill(speaker, conversation, 60)

        heard = await until_blocked(slow)
        pings = [frame["t"] for frame in heard if frame["type"] == "ping"]
        assert len(pings) == 4

        await slow.say(type="pong", t=pings[0] - 1)
        await slow.say(type="pong", t=pings[-1])
        events = [frame for frame in heard if frame["type"] != "ping"]
        while len(events) < 60:
            events.append(await slow.hear())

    assert [e["id"] for e in events] == [f"fill.{number}" for number in range(60)]


@pytest.mark.parametrize("with_http", [{"client_stall_s": 0.3}], indirect=True)
async def test_who_makes_no_progress_is_closed_with_4413(
    parley: LocalParley, behave: Behave, with_http: Any
) -> None:
    behave(Behaviour(faults=(Silence(),)))
    async with (
        connected(parley.websocket_url) as speaker,
        connected(parley.websocket_url) as slow,
    ):
        conversation = (await speaker.send("Hi"))["conversation"]
        await slow.say(type="attach", conversation=conversation)
        await slow.hear_until("snapshot")
        await fill(speaker, conversation, 45)

        assert await close_code(slow) == 4413
        assert (await speaker.send("I am quick enough"))["type"] == "accepted"


async def test_who_asks_for_much_and_answers_for_nothing_is_closed_with_4413(
    parley: LocalParley,
) -> None:
    async with connected(parley.websocket_url) as client:
        big = "x" * 200_000
        with suppress(ConnectionClosed):
            for _ in range(64):
                await client.say(type="ping", t=big)

        assert await close_code(client) == 4413


async def test_snapshots_wait_for_a_client_that_does_not_keep_up(
    parley: LocalParley, behave: Behave
) -> None:
    behave(Behaviour(faults=(Silence(),)))
    async with (
        connected(parley.websocket_url) as speaker,
        connected(parley.websocket_url) as slow,
    ):
        conversation = (await speaker.send("Hi"))["conversation"]
        await fill(speaker, conversation, 45)
        for _ in range(10):
            await slow.say(type="attach", conversation=conversation)
        heard = await until_blocked(slow)

        kinds = [frame["type"] for frame in heard if frame["type"] != "ping"]
        assert kinds.count("attached") == 10
        assert kinds.count("snapshot") == 1
        await slow.say(type="pong", t=next(f["t"] for f in reversed(heard) if f["type"] == "ping"))
        await speaker.send("Still here?", conversation=conversation)
        assert (await slow.hear_until("message"))["message"]["text"] == "Still here?"
