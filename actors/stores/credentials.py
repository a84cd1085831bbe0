"""API keys in Postgres and one-time tickets in Redis; of both, only digests are kept."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

import orjson
from uuid_utils import uuid7

from actors.core.messages import Principal
from actors.stores import keys
from actors.stores.redis import Redis, translated

if TYPE_CHECKING:
    from actors.stores.postgres import Postgres

TICKET_S = 30
_BOOTSTRAP_ORGANIZATION = "demo"


class Credentials:
    """Who callers are."""

    def __init__(self, postgres: Postgres, redis: Redis) -> None:
        self._postgres = postgres
        self._redis = redis

    async def bootstrap(self, key: str) -> None:
        """The organization `demo` with one administrator who has this key."""
        await self._postgres.call(
            "SELECT bootstrap(%(org)s, %(user)s, %(key)s, %(name)s, %(sha256)s)",
            {
                "org": str(uuid7()),
                "user": str(uuid7()),
                "key": str(uuid7()),
                "name": _BOOTSTRAP_ORGANIZATION,
                "sha256": _digest(key),
            },
        )

    async def principal_of_key(self, key: str) -> Principal | None:
        rows = await self._postgres.call(
            "SELECT * FROM find_principal(%(sha256)s)", {"sha256": _digest(key)}
        )
        return Principal(**rows[0]) if rows else None

    async def issue_ticket(self, principal: Principal) -> str:
        """A ticket that stands for the principal once, within `TICKET_S` seconds."""
        ticket = secrets.token_urlsafe(32)
        with translated():
            await self._redis.client.set(
                keys.ticket(_digest(ticket).hex()), orjson.dumps(principal), ex=TICKET_S
            )
        return ticket

    async def redeem_ticket(self, ticket: str) -> Principal | None:
        with translated():
            raw = await self._redis.client.getdel(keys.ticket(_digest(ticket).hex()))
        return Principal(**orjson.loads(raw)) if raw else None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
