"""Conversations, their messages and their users' profiles in Postgres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb
from uuid_utils import uuid7

from actors.core.errors import NotFound
from actors.core.messages import Message, StoredMessage
from actors.stores.runs import timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.core.messages import BusyPolicy, Json, Principal
    from actors.stores.postgres import Postgres, Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    id: str
    title: str | None
    metadata: dict[str, Any]
    busy: BusyPolicy
    created_at: str
    updated_at: str
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A conversation's newest messages, oldest first, and the runs of it that are unfinished."""

    conversation: Conversation
    messages: tuple[StoredMessage, ...]
    unfinished: tuple[str, ...]


class Conversations:
    """What a user has: every method is of one principal, and finds nothing of others."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def get(self, principal: Principal, conversation: str) -> Conversation:
        """Raises NotFound."""
        async with self._postgres.tenant(principal.org_id) as tenant:
            row = await tenant.row("get_conversation", _ids(principal, conversation))
        return _conversation(_found(row))

    async def newest(
        self, principal: Principal, limit: int, after: tuple[str, str] | None
    ) -> list[Conversation]:
        """The newest first, behind the (updated_at, id) given."""
        before_time, before_id = after or (None, None)
        async with self._postgres.tenant(principal.org_id) as tenant:
            rows = await tenant.rows(
                "list_conversations",
                {
                    "user": principal.user_id,
                    "before_time": before_time,
                    "before_id": before_id,
                    "limit": limit,
                },
            )
        return [_conversation(row) for row in rows]

    async def create(
        self, principal: Principal, title: str | None, metadata: Json, busy: BusyPolicy
    ) -> Conversation:
        async with self._postgres.tenant(principal.org_id) as tenant:
            row = await tenant.row(
                "create_conversation",
                {
                    **_ids(principal, str(uuid7())),
                    "org": principal.org_id,
                    "title": title,
                    "metadata": Jsonb(metadata),
                    "busy": busy,
                },
            )
        return _conversation(_found(row))

    async def update(self, principal: Principal, conversation: str, changes: Json) -> Conversation:
        """Sets those of title, metadata and busy that are given. Raises NotFound."""
        metadata = changes.get("metadata")
        async with self._postgres.tenant(principal.org_id) as tenant:
            row = await tenant.row(
                "update_conversation",
                {
                    **_ids(principal, conversation),
                    "set_title": "title" in changes,
                    "title": changes.get("title"),
                    "metadata": None if metadata is None else Jsonb(metadata),
                    "busy": changes.get("busy"),
                },
            )
        return _conversation(_found(row))

    async def delete(self, principal: Principal, conversation: str) -> tuple[str, ...]:
        """Deletes it with its messages; answers the runs that were unfinished. Raises NotFound."""
        ids = _ids(principal, conversation)
        async with self._postgres.tenant(principal.org_id) as tenant:
            unfinished = await tenant.rows("unfinished_runs", ids)
            _found(await tenant.row("delete_conversation", ids))
        return tuple(row["run"] for row in unfinished)

    async def unfinished(self, principal: Principal, conversation: str) -> tuple[str, ...]:
        """The runs that are queued, running or being stopped, in the order of their messages."""
        async with self._postgres.tenant(principal.org_id) as tenant:
            rows = await tenant.rows("unfinished_runs", {"conversation": conversation})
        return tuple(row["run"] for row in rows)

    async def history(self, principal: Principal, conversation: str, limit: int) -> History:
        """The newest messages. Raises NotFound."""
        ids = _ids(principal, conversation)
        async with self._postgres.tenant(principal.org_id) as tenant:
            row = _found(await tenant.row("get_conversation", ids))
            rows = await tenant.rows("page_of_messages", {**ids, "before": None, "limit": limit})
            unfinished = await tenant.rows("unfinished_runs", ids)
        return History(
            conversation=_conversation(row),
            messages=_oldest_first(rows),
            unfinished=tuple(row["run"] for row in unfinished),
        )

    async def page(
        self, principal: Principal, conversation: str, before: int | None, limit: int
    ) -> tuple[list[Message], bool]:
        """Messages before a seq, oldest first; whether there are older ones. Raises NotFound."""
        ids = _ids(principal, conversation)
        async with self._postgres.tenant(principal.org_id) as tenant:
            _found(await tenant.row("get_conversation", ids))
            rows = await tenant.rows(
                "page_of_messages", {**ids, "before": before, "limit": limit + 1}
            )
        return [m.message for m in _oldest_first(rows[:limit])], len(rows) > limit

    async def profile(self, principal: Principal) -> Json:
        async with self._postgres.tenant(principal.org_id) as tenant:
            row = await tenant.row("get_profile", {"user": principal.user_id})
        profile: Json = _found(row)["profile"]
        return profile

    async def merge_profile(self, principal: Principal, changes: Json) -> Json:
        """Sets the keys given; a null removes its key."""
        async with self._postgres.tenant(principal.org_id) as tenant:
            row = await tenant.row(
                "merge_profile",
                {
                    "user": principal.user_id,
                    "changes": Jsonb(changes),
                    "removed": [key for key, value in changes.items() if value is None],
                },
            )
        profile: Json = _found(row)["profile"]
        return profile


def _ids(principal: Principal, conversation: str) -> dict[str, str]:
    return {"user": principal.user_id, "conversation": conversation}


def _found(row: Row | None) -> Row:
    if row is None:
        raise NotFound("There is no such conversation.")
    return row


def _conversation(row: Row) -> Conversation:
    return Conversation(
        id=row["id"],
        title=row["title"],
        metadata=row["metadata"],
        busy=row["busy"],
        created_at=timestamp(row["created_at"]),
        updated_at=timestamp(row["updated_at"]),
        generation=row["generation"],
    )


def _oldest_first(rows: Sequence[Row]) -> tuple[StoredMessage, ...]:
    return tuple(
        StoredMessage(
            run=row["run_id"],
            message=Message(
                id=row["id"],
                seq=row["seq"],
                role=row["role"],
                text=row["text"],
                agent=row["agent"],
                model=row["model"],
                reply_to=row["reply_to"],
                status=row["status"],
                created_at=timestamp(row["created_at"]),
                metadata=row["metadata"],
            ),
        )
        for row in reversed(rows)
    )
