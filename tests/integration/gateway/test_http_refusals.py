"""Whatever is asked over HTTP, an error is an answer in OpenAI's shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from actors.core.errors import Unavailable

if TYPE_CHECKING:
    import httpx2

    from tests.harness.boxes import LocalParley

NOWHERE = f"/v1/conversations/{uuid4()}"


def told(response: httpx2.Response) -> tuple[int, str]:
    """An error's status and code; its shape is checked."""
    error = response.json()["error"]
    assert set(error) - {"retry_after_s"} == {"message", "type", "code", "param", "retryable"}
    assert error["message"]
    expected = "invalid_request_error" if response.status_code < 500 else "server_error"
    assert error["type"] == expected
    assert response.headers["X-Request-Id"]
    assert response.headers["Content-Type"] == "application/json"
    return response.status_code, error["code"]


AUTHENTICATED = [
    ("POST", "/v1/tickets"),
    ("GET", "/v1/me"),
    ("PATCH", "/v1/me"),
    ("GET", "/v1/conversations"),
    ("POST", "/v1/conversations"),
    ("GET", NOWHERE),
    ("PATCH", NOWHERE),
    ("DELETE", NOWHERE),
    ("GET", f"{NOWHERE}/messages"),
    ("POST", f"{NOWHERE}/messages"),
    ("GET", f"{NOWHERE}/events"),
    ("POST", f"/v1/runs/{uuid4()}/stop"),
]


async def test_whoever_is_not_known_is_told_so_everywhere(api: httpx2.AsyncClient) -> None:
    for authorization in ("", "Bearer", "Bearer wrong", "Basic d3Jvbmc=", f"Bearer {'x' * 5000}"):
        api.headers["Authorization"] = authorization
        for method, path in AUTHENTICATED:
            response = await api.request(method, path)
            assert told(response) == (401, "unauthenticated"), (method, path)
            assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_credentials_beyond_ascii_are_not_known(api: httpx2.AsyncClient) -> None:
    response = await api.get("/v1/me", headers=[(b"Authorization", b"Bearer \xff\xfe")])

    assert told(response) == (401, "unauthenticated")


async def test_paths_and_methods_that_are_not(api: httpx2.AsyncClient) -> None:
    for path in ("/nowhere", "/v1", "/v1/conversations/", "/static/nothing.js", "/static/%00"):
        assert told(await api.get(path)) == (404, "not_found"), path
    for method, path in (("PUT", "/v1/me"), ("DELETE", "/healthz"), ("GET", "/v1/tickets")):
        response = await api.request(method, path)
        assert told(response) == (405, "invalid_request")
        assert response.headers["Allow"]


BODIES: list[tuple[str, bytes]] = [
    ("not JSON", b"{"),
    ("nothing", b""),
    ("no object", b"[]"),
    ("a string", b'"x"'),
    ("not UTF-8", b'{"title":"\xff"}'),
    ("too deep", b'{"metadata":' + b'{"a":' * 40 + b"1" + b"}" * 40 + b"}"),
    ("an abyss", b'{"metadata":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    ("half a pair", b'{"title":"\\ud800"}'),
    ("half a pair in metadata", b'{"metadata":{"k":"\\udc00"}}'),
    ("half a pair as a key", b'{"metadata":{"\\ud800":1}}'),
    ("half a pair as a field", b'{"\\ud800":1}'),
    ("NUL", b'{"title":"\\u0000"}'),
    ("NUL in metadata", b'{"metadata":{"k":"\\u0000"}}'),
    ("a huge number", b'{"metadata":{"k":' + b"9" * 100 + b"}}"),
    ("an endless number", b'{"metadata":{"k":' + b"9" * 10_000 + b"}}"),
    ("no number", b'{"metadata":{"k":NaN}}'),
    ("infinity", b'{"metadata":{"k":-Infinity}}'),
    ("a field of another type", b'{"title":5}'),
    ("an unknown field", b'{"titel":"x"}'),
    ("an unknown policy", b'{"busy":"never"}'),
    ("a long title", b'{"title":"' + b"x" * 201 + b'"}'),
]


async def test_a_bad_body_is_an_invalid_request(api: httpx2.AsyncClient) -> None:
    place = (await api.post("/v1/conversations")).json()["id"]
    headers = {"Content-Type": "application/json"}
    targets = [
        ("PATCH", f"/v1/conversations/{place}"),
        ("POST", f"/v1/conversations/{place}/messages"),
    ]
    for name, body in BODIES:
        for method, path in targets:
            response = await api.request(method, path, content=body, headers=headers)
            assert told(response) == (400, "invalid_request"), (name, path)
    assert (await api.get(f"/v1/conversations/{place}")).json()["title"] is None


async def test_a_bad_field_is_named(api: httpx2.AsyncClient) -> None:
    place = (await api.post("/v1/conversations")).json()["id"]
    bodies: list[tuple[dict[str, Any], str]] = [
        ({"text": "Hi"}, "id"),
        ({"id": "a"}, "text"),
        ({"id": "a b", "text": "Hi"}, "id"),
        ({"id": "a", "text": "  "}, "text"),
        ({"id": "a", "text": "Hi", "agent": 5}, "agent"),
        ({"id": "a", "text": "Hi", "metadata": []}, "metadata"),
        ({"id": "a", "text": "Hi", "wrong": 1}, "wrong"),
    ]
    for body, param in bodies:
        response = await api.post(f"/v1/conversations/{place}/messages", json=body)
        assert told(response) == (400, "invalid_request")
        assert response.json()["error"]["param"] == param


async def test_over_a_limit_is_too_large(api: httpx2.AsyncClient) -> None:
    place = f"/v1/conversations/{(await api.post('/v1/conversations')).json()['id']}/messages"
    long = await api.post(place, json={"id": "a", "text": "x" * 32_001})
    assert told(long) == (413, "too_large")
    body = b'{"title":"' + b"x" * 5_000_000 + b'"}'
    headers = {"Content-Type": "application/json"}
    assert told(await api.post("/v1/conversations", content=body, headers=headers)) == (
        413,
        "too_large",
    )

    async def pieces() -> Any:
        for _ in range(50):
            yield b" " * 100_000

    chunked = await api.post("/v1/conversations", content=pieces(), headers=headers)
    assert told(chunked) == (413, "too_large")


async def test_bad_parameters_are_invalid_requests(api: httpx2.AsyncClient) -> None:
    place = f"/v1/conversations/{(await api.post('/v1/conversations')).json()['id']}"
    pages = ["", "x", "%ff", "=", "MjAyNi0xMS0yMyBub25lCg", "MDAwMS0wMS0wMVQwMDowMDowMCsyMzowMCBh"]
    for path in (
        *(f"/v1/conversations?page={page}" for page in pages),
        "/v1/conversations?limit=0",
        "/v1/conversations?limit=101",
        "/v1/conversations?limit=many",
        f"{place}/messages?limit=0",
        f"{place}/messages?before=0",
        f"{place}/messages?before=99999999999999",
        f"{place}/messages?before=last",
        f"{place}/events?after=latest",
        "/v1/conversations/nonsense",
        "/v1/conversations/nonsense/messages",
        "/v1/conversations/%00",
    ):
        assert told(await api.get(path)) == (400, "invalid_request"), path
    cursor = {"Last-Event-ID": "1.x"}
    assert told(await api.get(f"{place}/events", headers=cursor)) == (400, "invalid_request")
    assert told(await api.post("/v1/runs/nonsense/stop")) == (400, "invalid_request")
    assert told(await api.post(f"/v1/runs/{uuid4()}/stop")) == (404, "not_found")


async def test_an_unknown_agent_is_not_found(api: httpx2.AsyncClient) -> None:
    place = f"/v1/conversations/{(await api.post('/v1/conversations')).json()['id']}/messages"

    response = await api.post(place, json={"id": "a", "text": "Hi", "agent": "nobody"})

    assert told(response) == (404, "not_found")


async def test_a_request_id_is_the_callers_if_it_is_a_decent_one(api: httpx2.AsyncClient) -> None:
    for path in ("/healthz", "/nowhere", "/", "/v1/me"):
        response = await api.get(path, headers={"X-Request-Id": "trace:1.a_b-c"})
        assert response.headers["X-Request-Id"] == "trace:1.a_b-c"
        for indecent in ("", "a b", "x" * 129, "a;b"):
            made = await api.get(path, headers={"X-Request-Id": indecent})
            assert UUID(made.headers["X-Request-Id"])


@pytest.fixture
def broken(parley: LocalParley, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Has the context actor fail with an error."""

    def fail_with(error: Exception) -> None:
        async def fail(*_: Any) -> None:
            raise error

        monkeypatch.setattr(parley.context.target, "issue_ticket", fail)
        monkeypatch.setattr(parley.context.target, "degraded", fail)

    return fail_with


async def test_a_part_that_is_down_says_when_to_come_again(
    api: httpx2.AsyncClient, broken: Any
) -> None:
    broken(Unavailable("Down.", retry_after_s=1.5))

    response = await api.post("/v1/tickets")

    assert told(response) == (503, "unavailable")
    assert response.headers["Retry-After"] == "2"
    assert response.json()["error"]["retry_after_s"] == 1.5
    assert response.json()["error"]["retryable"] is True
    readiness = await api.get("/readyz")
    assert (readiness.status_code, readiness.json()["ready"]) == (503, False)


async def test_a_defect_is_an_internal_error(
    parley: LocalParley, api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(parley.gateway.target._services.hub, "attach", fail)

    assert told(await api.get(f"{NOWHERE}/events")) == (500, "internal")
