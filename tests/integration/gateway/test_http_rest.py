"""Tickets, profiles, health, the console, and the document that describes all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from simulator import Behaviour
from tests.harness.client import KEY, connected

if TYPE_CHECKING:
    import httpx2

    from config.settings import Settings
    from simulator import RunningSimulator
    from tests.harness.boxes import LocalParley
    from tests.integration.gateway.conftest import Behave, Strangers


async def test_a_ticket_is_a_secret_for_half_a_minute(api: httpx2.AsyncClient) -> None:
    first, second = [(await api.post("/v1/tickets")).json() for _ in range(2)]

    assert first == {"ticket": first["ticket"], "expires_in": 30}
    assert len(first["ticket"]) >= 32
    assert first["ticket"] != second["ticket"]


async def test_a_profile_reaches_the_agents_of_all_of_a_users_conversations(
    parley: LocalParley,
    api: httpx2.AsyncClient,
    simulator: RunningSimulator,
    strangers: Strangers,
) -> None:
    async with connected(parley.websocket_url) as client:
        accepted, _, _ = await client.ask("Before.", agent="gpt")
        changes = {"name": "Ada", "preferences": {"tone": "dry"}, "likes": ["engines"]}
        changed = await api.patch("/v1/me", json=changes)
        await client.ask("After.", conversation=accepted["conversation"])
        await client.ask("Elsewhere.", agent="gemini")
    async with connected(parley.websocket_url, hello=False) as client:
        await client.hello(token=strangers.neighbour)
        await client.ask("Somebody else.")

    assert changed.status_code == 200
    assert changed.json().items() >= changes.items()
    assert (await api.get("/v1/me")).json() == changed.json()
    systems = [record.system or "" for record in simulator.journal.records]
    assert ["Ada" in s and "engines" in s for s in systems] == [False, True, True, False]


async def test_a_profiles_keys_are_merged_and_a_null_removes_one(api: httpx2.AsyncClient) -> None:
    await api.patch("/v1/me", json={"name": "Ada", "likes": 1, "model_config": {}, "self": 2})
    await api.patch("/v1/me", json={"likes": None, "language": "fr", "id": "not mine to choose"})
    me = (await api.get("/v1/me")).json()

    assert me == {
        "id": me["id"],
        "name": "Ada",
        "language": "fr",
        "preferences": None,
        "model_config": {},
        "self": 2,
    }
    assert me["id"] != "not mine to choose"


async def test_a_profile_does_not_grow_without_end(api: httpx2.AsyncClient) -> None:
    first = await api.patch("/v1/me", json={"a": "x" * 10_000})
    second = await api.patch("/v1/me", json={"b": "x" * 10_000})

    assert first.status_code == 200
    assert (second.status_code, second.json()["error"]["code"]) == (413, "too_large")
    for bad in (b'{"a":"\\ud800"}', b'{"a\\u0000":1}', b"[]", b'{"a":NaN}'):
        headers = {"Content-Type": "application/json"}
        response = await api.patch("/v1/me", content=bad, headers=headers)
        assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_request")


async def test_health_and_readiness(api: httpx2.AsyncClient) -> None:
    del api.headers["Authorization"]
    health, readiness = await api.get("/healthz"), await api.get("/readyz")

    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    assert readiness.status_code == 200
    assert readiness.json() == {
        "ready": True,
        "degraded": [],
        "simulated": ["gemini", "openai"],
    }


async def test_the_console_is_served_under_a_strict_policy(api: httpx2.AsyncClient) -> None:
    del api.headers["Authorization"]
    for path, media_type in (
        ("/", "text/html"),
        ("/static/js/main.js", "text/javascript"),
        ("/static/css/page.css", "text/css"),
        ("/console/config.json", "application/json"),
    ):
        response = await api.get(path)
        assert response.status_code == 200, path
        assert response.headers["Content-Type"].startswith(media_type)
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    for path in ("/static/../serve_app.py", "/static/%2e%2e/serve_app.py", "/static//etc/passwd"):
        assert (await api.get(path)).status_code == 404


async def test_the_console_is_offered_the_key_in_development(api: httpx2.AsyncClient) -> None:
    config = (await api.get("/console/config.json")).json()

    assert config == {"environment": "development", "development_key": KEY}


class TestProduction:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        auth = settings.auth.model_copy(update={"bootstrap_key": SecretStr("production key")})
        return settings.model_copy(update={"environment": "production", "auth": auth})

    async def test_the_console_is_offered_no_key(self, api: httpx2.AsyncClient) -> None:
        config = (await api.get("/console/config.json")).json()

        assert config == {"environment": "production", "development_key": None}


def _operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


async def test_the_document_names_every_path_of_the_protocol(api: httpx2.AsyncClient) -> None:
    document = (await api.get("/openapi.json")).json()

    described = {(method, path) for method, path, _ in _operations(document)}
    one = "/v1/conversations/{conversation}"
    assert described >= {
        ("POST", "/v1/tickets"),
        ("GET", "/v1/me"),
        ("PATCH", "/v1/me"),
        ("GET", "/v1/conversations"),
        ("POST", "/v1/conversations"),
        ("GET", one),
        ("PATCH", one),
        ("DELETE", one),
        ("GET", f"{one}/messages"),
        ("POST", f"{one}/messages"),
        ("GET", f"{one}/events"),
        ("POST", "/v1/runs/{run}/stop"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/"),
        ("GET", "/console/config.json"),
    }
    for method, path, operation in _operations(document):
        open_to_all = path in {"/", "/console/config.json", "/healthz", "/readyz"}
        assert open_to_all or operation["security"], (method, path)
        assert "422" not in operation["responses"]


async def test_the_document_is_true(
    parley: LocalParley, api: httpx2.AsyncClient, behave: Behave
) -> None:
    """Every operation is called well, badly, by nobody, and for what there is not."""
    behave(Behaviour(length=1))
    document = (await api.get("/openapi.json")).json()
    async with connected(parley.websocket_url) as client:
        accepted, _, _ = await client.ask("Hi")
    real = {"conversation": accepted["conversation"], "run": accepted["run"]}
    none = dict.fromkeys(real, str(uuid4()))
    wrong = dict.fromkeys(real, "nonsense")
    operations = sorted(_operations(document), key=lambda o: o[0] == "DELETE")
    for method, path, operation in operations:
        for ids in (wrong, none, real):
            for headers in ({}, {"Authorization": "Bearer wrong"}):
                body = _body(method, path)
                async with api.stream(
                    method, path.format(**ids), json=body, headers=headers
                ) as response:
                    _check(document, operation, response)
                    if not response.headers["Content-Type"].startswith("text/event-stream"):
                        await response.aread()


def _body(method: str, path: str) -> Any:
    if path.endswith("/messages") and method == "POST":
        return {"id": str(uuid4()), "text": "Hi"}
    return {} if method in {"POST", "PATCH"} else None


def _check(document: dict[str, Any], operation: dict[str, Any], response: httpx2.Response) -> None:
    what = (response.request.method, str(response.request.url), response.status_code)
    described = operation["responses"].get(str(response.status_code))
    assert described is not None, what
    assert response.headers["X-Request-Id"]
    if response.status_code != 204:
        media_type = response.headers["Content-Type"].partition(";")[0]
        assert media_type in described["content"], what
