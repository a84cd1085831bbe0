"""The stores over real servers; the event log also over the one in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
import pytest
from pydantic import SecretStr
from uuid_utils import uuid7

from actors.core.messages import Principal
from actors.stores.event_log import EventLog
from actors.stores.postgres import Postgres
from actors.stores.redis import Redis
from actors.stores.runs import Runs
from config import settings
from tests.unit.actors.memory_log import MemoryLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LOG_TTL_S = 300


@dataclass
class Clock:
    """The seconds that the event log believes."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis(settings.Redis(url=SecretStr(redis_url))) as client:
        yield client


@pytest.fixture
def redis_log(redis: Redis, clock: Clock) -> EventLog:
    return EventLog(redis, log_ttl_s=LOG_TTL_S, clock=clock)


@pytest.fixture(params=["memory", "redis"])
def event_log(request: pytest.FixtureRequest) -> EventLog:
    if request.param == "memory":
        return MemoryLog()
    log: EventLog = request.getfixturevalue("redis_log")
    return log


@pytest.fixture
async def postgres(database_url: str) -> AsyncIterator[Postgres]:
    async with Postgres(settings.Database(url=SecretStr(database_url))) as pool:
        yield pool


@pytest.fixture
def runs(postgres: Postgres) -> Runs:
    return Runs(postgres)


@pytest.fixture
def somebody(database_url: str) -> Principal:
    return new_principal(database_url)


@pytest.fixture
def stranger(database_url: str) -> Principal:
    """A user of another organization."""
    return new_principal(database_url)


def new_principal(url: str, org_id: str | None = None) -> Principal:
    """A user, of an organization of their own unless one is named."""
    user_id, name = str(uuid7()), str(uuid7())
    with psycopg.connect(url, autocommit=True) as connection:
        if org_id is None:
            org_id = str(uuid7())
            connection.execute(
                "INSERT INTO parley.organizations (id, name) VALUES (%s, %s)", (org_id, name)
            )
        connection.execute(
            "INSERT INTO parley.users (org_id, id, name) VALUES (%s, %s, %s)",
            (org_id, user_id, name),
        )
        connection.execute(
            "INSERT INTO parley.api_keys (org_id, id, user_id, sha256) VALUES (%s, %s, %s, %s)",
            (org_id, str(uuid7()), user_id, hashlib.sha256(name.encode()).digest()),
        )
    return Principal(org_id=org_id, user_id=user_id)
