"""What Postgres' errors mean, and what its connections work as."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from actors.core.errors import Internal, Unavailable
from actors.stores.conversations import Conversations
from actors.stores.postgres import Postgres, load_queries
from config import settings

if TYPE_CHECKING:
    from actors.core.messages import Principal


async def test_a_server_that_is_not_there_is_unavailable(free_port: int) -> None:
    url = SecretStr(f"postgresql://nobody:secret@127.0.0.1:{free_port}/none")

    with pytest.raises(Unavailable) as raised:
        async with Postgres(settings.Database(url=url)):
            pass

    assert raised.value.retryable
    assert "secret" not in str(raised.value)


async def test_connections_that_the_server_closed_are_replaced_and_nobody_notices(
    postgres: Postgres, database_url: str
) -> None:
    await postgres.check()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = 'parley'"""
        )

    assert await postgres.call("SELECT 1 AS one", {}) == [{"one": 1}]


async def test_a_pool_without_a_free_connection_is_unavailable(database_url: str) -> None:
    database = settings.Database(url=SecretStr(database_url), pool_size=1, timeout_s=0.2)
    async with Postgres(database) as postgres, postgres.tenant(org_id=""):
        with pytest.raises(Unavailable):
            await postgres.call("SELECT 1", {})


async def test_a_statement_that_is_wrong_is_a_defect_of_ours(postgres: Postgres) -> None:
    with pytest.raises(Internal, match="UndefinedTable"):
        await postgres.call("SELECT * FROM nowhere", {})


async def test_a_connection_works_as_the_application_for_a_bounded_time(
    postgres: Postgres,
) -> None:
    (row,) = await postgres.call(
        "SELECT current_user::text AS role, current_setting('statement_timeout') AS timeout", {}
    )

    assert row == {"role": "parley_app", "timeout": "15s"}


async def test_of_a_tenants_transaction_that_fails_nothing_stays(
    postgres: Postgres, somebody: Principal
) -> None:
    async def change_and_fail() -> None:
        async with postgres.tenant(somebody.org_id) as tenant:
            changes = {"user": somebody.user_id, "changes": Jsonb({"a": 1}), "removed": []}
            assert await tenant.row("merge_profile", changes) == {"profile": {"a": 1}}
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change_and_fail()

    assert await Conversations(postgres).profile(somebody) == {}


def test_without_a_url_there_is_nothing_to_connect_to() -> None:
    with pytest.raises(ValueError, match=r"database\.url"):
        Postgres(settings.Database())


def test_queries_are_found_by_the_names_above_them() -> None:
    text = "-- of the file\n\n-- name: one\nSELECT 1;\n\n-- name: two\n-- of it\nSELECT 2;\n"

    assert load_queries(text) == {
        "one": "\nSELECT 1;\n\n",
        "two": "\n-- of it\nSELECT 2;\n",
    }
