"""The pool of Postgres connections, and what its errors mean."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString, Self, cast

import orjson
import psycopg
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg.types.string import TextLoader
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from actors.core.errors import Internal, Unavailable
from actors.stores.migrating import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from config.settings import Database

Row = dict[str, Any]
_QUERIES = Path(__file__).parent / "queries.sql"


def load_queries(text: str) -> dict[str, LiteralString]:
    """The statements of a file by the name in the comment above each."""
    parts = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)[1:]
    return cast("dict[str, LiteralString]", dict(zip(parts[::2], parts[1::2], strict=True)))


class Postgres:
    """Connections that work as `parley_app`: row security applies to them, whoever owns the URL."""

    def __init__(self, settings: Database) -> None:
        if settings.url is None:
            raise ValueError("database.url is not known")
        self._url = settings.url.get_secret_value()
        self._timeout_s = settings.timeout_s
        self._queries = load_queries(_QUERIES.read_text())
        self._pool = AsyncConnectionPool(
            self._url,
            connection_class=AsyncConnection[Row],
            kwargs={"autocommit": True, "row_factory": dict_row, "application_name": "parley"},
            min_size=1,
            max_size=settings.pool_size,
            max_waiting=1000,
            timeout=settings.timeout_s,
            configure=_configure,
            check=AsyncConnectionPool.check_connection,
            open=False,
        )

    async def __aenter__(self) -> Self:
        with _translated():
            async with await AsyncConnection.connect(self._url, autocommit=True) as connection:
                await migrate(connection)
            await self._pool.open(wait=True, timeout=self._timeout_s)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close()

    async def call(self, statement: LiteralString, parameters: Mapping[str, Any]) -> list[Row]:
        """One statement in a transaction of its own, of no organization: a crossing function.

        The victim of a deadlock was rolled back, and is tried once more.

        Raises:
            Unavailable: Postgres cannot be reached.
        """
        with _translated():
            try:
                return await self._execute(statement, parameters)
            except psycopg.errors.DeadlockDetected:
                return await self._execute(statement, parameters)

    async def _execute(self, statement: LiteralString, parameters: Mapping[str, Any]) -> list[Row]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(statement, parameters)
            return await cursor.fetchall() if cursor.description else []

    async def check(self) -> None:
        """Raises Unavailable or TimeoutError where Postgres does not answer within a second."""
        async with asyncio.timeout(1):
            await self.call("SELECT 1", {})

    @asynccontextmanager
    async def tenant(self, org_id: str) -> AsyncGenerator[Tenant, None]:
        """A transaction that sees the organization's rows only.

        Raises:
            Unavailable: Postgres cannot be reached.
        """
        with _translated():
            async with self._pool.connection() as connection, connection.transaction():
                await connection.execute(
                    "SELECT set_config('parley.org_id', %s, true)", (org_id,), prepare=True
                )
                yield Tenant(connection, self._queries)


class Tenant:
    """One organization's transaction."""

    __slots__ = ("_connection", "_queries")

    def __init__(
        self, connection: AsyncConnection[Row], queries: Mapping[str, LiteralString]
    ) -> None:
        self._connection = connection
        self._queries = queries

    async def rows(self, query: str, parameters: Mapping[str, Any]) -> Sequence[Row]:
        cursor = await self._connection.execute(self._queries[query], parameters, prepare=True)
        return await cursor.fetchall()

    async def row(self, query: str, parameters: Mapping[str, Any]) -> Row | None:
        cursor = await self._connection.execute(self._queries[query], parameters, prepare=True)
        return await cursor.fetchone()


async def _configure(connection: AsyncConnection[Row]) -> None:
    connection.adapters.register_loader("uuid", TextLoader)
    set_json_dumps(orjson.dumps, connection)
    set_json_loads(orjson.loads, connection)
    await connection.execute("SET ROLE parley_app")
    await connection.execute("SET search_path = parley")
    await connection.execute("SET statement_timeout = '15s'")


class _translated:  # noqa: N801 - reads as a statement
    """Turns psycopg's errors into ours: they must not cross a process."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if isinstance(error, psycopg.OperationalError | PoolTimeout | psycopg.InterfaceError):
            raise Unavailable("The database cannot be reached.", retry_after_s=1.0) from error
        if isinstance(error, psycopg.Error):
            raise Internal(f"The database refused a statement: {type(error).__name__}.") from error
