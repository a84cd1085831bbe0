"""No one sees another organization's rows, whatever statement the query layer would let through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from uuid_utils import uuid7

from actors.core.completion import Usage
from actors.core.runs import Outcome, Submission
from actors.stores.runs import Completion
from tests.contract.stores.conftest import new_principal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from actors.core.messages import Principal
    from actors.stores.postgres import Postgres
    from actors.stores.runs import Runs

TENANT_TABLES = (
    *("users", "api_keys", "agents", "rules", "conversations", "messages", "runs", "usage"),
)
ALL_TABLES = (*TENANT_TABLES, "organizations")


@dataclass
class Organization:
    principal: Principal
    conversation: str
    run: str

    @property
    def id(self) -> str:
        return self.principal.org_id


@pytest.fixture
async def organizations(
    database_url: str, runs: Runs
) -> AsyncIterator[tuple[Organization, Organization]]:
    """Two of them, with a row in every table each."""
    made = [await populated(database_url, runs) for _ in range(2)]
    return made[0], made[1]


async def populated(url: str, runs: Runs) -> Organization:
    principal = new_principal(url)
    submission = Submission(
        principal=principal, client_message_id="1", conversation=None, text="A secret"
    )
    (receipt,) = await runs.accept([submission], 10)
    (claim,) = await runs.begin([receipt.run], "owner", 10)
    used = Usage(input_tokens=1, output_tokens=1)
    outcome = Outcome(state="completed", deltas=("Hm",), agent="a", model="m", usage=used)
    await runs.finish([Completion(run=claim.run, epoch=claim.epoch, outcome=outcome)])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO parley.agents (org_id, id, name, settings) VALUES (%s, %s, 'a', '{}')",
            (principal.org_id, str(uuid7())),
        )
        connection.execute(
            "INSERT INTO parley.rules (org_id, id, name, condition, action)"
            " VALUES (%s, %s, 'r', 'true', '{}')",
            (principal.org_id, str(uuid7())),
        )
    return Organization(principal, receipt.conversation, receipt.run)


@pytest.fixture
def application(database_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection as the boxes have them, through the URL of the cluster's superuser."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        superuser = connection.execute("SHOW is_superuser").fetchone()
        assert superuser == ("on",)
        connection.execute("SET ROLE parley_app")
        connection.execute("SET search_path = parley")
        yield connection


def become(connection: psycopg.Connection[tuple[object, ...]], organization: str) -> None:
    connection.execute("SELECT set_config('parley.org_id', %s, false)", (organization,))


def test_every_table_but_that_of_migrations_is_of_tenants_and_secured(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            """SELECT relname, relrowsecurity AND relforcerowsecurity FROM pg_class
               WHERE relnamespace = 'parley'::regnamespace AND relkind = 'r'"""
        ).fetchall()

    assert dict(rows) == dict.fromkeys(ALL_TABLES, True) | {"migrations": False}


def test_without_an_organization_nothing_is_visible(
    application: psycopg.Connection[tuple[object, ...]],
    organizations: tuple[Organization, Organization],
) -> None:
    for nobody in (None, ""):
        if nobody is not None:
            become(application, nobody)
        for table in ALL_TABLES:
            found = application.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)))
            assert found.fetchall() == [], table


def test_an_organization_sees_its_own_rows_only(
    application: psycopg.Connection[tuple[object, ...]],
    organizations: tuple[Organization, Organization],
) -> None:
    ours, _ = organizations
    become(application, ours.id)

    for table in ALL_TABLES:
        key = sql.Identifier("id" if table == "organizations" else "org_id")
        statement = sql.SQL("SELECT DISTINCT {}::text FROM {}").format(key, sql.Identifier(table))
        assert application.execute(statement).fetchall() == [(ours.id,)], table


@pytest.mark.parametrize(
    "statement",
    ["UPDATE {} SET created_at = now() WHERE org_id = %s", "DELETE FROM {} WHERE org_id = %s"],
)
def test_an_organization_changes_and_deletes_nothing_of_another(
    application: psycopg.Connection[tuple[object, ...]],
    organizations: tuple[Organization, Organization],
    statement: LiteralString,
) -> None:
    ours, theirs = organizations
    become(application, ours.id)

    for table in TENANT_TABLES:
        changed = application.execute(
            sql.SQL(statement).format(sql.Identifier(table)), (theirs.id,)
        )
        assert changed.rowcount == 0, table


def test_an_organization_gives_no_row_to_another(
    application: psycopg.Connection[tuple[object, ...]],
    organizations: tuple[Organization, Organization],
) -> None:
    ours, theirs = organizations
    become(application, ours.id)

    for table in TENANT_TABLES:
        statement = sql.SQL("UPDATE {} SET org_id = %s").format(sql.Identifier(table))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            application.execute(statement, (theirs.id,))


def test_an_organization_writes_no_row_as_another(
    application: psycopg.Connection[tuple[object, ...]],
    organizations: tuple[Organization, Organization],
) -> None:
    ours, theirs = organizations
    become(application, ours.id)

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        application.execute(
            "INSERT INTO conversations (org_id, id, user_id) VALUES (%s, %s, %s)",
            (theirs.id, str(uuid7()), theirs.principal.user_id),
        )


@pytest.mark.parametrize("table", ["organizations", "migrations"])
def test_the_application_writes_no_organizations_and_no_migrations(
    application: psycopg.Connection[tuple[object, ...]], table: str
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        application.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))


async def test_a_tenants_transaction_leaves_nothing_behind_on_its_connection(
    postgres: Postgres, organizations: tuple[Organization, Organization]
) -> None:
    ours, theirs = organizations
    for organization in (ours, theirs, ours):
        async with postgres.tenant(organization.id) as tenant:
            await tenant.rows("get_profile", {"user": organization.principal.user_id})
            assert await tenant.row("get_profile", {"user": theirs.principal.user_id}) == (
                {"profile": {}} if organization is theirs else None
            )
        assert await postgres.call("SELECT * FROM conversations", {}) == []


# What crosses organizations


def functions(url: str) -> list[tuple[str, bool, str, str, list[str] | None]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            """SELECT p.oid::regprocedure::text, p.prosecdef, r.rolname,
                      array_to_string(p.proacl, ' '), p.proconfig
               FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner
               WHERE p.pronamespace = 'parley'::regnamespace"""
        ).fetchall()


def test_every_function_runs_as_the_system_with_a_fixed_path_and_only_for_the_application(
    database_url: str,
) -> None:
    found = functions(database_url)

    assert found
    for signature, definer, owner, grants, configuration in found:
        assert (definer, owner) == (True, "parley_system"), signature
        assert configuration == ["search_path=parley, pg_temp"], signature
        assert {grant.split("=")[0] for grant in grants.split()} == {
            "parley_app",
            "parley_system",
        }, signature


def test_a_role_of_nobodys_may_call_none_of_them(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE passer_by")
        connection.execute("GRANT USAGE ON SCHEMA parley TO passer_by")
        connection.execute("SET ROLE passer_by")
        try:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT parley.find_principal('')")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT * FROM parley.conversations")
        finally:
            connection.execute("RESET ROLE")
            connection.execute("REVOKE USAGE ON SCHEMA parley FROM passer_by")
            connection.execute("DROP ROLE passer_by")


def test_neither_role_may_log_in_or_pass_by_row_security(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            """SELECT rolcanlogin OR rolsuper OR rolbypassrls FROM pg_roles
               WHERE rolname IN ('parley_app', 'parley_system')"""
        ).fetchall()

    assert rows == [(False,), (False,)]


def test_the_application_owns_no_table(database_url: str) -> None:
    owner = urlsplit(database_url).username
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'parley'"
        ).fetchall()

    assert rows == [(owner,)]
