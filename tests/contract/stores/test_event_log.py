"""The event log's rules, over the scripts in Redis and over the log in memory alike."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest

from actors.core.cursors import Cursor
from actors.core.errors import Forbidden
from actors.core.messages import Principal
from tests.contract.stores.appends import (
    GATEWAY,
    SOMEBODY,
    delta,
    end,
    message,
    one,
    opening,
    statuses,
)

if TYPE_CHECKING:
    from actors.stores.event_log import EventLog


@pytest.fixture(autouse=True)
async def begun(event_log: EventLog) -> None:
    for conversation in ("c", "d"):
        await event_log.begin(conversation, SOMEBODY, 1)


async def types(log: EventLog, conversation: str = "c") -> list[str]:
    return [orjson.loads(entry.event)["type"] for entry in await log.held(conversation)]


# Appending


async def test_a_run_goes_its_way(event_log: EventLog) -> None:
    answers = [
        await one(event_log, append)
        for append in (message(), opening(), delta(0), delta(1), end(index=2))
    ]

    assert [(a.status, a.n, a.next_index) for a in answers] == [
        ("ok", 1, 0),
        ("ok", 2, 0),
        ("ok", 3, 1),
        ("ok", 4, 2),
        ("ok", 5, 2),
    ]
    assert all(answer.held for answer in answers)
    assert await types(event_log) == ["message", "run.started", "delta", "delta", "run.stopped"]


async def test_what_was_appended_before_is_known_and_not_there_twice(event_log: EventLog) -> None:
    for append in (message(), opening(), delta(0), end(index=1)):
        first, again = await one(event_log, append), await one(event_log, append)
        assert (first.status, again.status) == ("ok", "known")
        assert again.held
        assert again.n == first.n

    assert await types(event_log) == ["message", "run.started", "delta", "run.stopped"]


async def test_of_a_known_message_the_place_is_told_though_others_came_since(
    event_log: EventLog,
) -> None:
    first = await one(event_log, message("a"))
    await event_log.append([message("b"), opening("b"), delta(0, run="b")])

    again = await one(event_log, message("a"))

    assert (again.status, again.n) == ("known", first.n)


async def test_in_another_generation_or_without_a_log_everything_is_absent(
    event_log: EventLog,
) -> None:
    of_another = [
        replace(append, generation=generation)
        for append in (message(), opening(), delta(0), end())
        for generation in (0, 2)
    ]

    assert set(await statuses(event_log, *of_another)) == {"absent"}
    assert await statuses(event_log, message(conversation="nowhere")) == ["absent"]
    assert await event_log.held("nowhere") == ()


async def test_deltas_of_a_run_never_opened_here_are_refused(event_log: EventLog) -> None:
    assert await statuses(event_log, delta(0)) == ["absent"]
    assert await statuses(event_log, message(), delta(0, epoch=0)) == ["ok", "ended"]


async def test_an_older_epoch_is_fenced(event_log: EventLog) -> None:
    await event_log.append([message(), opening(epoch=1), delta(0), opening(epoch=2, index=1)])

    assert (
        await statuses(
            event_log, opening(epoch=1), delta(0, epoch=1), delta(1, epoch=1), end(epoch=1)
        )
        == ["fenced"] * 4
    )
    assert await statuses(event_log, delta(1, epoch=2), end(epoch=2, index=2)) == ["ok", "ok"]


async def test_deltas_of_a_later_epoch_wait_until_it_is_opened(event_log: EventLog) -> None:
    await event_log.append([message(), opening(epoch=1)])

    assert await statuses(event_log, delta(0, epoch=2)) == ["fenced"]


async def test_a_sealed_run_takes_nothing_but_its_end(event_log: EventLog) -> None:
    await event_log.append([message(), opening(), delta(0)])
    await event_log.seal("c", "r")

    assert await statuses(event_log, delta(1), opening(epoch=2, index=1)) == ["sealed", "sealed"]
    assert await statuses(event_log, end(index=1)) == ["ok"]


async def test_a_run_sealed_before_it_began_does_not_begin(event_log: EventLog) -> None:
    await event_log.append([message()])
    await event_log.seal("c", "r")

    assert await statuses(event_log, opening()) == ["sealed"]


async def test_sealing_what_has_ended_or_never_was_changes_nothing(event_log: EventLog) -> None:
    await event_log.append([message(), opening(), end()])

    await event_log.seal("c", "r")
    await event_log.seal("c", "another")
    await event_log.seal("nowhere", "r")

    assert await statuses(event_log, delta(0), opening(epoch=2)) == ["ended", "ended"]
    assert await statuses(event_log, message("another")) == ["ok"]


async def test_nothing_of_a_run_follows_its_end(event_log: EventLog) -> None:
    await event_log.append([message(), opening(), delta(0), end(index=1)])
    before = await types(event_log)

    assert await statuses(event_log, delta(1), opening(epoch=2), end(), end(epoch=2)) == [
        "ended",
        "ended",
        "known",
        "known",
    ]
    assert await types(event_log) == before


async def test_a_delta_that_does_not_follow_the_last_is_a_gap(event_log: EventLog) -> None:
    await event_log.append([message(), opening(), delta(0), delta(1)])

    assert await statuses(event_log, delta(3), delta(0)) == ["gap", "gap"]
    assert await statuses(event_log, delta(1), delta(2)) == ["known", "ok"]


async def test_another_attempt_opens_only_where_the_log_holds_what_it_believes(
    event_log: EventLog,
) -> None:
    await event_log.append([message(), opening(), delta(0), delta(1)])

    assert await statuses(event_log, opening(index=1), opening(index=3)) == ["gap", "gap"]
    assert await statuses(event_log, opening(epoch=2, index=1)) == ["gap"]
    assert await statuses(event_log, opening(index=2)) == ["known"]
    assert await statuses(event_log, opening(epoch=2, index=2), delta(2, epoch=2)) == ["ok", "ok"]


async def test_a_fence_refuses_earlier_epochs_before_the_next_one_opens(
    event_log: EventLog,
) -> None:
    await event_log.append([message(), opening(), delta(0)])
    await event_log.fence("c", "r", 2)
    await event_log.fence("c", "r", 1)
    await event_log.fence("c", "another", 2)

    assert await statuses(event_log, delta(0), delta(1), end()) == ["fenced"] * 3
    assert await statuses(event_log, opening(epoch=2, index=1), delta(1, epoch=2)) == [
        "known",
        "ok",
    ]


async def test_a_delta_that_is_held_is_known_though_the_run_was_sealed_since(
    event_log: EventLog,
) -> None:
    await event_log.append([message(), opening(), delta(0)])
    await event_log.seal("c", "r")

    assert await statuses(event_log, delta(0), delta(1)) == ["known", "sealed"]


async def test_a_run_ends_only_in_a_log_that_holds_all_of_it(event_log: EventLog) -> None:
    await event_log.append([message(), opening(), delta(0)])

    assert await statuses(event_log, end(), end(index=2), end("s", index=1)) == ["gap"] * 3
    assert await statuses(event_log, end(index=1)) == ["ok"]


async def test_a_run_may_end_without_having_begun(event_log: EventLog) -> None:
    assert await statuses(event_log, message(), end(epoch=0)) == ["ok", "ok"]


async def test_a_run_that_the_log_never_heard_of_may_open_and_end(event_log: EventLog) -> None:
    assert await statuses(event_log, opening("s"), end("s")) == ["ok", "ok"]
    assert await statuses(event_log, end("t")) == ["ok"]


async def test_one_append_serves_several_conversations_and_a_refusal_leaves_the_others(
    event_log: EventLog,
) -> None:
    await event_log.append([message(), message(conversation="d"), opening()])

    answers = await event_log.append(
        [
            delta(0),
            delta(5),
            opening(conversation="d"),
            delta(0, conversation="d"),
            delta(0, conversation="nowhere"),
            delta(1),
        ]
    )

    assert [a.status for a in answers] == ["ok", "gap", "ok", "ok", "absent", "ok"]
    assert await types(event_log) == ["message", "run.started", "delta", "delta"]
    assert await types(event_log, "d") == ["message", "run.started", "delta"]


@pytest.mark.parametrize("text", ["", "\x00\x01", "ü\u2028語\N{GRINNING FACE}", "x" * 100_000])
async def test_an_event_comes_back_byte_for_byte(event_log: EventLog, text: str) -> None:
    sent = delta(0, text)
    await event_log.append([message(), opening(), sent])

    entries = await event_log.held("c")

    assert (entries[-1].n, entries[-1].event) == (3, sent.events[0])


# Beginning


async def test_a_log_is_begun_again_only_as_a_later_generation(event_log: EventLog) -> None:
    await event_log.append([message()])

    assert await event_log.begin("c", SOMEBODY, 1) == 1
    assert await event_log.begin("c", SOMEBODY, 0) == 1
    assert len(await event_log.held("c")) == 1
    assert await event_log.begin("c", SOMEBODY, 3) == 3
    assert await event_log.held("c") == ()
    assert await statuses(event_log, message(), message(generation=3)) == ["absent", "ok"]


# Attaching


async def test_a_cursor_of_the_log_gives_the_events_after_it(event_log: EventLog) -> None:
    await event_log.append([message(), opening(), delta(0)])

    for after in range(4):
        attached = await event_log.attach("c", SOMEBODY, GATEWAY, Cursor(1, after))
        assert attached is not None
        assert attached.gapless
        assert attached.cursor == Cursor(1, 3)
        assert [entry.n for entry in attached.entries] == list(range(after + 1, 4))


@pytest.mark.parametrize(
    "cursor", [None, Cursor(1, 4), Cursor(0, 1), Cursor(2, 0), Cursor(2, 3)], ids=str
)
async def test_any_other_cursor_gives_everything_held_and_the_state_of_each_run(
    event_log: EventLog, cursor: Cursor | None
) -> None:
    await event_log.append([message(), opening(), message("waiting")])

    attached = await event_log.attach("c", SOMEBODY, GATEWAY, cursor)

    assert attached is not None
    assert not attached.gapless
    assert attached.cursor == Cursor(1, 3)
    assert [entry.n for entry in attached.entries] == [1, 2, 3]
    assert attached.runs == {"r": "o", "waiting": "a"}


async def test_a_run_is_announced_then_open_then_sealed_then_done(event_log: EventLog) -> None:
    async def state() -> str:
        attached = await event_log.attach("c", SOMEBODY, GATEWAY, None)
        assert attached is not None
        return attached.runs["r"]

    seen = []
    for append in (message(), opening(), delta(0)):
        await one(event_log, append)
        seen.append(await state())
    await event_log.seal("c", "r")
    seen.append(await state())
    await one(event_log, end(index=1))
    seen.append(await state())

    assert seen == ["a", "o", "o", "x", "d"]


async def test_where_there_is_no_log_there_is_nothing_to_attach_to(event_log: EventLog) -> None:
    assert await event_log.attach("nowhere", SOMEBODY, GATEWAY, None) is None


@pytest.mark.parametrize(
    "other",
    [Principal(org_id="org", user_id="another"), Principal(org_id="another", user_id="user")],
)
async def test_another_users_conversation_is_forbidden(
    event_log: EventLog, other: Principal
) -> None:
    with pytest.raises(Forbidden):
        await event_log.attach("c", other, GATEWAY, None)


async def test_a_long_tail_comes_in_parts_that_join(event_log: EventLog) -> None:
    await event_log.append([message(), opening(), *(delta(i) for i in range(700))])

    attached = await event_log.attach("c", SOMEBODY, GATEWAY, Cursor(1, 0))

    assert attached is not None
    assert attached.cursor == Cursor(1, 702)
    seen = [entry.n for entry in attached.entries]
    while seen[-1] < attached.cursor.n:
        entries = await event_log.read("c", Cursor(1, seen[-1]), 100)
        assert entries
        seen += [entry.n for entry in entries]
    assert seen == list(range(1, 703))


# Reading


async def test_reading_goes_on_behind_a_cursor(event_log: EventLog) -> None:
    await event_log.append([message(), opening(), delta(0)])

    entries = await event_log.read("c", Cursor(1, 1), 1)

    assert entries is not None
    assert [entry.n for entry in entries] == [2]
    assert await event_log.read("c", Cursor(1, 3), 9) == ()


async def test_another_generation_is_not_read_as_if_it_continued_this_one(
    event_log: EventLog,
) -> None:
    await event_log.begin("c", SOMEBODY, 2)
    await event_log.append([message(generation=2)])

    assert not await event_log.read("c", Cursor(1, 0), 9)
    assert not await event_log.read("nowhere", Cursor(1, 0), 9)


async def test_the_cursor_before_a_message_is_found_while_its_event_is_held(
    event_log: EventLog,
) -> None:
    await event_log.append([message("a"), opening("a"), message("b"), delta(0, "m-b", run="a")])

    assert await event_log.cursor_before_message("c", "m-a") == Cursor(1, 0)
    assert await event_log.cursor_before_message("c", "m-b") == Cursor(1, 2)
    assert await event_log.cursor_before_message("c", "m-c") is None
    assert await event_log.cursor_before_message("nowhere", "m-a") is None


async def test_a_forgotten_log_is_gone(event_log: EventLog) -> None:
    await event_log.append([message()])

    await event_log.forget("c")

    assert await event_log.held("c") == ()
    assert await event_log.attach("c", SOMEBODY, GATEWAY, None) is None
    assert await statuses(event_log, end()) == ["absent"]
