"""A database of its own for each test: cloned from a template that was migrated once."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

_numbers = count()
_TEMPLATE = "parley_template"


def make_template(url: str, migrate: object) -> None:
    """Migrates the template; `migrate` gets its URL."""
    _execute(url, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_TEMPLATE)))
    migrate(_of(url, _TEMPLATE))


@contextmanager
def database(url: str) -> Iterator[str]:
    """The URL of a fresh, migrated database."""
    name = f"test_{next(_numbers)}"
    made = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
    _execute(url, made.format(sql.Identifier(name), sql.Identifier(_TEMPLATE)))
    yield _of(url, name)
    _execute(url, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _of(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def _execute(url: str, statement: sql.Composed) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)
