"""Hello: who may open a socket, and how one is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.harness.client import KEY, connected
from tests.integration.gateway.endings import codes, ending

if TYPE_CHECKING:
    import httpx2

    from config.settings import Settings
    from tests.harness.boxes import LocalParley


async def test_welcome_states_the_limits_and_the_agents(
    parley: LocalParley, settings: Settings
) -> None:
    async with connected(parley.websocket_url, hello=False) as client:
        welcome = await client.hello()

    assert welcome == {
        "type": "welcome",
        "heartbeat_s": 25,
        "limits": {"max_text_chars": 32_000, "max_frame_bytes": 262_144},
        "agents": [
            {"name": name, "description": agent.description, "provider": agent.provider}
            for name, agent in settings.agents.items()
        ],
    }


async def test_the_authorization_header_serves_instead_of_a_token(parley: LocalParley) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with connected(parley.websocket_url, hello=False, additional_headers=headers) as client:
        await client.say(type="hello")

        assert (await client.hear())["type"] == "welcome"


async def test_a_token_counts_before_the_authorization_header(parley: LocalParley) -> None:
    headers = {"Authorization": "Bearer of nothing"}
    async with connected(parley.websocket_url, hello=False, additional_headers=headers) as client:
        assert (await client.hello())["type"] == "welcome"


async def test_a_ticket_opens_one_socket(parley: LocalParley, api: httpx2.AsyncClient) -> None:
    ticket = (await api.post("/v1/tickets")).json()["ticket"]
    async with connected(parley.websocket_url, hello=False) as first:
        await first.say(type="hello", ticket=ticket)
        assert (await first.hear())["type"] == "welcome"
        assert (await first.send("Hi"))["type"] == "accepted"

    async with connected(parley.websocket_url, hello=False) as second:
        await second.say(type="hello", ticket=ticket)
        heard, code = await ending(second)

    assert (codes(heard), code) == (["unauthenticated"], 4401)


UNKNOWN: list[dict[str, str]] = [
    {},
    {"token": "wrong"},
    {"token": ""},
    {"token": "x" * 100_000},
    {"token": "\ud800"},
    {"token": "\0"},
    {"ticket": "wrong"},
    {"ticket": ""},
    {"ticket": "\udfff"},
]


async def test_whoever_is_not_known_is_told_and_closed_with_4401(parley: LocalParley) -> None:
    for credential in UNKNOWN:
        async with connected(parley.websocket_url, hello=False) as client:
            await client.say(type="hello", **credential)
            heard, code = await ending(client)

        assert (codes(heard), code) == (["unauthenticated"], 4401), credential
        assert heard[0]["error"]["retryable"] is False


@pytest.mark.parametrize("with_http", [{"hello_timeout_s": 0.2}], indirect=True)
async def test_without_a_hello_nothing_is_said_and_the_socket_closes_with_4408(
    parley: LocalParley, with_http: Any
) -> None:
    async with connected(parley.websocket_url, hello=False) as client:
        assert await ending(client) == ([], 4408)


NO_HELLOS = [
    '{"type":"ping","t":1}',
    '{"type":"send","id":"a","text":"Hi"}',
    '{"type":"what"}',
    '{"type":"hello","token":5}',
    '{"type":"hello","attach":{}}',
    "hello",
    "",
    "[]",
]


async def test_a_first_frame_that_is_no_hello_closes_with_4400(parley: LocalParley) -> None:
    for frame in NO_HELLOS:
        async with connected(parley.websocket_url, hello=False) as client:
            await client.socket.send(frame)
            heard, code = await ending(client)

        assert (codes(heard), code) == (["invalid_request"], 4400), frame


async def test_a_second_hello_is_an_error_and_no_close(parley: LocalParley) -> None:
    async with connected(parley.websocket_url) as client:
        await client.say(type="hello", token=KEY)

        assert codes([await client.hear()]) == ["invalid_request"]
        assert (await client.send("Hi"))["type"] == "accepted"


async def test_pages_of_other_sites_are_closed_with_4403(parley: LocalParley) -> None:
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        async with connected(parley.websocket_url, hello=False, origin=origin) as client:
            assert await ending(client) == ([], 4403)


@pytest.mark.parametrize("with_http", [{"origins": ("https://friend.example",)}], indirect=True)
async def test_pages_of_this_server_and_of_the_sites_in_the_settings_are_welcome(
    parley: LocalParley, with_http: Any
) -> None:
    for origin in (parley.url, "https://friend.example"):
        async with connected(parley.websocket_url, hello=False, origin=origin) as client:
            assert (await client.hello())["type"] == "welcome"


async def test_the_subprotocol_is_chosen_among_those_offered(parley: LocalParley) -> None:
    offered = ["other.v9", "parley.v1"]
    async with connected(parley.websocket_url, subprotocols=offered) as client:
        assert client.socket.subprotocol == "parley.v1"


async def test_a_client_need_not_offer_a_subprotocol(parley: LocalParley) -> None:
    async with connected(parley.websocket_url, subprotocols=None) as client:
        assert client.socket.subprotocol is None


NO_SOCKETS: list[tuple[str, dict[str, Any], int, str]] = [
    ("/v1/ws", {"subprotocols": ["parley.v9"]}, 400, "invalid_request"),
    ("/v1/elsewhere", {}, 404, "not_found"),
    ("/static/js/main.js", {}, 404, "not_found"),
]


async def test_a_socket_that_cannot_be_is_refused_in_http(parley: LocalParley) -> None:
    for path, options, status, code in NO_SOCKETS:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(parley.url.replace("http", "ws") + path, **options):
                pass

        response = refused.value.response
        assert response.status_code == status
        assert f'"code":"{code}"'.encode() in response.body
        assert response.headers["X-Request-Id"]


@pytest.mark.parametrize("with_http", [{"max_sockets": 1}], indirect=True)
async def test_over_the_number_of_sockets_the_handshake_is_refused_for_a_while(
    parley: LocalParley, with_http: Any
) -> None:
    async with connected(parley.websocket_url):
        with pytest.raises(InvalidStatus) as refused:
            async with connect(parley.websocket_url):
                pass

    assert refused.value.response.status_code == 503
    assert int(refused.value.response.headers["Retry-After"]) >= 1
    assert b'"code":"overloaded"' in refused.value.response.body
