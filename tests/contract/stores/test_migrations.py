"""Migrations are applied once, whoever starts together, and by a role that is no superuser."""

from __future__ import annotations

import asyncio
import shutil
import sys
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from actors.stores import migrating
from actors.stores.migrating import DIRECTORY, MigrationChanged, migrate
from actors.stores.postgres import Postgres
from config import settings
from launcher.embedded import embedded_servers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FILES = sorted(DIRECTORY.glob("*.sql"))
_numbers = count()
PROGRAM = """
import asyncio, sys, psycopg
from actors.stores.migrating import migrate

async def main(url):
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        print(await migrate(connection))

asyncio.run(main(sys.argv[1]))
"""


@contextmanager
def empty_database(url: str, owner: str | None = None) -> Iterator[str]:
    """The URL of a database without anything in it."""
    name = f"empty_{next(_numbers)}"
    options = sql.SQL("OWNER {}").format(sql.Identifier(owner)) if owner else sql.SQL("")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), options))
        yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def empty_url(servers: Mapping[str, str]) -> Iterator[str]:
    with empty_database(servers["postgres"]) as url:
        yield url


async def migrated(url: str) -> int:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        return await migrate(connection)


def applied(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT version FROM parley.migrations ORDER BY applied_at")
        return [version for (version,) in rows]


async def test_each_file_is_applied_once_and_again_does_nothing(empty_url: str) -> None:
    assert await migrated(empty_url) == len(FILES)
    assert await migrated(empty_url) == 0
    assert sorted(applied(empty_url)) == [int(file.name[:4]) for file in FILES]


async def test_the_files_are_numbered_without_a_gap() -> None:
    assert [int(file.name[:4]) for file in FILES] == list(range(1, len(FILES) + 1))


async def test_of_tasks_that_start_together_one_applies_them(empty_url: str) -> None:
    applied_by_each = await asyncio.gather(*(migrated(empty_url) for _ in range(5)))

    assert sorted(applied_by_each) == [0, 0, 0, 0, len(FILES)]


async def test_of_processes_that_start_together_one_applies_them(empty_url: str) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, empty_url, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(5)
    ]
    outputs = [(await process.communicate())[0] for process in processes]

    assert sorted(int(output) for output in outputs) == [0, 0, 0, 0, len(FILES)]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the migrations, and where they are looked for."""
    copy = tmp_path / "migrations"
    shutil.copytree(DIRECTORY, copy)
    monkeypatch.setattr(migrating, "DIRECTORY", copy)
    return copy


async def test_a_file_changed_after_it_was_applied_is_refused(
    empty_url: str, directory: Path
) -> None:
    await migrated(empty_url)
    first = directory / FILES[0].name
    first.write_text(first.read_text() + "-- a word more\n")

    with pytest.raises(MigrationChanged, match=first.name):
        await migrated(empty_url)


async def test_a_new_file_is_applied_to_what_is_there(empty_url: str, directory: Path) -> None:
    await migrated(empty_url)
    (directory / "9999_more.sql").write_text("CREATE TABLE more (id int)")

    assert await migrated(empty_url) == 1
    assert applied(empty_url)[-1] == 9999


async def test_of_files_that_fail_nothing_stays(empty_url: str, directory: Path) -> None:
    (directory / "9999_more.sql").write_text("CREATE TABLE more (id int); SELECT 1/0")

    with pytest.raises(psycopg.errors.DivisionByZero):
        await migrated(empty_url)

    with psycopg.connect(empty_url) as connection:
        found = connection.execute("SELECT to_regclass('parley.conversations')").fetchone()
    assert found == (None,)


# Without a superuser


@pytest.fixture
def fresh_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster in which the roles were never created."""
    with embedded_servers(tmp_path_factory.mktemp("fresh"), ("postgres",)) as urls:
        yield urls["postgres"]


@contextmanager
def owned_database(url: str, name: str, abilities: str) -> Iterator[str]:
    """The URL of an empty database and its owner, a role of these abilities."""
    with psycopg.connect(url, autocommit=True) as connection:
        statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret' ").format(sql.Identifier(name))
        connection.execute(statement + sql.SQL(abilities))
    with empty_database(url, owner=name) as empty:
        parts = urlsplit(empty)
        host = parts.netloc.rpartition("@")[2]
        yield urlunsplit(parts._replace(netloc=f"{name}:secret@{host}"))
    with psycopg.connect(url, autocommit=True) as connection:
        for role in ("parley_app", "parley_system"):
            revoked = sql.SQL("REVOKE {} FROM {}").format(
                sql.Identifier(role), sql.Identifier(name)
            )
            connection.execute(revoked + sql.SQL(" CASCADE"))
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


async def works(url: str) -> bool:
    database = settings.Database(url=SecretStr(url))
    async with Postgres(database) as postgres:
        rows = await postgres.call("SELECT current_user, session_user = current_user AS same", {})
        await postgres.call("SELECT * FROM find_principal(%(sha256)s)", {"sha256": b""})
    return rows[0] == {"current_user": "parley_app", "same": False}


async def test_an_owner_that_may_create_roles_needs_no_superuser(fresh_cluster: str) -> None:
    with owned_database(fresh_cluster, "creator", "NOSUPERUSER CREATEROLE") as url:
        assert await works(url)
        assert await migrated(url) == 0
        assert await works(url)


async def test_an_owner_to_whom_the_roles_were_granted_needs_to_create_none(
    servers: Mapping[str, str],
) -> None:
    with owned_database(servers["postgres"], "owner", "NOSUPERUSER NOCREATEROLE") as url:
        with psycopg.connect(servers["postgres"], autocommit=True) as connection:
            connection.execute("GRANT parley_app, parley_system TO owner")
        assert await works(url)
