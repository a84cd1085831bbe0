"""The hub notices what its channel did not say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis

from actors.core.errors import Unavailable
from actors.stores import keys
from simulator import Behaviour
from tests.harness.client import connected
from tests.integration.gateway.conditions import until
from tests.integration.gateway.endings import codes, ending

if TYPE_CHECKING:
    import httpx2

    from actors.gateway.hub import Hub
    from tests.harness.boxes import LocalParley
    from tests.integration.gateway.conftest import Behave

NOBODYS = "01890000-0000-7000-8000-000000000000"


@pytest.fixture
def hub(parley: LocalParley) -> Hub:
    found: Hub = parley.gateway.target._services.hub
    return found


async def test_a_conversation_that_is_deleted_ends_its_own_watches_and_no_others(
    parley: LocalParley, hub: Hub, api: httpx2.AsyncClient
) -> None:
    async with connected(parley.websocket_url) as client:
        first, _, _ = await client.ask("First")
        second, _, _ = await client.ask("Second")
        await api.delete(f"/v1/conversations/{first['conversation']}")
        await hub._renew()
        gone = await client.hear()
        assert codes([gone]) == ["not_found"]
        assert gone["conversation"] == first["conversation"]

        _, ended, _ = await client.ask("Go on", conversation=second["conversation"])

    assert ended["type"] == "run.completed"


async def test_what_was_published_unheard_is_caught_up_with(
    parley: LocalParley, hub: Hub, redis_url: str
) -> None:
    async with (
        connected(parley.websocket_url) as speaker,
        connected(parley.websocket_url) as listener,
    ):
        accepted, _, _ = await speaker.ask("Hi")
        conversation = accepted["conversation"]
        await listener.say(type="attach", conversation=conversation)
        await listener.hear_until("snapshot")
        with Redis.from_url(redis_url) as redis:
            redis.delete(keys.watchers(conversation))
            await speaker.send("Unheard", conversation=conversation)
            redis.delete(keys.watchers(conversation))
        await hub._renew()
        told = [await listener.hear_until("message"), await listener.hear_until("run.completed")]

    assert told[0]["message"]["text"] == "Unheard"
    assert [frame["type"] for frame in listener.frames].count("snapshot") == 1


async def test_events_wait_while_the_log_cannot_be_read(
    parley: LocalParley, hub: Hub, behave: Behave, monkeypatch: pytest.MonkeyPatch
) -> None:
    behave(Behaviour(length=20, tokens_per_s=100))
    working, failures = hub.next_frames, iter([True, True])

    async def flaky(watch: Any) -> Any:
        if next(failures, False):
            raise Unavailable
        return await working(watch)

    async with connected(parley.websocket_url) as client:
        monkeypatch.setattr(hub, "next_frames", flaky)
        _, ended, _ = await client.ask("Hi")

    assert ended["type"] == "run.completed"
    assert next(failures, None) is None


async def test_a_defect_is_told_before_the_socket_closes(
    parley: LocalParley, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise ZeroDivisionError

    async with connected(parley.websocket_url) as client:
        monkeypatch.setattr(hub, "attach", fail)
        await client.say(type="send", id="a", text="Hi")
        assert (await client.hear())["type"] == "accepted"
        heard, code = await ending(client)

    assert (codes(heard), code) == (["internal"], 1011)


async def test_sockets_that_are_gone_leave_nothing_behind(parley: LocalParley, hub: Hub) -> None:
    async def one_feed() -> bool:
        return len(hub._feeds) == 1

    async with connected(parley.websocket_url) as client:
        await client.ask("Hi")
        async with connected(parley.websocket_url) as other:
            await other.ask("Ho")
            assert len(hub._feeds) == 2
        await client.say(type="attach", conversation=NOBODYS)
        assert codes([await client.hear()]) == ["not_found"]
        await until(one_feed)
