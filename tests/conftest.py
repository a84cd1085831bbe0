"""What every test may ask for. Servers start once, when the first test needs them."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import psycopg
import pytest
from pydantic import SecretStr
from redis import Redis

from actors.stores.migrating import migrate
from config.loading import load
from launcher.embedded import embedded_servers
from simulator import running_simulator
from tests.harness.boxes import LocalParley
from tests.harness.databases import database, make_template

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from config.settings import Settings
    from simulator import RunningSimulator


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Real Redis and Postgres: their URLs by kind, the latter with a migrated template."""
    with embedded_servers(tmp_path_factory.mktemp("servers")) as urls:
        make_template(urls["postgres"], lambda url: asyncio.run(_migrate(url)))
        yield urls


async def _migrate(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await migrate(connection)


@pytest.fixture
def database_url(servers: Mapping[str, str]) -> Iterator[str]:
    with database(servers["postgres"]) as url:
        yield url


@pytest.fixture
def redis_url(servers: Mapping[str, str]) -> str:
    """The session's Redis, emptied."""
    with Redis.from_url(servers["redis"]) as client:
        client.flushall()
    return servers["redis"]


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    async with running_simulator(seed=1) as running:
        yield running


@pytest.fixture
def settings(
    database_url: str, redis_url: str, simulator: RunningSimulator, free_port: int
) -> Settings:
    """Development's settings over this test's own servers, both providers simulated."""
    read = load({"PARLEY__HTTP__PORT": str(free_port)})
    base_urls = {
        "gemini": simulator.base_url("gemini"),
        "openai": f"{simulator.base_url('openai')}/v1",
    }
    providers = {
        name: provider.model_copy(
            update={"base_url": base_urls[name], "api_key": SecretStr("simulated")}
        )
        for name, provider in read.providers.items()
    }
    return read.model_copy(
        update={
            "redis": read.redis.model_copy(update={"url": SecretStr(redis_url)}),
            "database": read.database.model_copy(update={"url": SecretStr(database_url)}),
            "providers": providers,
        }
    )


@pytest.fixture
async def parley(settings: Settings) -> AsyncIterator[LocalParley]:
    """All boxes in this process, over real servers and a real socket; see harness/boxes.py."""
    async with LocalParley(settings, simulated=("gemini", "openai")) as running:
        yield running
