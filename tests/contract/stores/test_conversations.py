"""What a user has: found by its owner, and by nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.core.errors import NotFound
from actors.stores.conversations import Conversations
from tests.contract.stores.conftest import new_principal
from tests.contract.stores.submissions import accepted, begun, said

if TYPE_CHECKING:
    from actors.core.messages import Principal
    from actors.stores.postgres import Postgres
    from actors.stores.runs import Runs


@pytest.fixture
def conversations(postgres: Postgres) -> Conversations:
    return Conversations(postgres)


async def test_a_conversation_is_found_as_it_was_made(
    conversations: Conversations, somebody: Principal
) -> None:
    made = await conversations.create(somebody, "A title", {"a": 1}, "reject")

    assert await conversations.get(somebody, made.id) == made
    assert (made.title, made.metadata, made.busy) == ("A title", {"a": 1}, "reject")


async def test_only_what_is_named_is_changed(
    conversations: Conversations, somebody: Principal
) -> None:
    made = await conversations.create(somebody, "A title", {"a": 1}, "reject")

    renamed = await conversations.update(somebody, made.id, {"title": None})
    queued = await conversations.update(somebody, made.id, {"busy": "queue", "metadata": {}})

    assert (renamed.title, renamed.metadata, renamed.busy) == (None, {"a": 1}, "reject")
    assert (queued.title, queued.metadata, queued.busy) == (None, {}, "queue")
    assert queued.updated_at >= renamed.updated_at


async def test_nobody_else_finds_changes_or_deletes_it(
    conversations: Conversations, somebody: Principal, stranger: Principal, database_url: str
) -> None:
    made = await conversations.create(somebody, None, {}, "queue")

    for other in (stranger, new_principal(database_url, somebody.org_id)):
        for attempt in (
            conversations.get(other, made.id),
            conversations.update(other, made.id, {"title": "Mine"}),
            conversations.delete(other, made.id),
            conversations.history(other, made.id, 10),
            conversations.page(other, made.id, None, 10),
        ):
            with pytest.raises(NotFound):
                await attempt
        assert await conversations.newest(other, 10, None) == []

    assert await conversations.get(somebody, made.id) == made


async def test_pages_of_conversations_join_newest_first(
    conversations: Conversations, somebody: Principal
) -> None:
    made = [await conversations.create(somebody, str(i), {}, "queue") for i in range(5)]

    first = await conversations.newest(somebody, 3, None)
    rest = await conversations.newest(somebody, 3, (first[-1].updated_at, first[-1].id))

    assert [c.id for c in (*first, *rest)] == [c.id for c in reversed(made)]


async def test_pages_of_messages_join_and_say_whether_there_are_older_ones(
    conversations: Conversations, runs: Runs, somebody: Principal
) -> None:
    first = await accepted(runs, said(somebody))
    for _ in range(4):
        await accepted(runs, said(somebody, first.conversation))

    newest, more = await conversations.page(somebody, first.conversation, None, 3)
    assert ([m.seq for m in newest], more) == ([3, 4, 5], True)
    oldest, more = await conversations.page(somebody, first.conversation, 3, 3)
    assert ([m.seq for m in oldest], more) == ([1, 2], False)


async def test_deleting_takes_everything_along_and_names_the_runs_to_stop(
    conversations: Conversations, runs: Runs, somebody: Principal
) -> None:
    running = await accepted(runs, said(somebody))
    queued = await accepted(runs, said(somebody, running.conversation))
    await begun(runs, running.run)

    unfinished = await conversations.delete(somebody, running.conversation)

    assert unfinished == (running.run, queued.run)
    with pytest.raises(NotFound):
        await conversations.get(somebody, running.conversation)
    assert await runs.renew([(running.run, 1)], 60) == []


async def test_a_profile_is_merged_key_by_key_and_a_null_removes(
    conversations: Conversations, somebody: Principal, stranger: Principal
) -> None:
    await conversations.merge_profile(somebody, {"name": "Ada", "likes": {"tea": True}})

    merged = await conversations.merge_profile(somebody, {"likes": {"coffee": 1}, "name": None})

    assert merged == {"likes": {"coffee": 1}}
    assert await conversations.profile(somebody) == merged
    assert await conversations.profile(stranger) == {}
