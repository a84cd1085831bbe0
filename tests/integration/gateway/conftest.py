"""The gateway from outside: its settings, other people's keys, an HTTP client."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
import psycopg
import pytest
from uuid_utils import uuid7

from tests.harness.client import KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from config.settings import Settings
    from simulator import Behaviour, RunningSimulator, Script
    from tests.harness.boxes import LocalParley

    Behave = Callable[[Behaviour | Script], None]


@dataclass(frozen=True)
class Strangers:
    """Keys of people who are not the test's own user."""

    neighbour: str = "key-of-another-user-of-the-same-organization"
    foreigner: str = "key-of-a-user-of-another-organization"


@pytest.fixture
def with_http(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What a test has otherwise in the settings' `http`: to be parametrized indirectly."""
    return getattr(request, "param", {})


@pytest.fixture
def settings(settings: Settings, with_http: dict[str, Any]) -> Settings:
    """Every token is a delta, as far as the log keeps up."""
    return settings.model_copy(
        update={
            "http": settings.http.model_copy(update=with_http),
            "coalescing": settings.coalescing.model_copy(update={"interval_ms": 0}),
        }
    )


@pytest.fixture
async def api(parley: LocalParley) -> AsyncIterator[httpx2.AsyncClient]:
    """HTTP with the development key."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx2.AsyncClient(base_url=parley.url, headers=headers, timeout=20) as client:
        yield client


@pytest.fixture
def strangers(parley: LocalParley, database_url: str) -> Strangers:
    keys = Strangers()
    ids = [str(uuid7()) for _ in range(5)]
    with psycopg.connect(database_url) as owner:
        owner.execute("SET search_path = parley")
        owner.execute(
            "SELECT bootstrap(%s, %s, %s, 'elsewhere', %s)", (*ids[:3], _digest(keys.foreigner))
        )
        owner.execute(
            "INSERT INTO users (org_id, id, name)"
            " SELECT id, %s, 'neighbour' FROM organizations WHERE name = 'demo'",
            (ids[3],),
        )
        owner.execute(
            "INSERT INTO api_keys (org_id, id, user_id, sha256)"
            " SELECT id, %s, %s, %s FROM organizations WHERE name = 'demo'",
            (ids[4], ids[3], _digest(keys.neighbour)),
        )
    return keys


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


@pytest.fixture
def behave(simulator: RunningSimulator) -> Behave:
    """Sets how every simulated model behaves from now on."""
    return lambda behaviour: simulator.behaviours.put("*", behaviour)
