"""Who is asking, and from which page."""

from __future__ import annotations

from typing import Any

import pytest

from actors.core.errors import Unauthenticated
from actors.core.messages import Principal
from actors.gateway.authentication import Authentication, bearer, origin_allowed

ADA = Principal(org_id="o", user_id="ada")


class Answering:
    """A method of a box's handle that answers from a table."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def remote(self, credential: str) -> Any:
        self.asked.append(credential)
        return self.answers.get(credential)


class Context:
    def __init__(self) -> None:
        self.principal_of_key = Answering({"key": ADA})
        self.redeem_ticket = Answering({"ticket": ADA})


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_a_good_key_is_remembered_for_half_a_minute() -> None:
    context, clock = Context(), Clock()
    authentication = Authentication(context, clock)

    for _ in range(3):
        assert await authentication.by_key("key") == ADA
    assert context.principal_of_key.asked == ["key"]
    clock.now += 31
    assert await authentication.by_key("key") == ADA
    assert context.principal_of_key.asked == ["key", "key"]


async def test_a_bad_key_is_not_remembered() -> None:
    context = Context()
    authentication = Authentication(context, Clock())

    for _ in range(2):
        with pytest.raises(Unauthenticated):
            await authentication.by_key("wrong")
    assert context.principal_of_key.asked == ["wrong", "wrong"]


@pytest.mark.parametrize("key", [None, "", "x" * 513, "\N{SNOWMAN}", "\ud800"])
async def test_what_cannot_be_a_key_is_not_even_asked_for(key: str | None) -> None:
    context = Context()

    with pytest.raises(Unauthenticated):
        await Authentication(context, Clock()).by_key(key)
    assert context.principal_of_key.asked == []


async def test_what_cannot_be_a_ticket_is_not_even_asked_for() -> None:
    context = Context()
    authentication = Authentication(context, Clock())

    assert await authentication.by_ticket("ticket") == ADA
    for ticket in ("", "\ud800", "x" * 513):
        with pytest.raises(Unauthenticated):
            await authentication.by_ticket(ticket)
    assert context.redeem_ticket.asked == ["ticket"]


@pytest.mark.parametrize(
    ("header", "credential"),
    [
        ("Bearer key", "key"),
        ("bearer  key ", "key"),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic key", None),
        ("", None),
    ],
)
def test_the_credential_of_an_authorization_header(header: str, credential: str | None) -> None:
    assert bearer({"authorization": header}) == credential


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("https://parley.example", True),
        ("https://PARLEY.example", True),
        ("https://friend.example", True),
        ("https://friend.example.evil.example", False),
        ("https://evil.example", False),
        ("http://parley.example:8000", False),
        ("null", False),
        ("", False),
    ],
)
def test_pages_may_connect_to_the_host_that_served_them(origin: str | None, allowed: bool) -> None:
    headers = {"host": "parley.example"} | ({} if origin is None else {"origin": origin})

    assert origin_allowed(headers, ("https://friend.example",)) is allowed
