"""Keys and tickets stand for who they were given to, tickets once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from actors.core.messages import Principal
from actors.stores.credentials import TICKET_S, Credentials

if TYPE_CHECKING:
    from actors.stores.postgres import Postgres
    from actors.stores.redis import Redis


@pytest.fixture
def credentials(postgres: Postgres, redis: Redis) -> Credentials:
    return Credentials(postgres, redis)


async def test_the_bootstrap_key_is_of_one_administrator_however_often_it_is_set_up(
    credentials: Credentials,
) -> None:
    await asyncio.gather(*(credentials.bootstrap("the key") for _ in range(5)))
    first = await credentials.principal_of_key("the key")
    await credentials.bootstrap("another key")
    second = await credentials.principal_of_key("another key")

    assert first is not None
    assert first.role == "admin"
    assert first == second


async def test_no_other_key_is_known(credentials: Credentials) -> None:
    await credentials.bootstrap("the key")

    for wrong in ("", "the ke", "the key ", "The key"):
        assert await credentials.principal_of_key(wrong) is None


async def test_a_revoked_key_is_no_longer_known(
    credentials: Credentials, database_url: str
) -> None:
    await credentials.bootstrap("the key")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE parley.api_keys SET revoked_at = now()")

    assert await credentials.principal_of_key("the key") is None


async def test_a_ticket_stands_for_its_principal_once(credentials: Credentials) -> None:
    somebody = Principal(org_id="o", user_id="u", role="admin")
    ticket = await credentials.issue_ticket(somebody)

    redeemed = await asyncio.gather(*(credentials.redeem_ticket(ticket) for _ in range(5)))

    assert sorted(redeemed, key=str) == sorted([somebody, *[None] * 4], key=str)


async def test_tickets_differ_and_expire_and_are_kept_as_digests_only(
    credentials: Credentials, redis: Redis
) -> None:
    somebody = Principal(org_id="o", user_id="u")
    ticket = await credentials.issue_ticket(somebody)
    other = await credentials.issue_ticket(replace(somebody, user_id="v"))

    assert ticket != other
    names = await redis.client.keys("*")
    assert len(names) == 2
    for name in names:
        assert ticket.encode() not in name
        assert 0 < await redis.client.ttl(name) <= TICKET_S
    assert await credentials.redeem_ticket("no ticket") is None
