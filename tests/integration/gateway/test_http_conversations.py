"""Conversations over HTTP: made, listed, changed, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from redis import Redis

from actors.stores import keys
from simulator import Behaviour
from simulator.faults import StallAfter
from tests.harness.client import connected
from tests.integration.gateway.conditions import until

if TYPE_CHECKING:
    import httpx2

    from simulator import RunningSimulator
    from tests.harness.boxes import LocalParley
    from tests.integration.gateway.conftest import Behave, Strangers

FIELDS = {"id", "title", "metadata", "busy", "created_at", "updated_at"}


async def test_a_conversation_is_made_read_and_changed(api: httpx2.AsyncClient) -> None:
    given = {"title": "Plans \N{SNOWMAN}", "metadata": {"a": [1, None]}, "busy": "reject"}
    response = await api.post("/v1/conversations", json=given)
    made = response.json()
    assert response.status_code == 201
    assert set(made) == FIELDS
    assert made.items() >= given.items()

    place = f"/v1/conversations/{made['id']}"
    assert (await api.get(place)).json() == made

    changed = (await api.patch(place, json={"title": None, "busy": "queue"})).json()
    assert changed == made | {
        "title": None,
        "busy": "queue",
        "updated_at": changed["updated_at"],
    }
    assert changed["updated_at"] > made["updated_at"]
    assert (await api.get(place)).json() == changed


async def test_a_conversation_may_be_made_of_nothing(api: httpx2.AsyncClient) -> None:
    for options in ({}, {"json": {}}):
        made: dict[str, Any] = (await api.post("/v1/conversations", **options)).json()

        defaults = {"title": None, "metadata": {}, "busy": "queue"}
        assert made.items() >= defaults.items()


async def test_pages_list_every_conversation_once_the_newest_first(
    api: httpx2.AsyncClient,
) -> None:
    made = [(await api.post("/v1/conversations")).json()["id"] for _ in range(7)]
    seen: list[str] = []
    page: dict[str, str] = {}
    while True:
        response = (await api.get("/v1/conversations", params={"limit": "3"} | page)).json()
        assert set(response) == {"data", "next"}
        seen += [conversation["id"] for conversation in response["data"]]
        if response["next"] is None:
            break
        page = {"page": response["next"]}

    assert seen == made[::-1]


async def test_a_conversation_without_a_title_is_called_by_its_first_message(
    parley: LocalParley, api: httpx2.AsyncClient
) -> None:
    async with connected(parley.websocket_url) as client:
        accepted = await client.send("What is a monad? " * 10)

    title = (await api.get(f"/v1/conversations/{accepted['conversation']}")).json()["title"]
    assert title == ("What is a monad? " * 10)[:80]


async def test_deleting_stops_the_runs_and_leaves_nothing(
    parley: LocalParley,
    api: httpx2.AsyncClient,
    behave: Behave,
    simulator: RunningSimulator,
    redis_url: str,
) -> None:
    behave(Behaviour(faults=(StallAfter(tokens=3),)))
    async with connected(parley.websocket_url) as client:
        accepted = await client.send("Hi")
        await client.hear_until("delta")
        place = f"/v1/conversations/{accepted['conversation']}"
        response = await api.delete(place)
        assert (response.status_code, response.content) == (204, b"")

        async def cancelled() -> bool:
            return simulator.journal.records[-1].finish == "cancelled"

        await until(cancelled)
        refused = await client.send("More", conversation=accepted["conversation"])
        assert refused["error"]["code"] == "not_found"

    for method, path in [
        ("GET", place),
        ("PATCH", place),
        ("DELETE", place),
        ("GET", f"{place}/messages"),
        ("GET", f"{place}/events"),
        ("POST", f"/v1/runs/{accepted['run']}/stop"),
    ]:
        body = {"json": {}} if method == "PATCH" else {}
        gone = await api.request(method, path, **body)
        assert gone.status_code == 404, (method, path)
        assert gone.json()["error"]["code"] == "not_found"
    assert (await api.get("/v1/conversations")).json() == {"data": [], "next": None}
    conversation = accepted["conversation"]
    with Redis.from_url(redis_url) as redis:
        assert not redis.exists(
            keys.log(conversation), keys.head(conversation), keys.context_messages(conversation)
        )


async def test_anothers_conversation_looks_like_none_at_all(
    parley: LocalParley, api: httpx2.AsyncClient, strangers: Strangers
) -> None:
    async with connected(parley.websocket_url) as client:
        accepted, _, _ = await client.ask("A secret.")

    for stranger in (strangers.neighbour, strangers.foreigner):
        api.headers["Authorization"] = f"Bearer {stranger}"
        assert (await api.get("/v1/conversations")).json()["data"] == []
        theirs = await _answers(api, accepted["conversation"], accepted["run"])
        assert theirs == await _answers(api, str(uuid4()), str(uuid4()))
        assert [status for status, _ in theirs] == [404] * 7


async def _answers(api: httpx2.AsyncClient, conversation: str, run: str) -> list[tuple[int, Any]]:
    place = f"/v1/conversations/{conversation}"
    responses = [
        await api.get(place),
        await api.patch(place, json={"title": "Mine"}),
        await api.delete(place),
        await api.get(f"{place}/messages"),
        await api.post(f"{place}/messages", json={"id": "a", "text": "Hi"}),
        await api.get(f"{place}/events"),
        await api.post(f"/v1/runs/{run}/stop"),
    ]
    return [(response.status_code, response.json()) for response in responses]
