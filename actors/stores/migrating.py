"""Versioned migrations: SQL files applied once each, in order, by one process at a time."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString, cast

if TYPE_CHECKING:
    from psycopg import AsyncConnection

DIRECTORY = Path(__file__).parent / "migrations"
_LOCK = 0x7061726C6579
_PREPARATION: tuple[LiteralString, ...] = (
    """DO $$
    DECLARE wanted text;
    BEGIN
        FOREACH wanted IN ARRAY ARRAY['parley_app', 'parley_system'] LOOP
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
                EXECUTE format('GRANT %I TO CURRENT_USER', wanted);
            ELSIF NOT pg_has_role(wanted, 'MEMBER') THEN
                EXECUTE format('GRANT %I TO CURRENT_USER', wanted);
            END IF;
        END LOOP;
    END $$""",
    "CREATE SCHEMA IF NOT EXISTS parley",
    "GRANT CREATE ON SCHEMA parley TO parley_system",
    """CREATE TABLE IF NOT EXISTS parley.migrations (
        version int PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now())""",
)


class MigrationChanged(Exception):
    """A migration that was applied no longer reads as it did."""


async def migrate(connection: AsyncConnection[object]) -> int:
    """Applies what is missing, in one transaction under an advisory lock; answers how many.

    The connection's role must be allowed to create roles, or find `parley_app` and
    `parley_system` created and granted to it.

    Raises:
        MigrationChanged: an applied file's digest differs.
    """
    applied_now = 0
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        for statement in _PREPARATION:
            await connection.execute(statement)
        await connection.execute("SET LOCAL search_path = parley")
        rows = await (await connection.execute("SELECT version, sha256 FROM migrations")).fetchall()
        applied = dict(cast("list[tuple[int, str]]", rows))
        for file in sorted(DIRECTORY.glob("*.sql")):
            version, text = int(file.name[:4]), file.read_text()
            digest = hashlib.sha256(text.encode()).hexdigest()
            if version in applied:
                if applied[version] != digest:
                    raise MigrationChanged(f"{file.name} was changed after it had been applied")
                continue
            await connection.execute(text)
            await connection.execute(
                "INSERT INTO migrations (version, name, sha256) VALUES (%s, %s, %s)",
                (version, file.name, digest),
            )
            applied_now += 1
    return applied_now
