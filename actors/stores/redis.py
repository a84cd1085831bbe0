"""The connection to Redis, its scripts, and what its errors mean."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import structlog
from redis import asyncio as redis_asyncio
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MasterDownError, OutOfMemoryError, ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from actors.core.errors import Internal, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from redis.asyncio.client import PubSub

    from config.settings import Redis as RedisSettings

log = structlog.get_logger()
T = TypeVar("T")

_SCRIPTS = Path(__file__).parent / "scripts"
_CONNECTIONS = 16
_PASSING = re.compile(r"\b(OOM|MISCONF|READONLY|MASTERDOWN|NOREPLICAS|BUSY)\b")


class Redis:
    """A bounded pool of connections: callers over the bound wait for one."""

    def __init__(self, settings: RedisSettings) -> None:
        if settings.url is None:
            raise ValueError("redis.url is not known")
        pool = redis_asyncio.BlockingConnectionPool.from_url(
            settings.url.get_secret_value(),
            max_connections=_CONNECTIONS,
            timeout=5,
            socket_timeout=5,
            socket_connect_timeout=2,
            retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), 2),
            retry_on_error=[RedisConnectionError],
        )
        self.client: redis_asyncio.Redis = redis_asyncio.Redis(connection_pool=pool)
        self._pool = pool
        self._scripts = {
            file.stem: self.client.register_script(file.read_text())
            for file in _SCRIPTS.glob("*.lua")
        }

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()
        await self._pool.aclose()

    async def run(self, script: str, keys: list[str], arguments: list[Any]) -> Any:
        """Runs a script of scripts/.

        Raises:
            Unavailable: Redis cannot be reached.
        """
        with translated():
            return await self._scripts[script](keys=keys, args=arguments)

    async def check(self) -> None:
        """Raises Unavailable or TimeoutError where Redis does not answer within a second."""
        async with asyncio.timeout(1):
            with translated():
                await self.client.ping()

    def pubsub(self) -> PubSub:
        return self.client.pubsub()


async def unless_down(step: Awaitable[T]) -> T | None:
    """What the step answers, or None where Redis is down: Postgres has what it would have said."""
    try:
        return await step
    except Unavailable as error:
        log.warning("redis passed over", error=str(error))
        return None


class translated:  # noqa: N801 - reads as a statement
    """Turns redis-py's errors into ours: they must not cross a process."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if isinstance(error, RedisConnectionError | RedisTimeoutError | OSError):
            raise Unavailable("Redis cannot be reached.", retry_after_s=1.0) from error
        if isinstance(error, RedisError):
            if _passes(error):
                raise Unavailable("Redis takes no commands now.", retry_after_s=1.0) from error
            raise Internal(f"Redis refused a command: {error}") from error


def _passes(error: RedisError) -> bool:
    """A state of the server that passes; a script tells of it inside an error of its own."""
    passing = isinstance(error, MasterDownError | OutOfMemoryError | ReadOnlyError)
    return passing or _PASSING.search(str(error)) is not None
