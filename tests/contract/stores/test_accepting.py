"""Accepted means committed, once, whoever else sends at the same time."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from actors.core.errors import Internal, NotFound
from actors.core.runs import Outcome
from actors.stores.conversations import Conversations
from actors.stores.runs import Completion, Receipt, Runs
from tests.contract.stores.conftest import new_principal
from tests.contract.stores.submissions import LEASE_S, accepted, begun, said

if TYPE_CHECKING:
    from actors.core.messages import Message, Principal
    from actors.stores.postgres import Postgres


@pytest.fixture
def conversations(postgres: Postgres) -> Conversations:
    return Conversations(postgres)


async def history(conversations: Conversations, who: Principal, conversation: str) -> list[Message]:
    held = await conversations.history(who, conversation, 1000)
    return [stored.message for stored in held.messages]


async def in_a_conversation(runs: Runs, who: Principal) -> str:
    """A conversation whose first run is done with."""
    receipt = await accepted(runs, said(who))
    await runs.stop(who, receipt.run)
    return receipt.conversation


# One


async def test_the_first_message_makes_a_conversation_with_a_run_that_is_ready(
    runs: Runs, conversations: Conversations, somebody: Principal
) -> None:
    receipt = await accepted(runs, said(somebody, text="Hello there"))

    assert receipt.outcome == "accepted"
    assert (receipt.seq, receipt.fresh, receipt.created, receipt.ready) == (1, True, True, True)
    (message,) = await history(conversations, somebody, receipt.conversation)
    assert (message.id, message.role, message.text) == (receipt.message, "user", "Hello there")
    assert message.created_at == receipt.created_at
    found = await conversations.get(somebody, receipt.conversation)
    assert (found.title, found.generation) == ("Hello there", receipt.generation)


async def test_the_next_message_waits_for_the_run_before_it(
    runs: Runs, somebody: Principal
) -> None:
    first = await accepted(runs, said(somebody))

    second = await accepted(runs, said(somebody, first.conversation))

    assert (second.seq, second.created, second.ready) == (2, False, False)


async def test_the_same_id_and_payload_gets_the_same_receipt_though_the_conversation_went_on(
    runs: Runs, somebody: Principal
) -> None:
    submission = said(somebody)
    first = await accepted(runs, submission)
    await accepted(runs, said(somebody, first.conversation))

    again = await accepted(runs, submission)

    assert again == replace(first, fresh=False, created=False)


@pytest.mark.parametrize("change", [{"text": "Else"}, {"agent": "gpt"}])
async def test_the_same_id_with_another_payload_is_a_conflict_and_changes_nothing(
    runs: Runs, conversations: Conversations, somebody: Principal, change: dict[str, str]
) -> None:
    submission = said(somebody)
    first = await accepted(runs, submission)

    refused = await accepted(runs, replace(submission, **change))

    assert refused == Receipt(outcome="conflict")
    assert len(await history(conversations, somebody, first.conversation)) == 1


async def test_two_users_may_choose_the_same_id(
    runs: Runs, somebody: Principal, stranger: Principal, database_url: str
) -> None:
    colleague = new_principal(database_url, somebody.org_id)
    everybody = (somebody, stranger, colleague)

    receipts = await runs.accept([said(who, id="same") for who in everybody], LEASE_S)

    assert [r.outcome for r in receipts] == ["accepted"] * 3
    assert len({r.conversation for r in receipts}) == 3


async def test_another_users_conversation_is_not_found(
    runs: Runs,
    conversations: Conversations,
    somebody: Principal,
    stranger: Principal,
    database_url: str,
) -> None:
    theirs = await accepted(runs, said(somebody))
    colleague = new_principal(database_url, somebody.org_id)

    for other in (stranger, colleague, replace(stranger, org_id=somebody.org_id)):
        submission = said(other, theirs.conversation)
        assert (await accepted(runs, submission)).outcome == "not_found"
        with pytest.raises(NotFound):
            await conversations.history(other, theirs.conversation, 10)

    assert len(await history(conversations, somebody, theirs.conversation)) == 1


async def test_a_refused_message_reserves_nothing(
    runs: Runs, conversations: Conversations, somebody: Principal
) -> None:
    nowhere = said(somebody, "00000000-0000-7000-8000-000000000000", id="again")
    assert (await accepted(runs, nowhere)).outcome == "not_found"

    receipt = await accepted(runs, said(somebody, text="Other", id="again"))

    assert (receipt.outcome, receipt.fresh, receipt.seq) == ("accepted", True, 1)


async def test_metadata_comes_back_as_it_was_said(
    runs: Runs, conversations: Conversations, somebody: Principal
) -> None:
    metadata: dict[str, Any] = {"a": [1, None, {"ü": "\u2028"}], "b": 2**53, "c": 1.5}

    receipt = await accepted(runs, replace(said(somebody), metadata=metadata))

    (message,) = await history(conversations, somebody, receipt.conversation)
    assert message.metadata == metadata


async def test_a_batch_with_something_that_no_database_takes_fails_as_one(
    runs: Runs, somebody: Principal
) -> None:
    good, bad = said(somebody), said(somebody, text="NUL: \0")

    with pytest.raises(Internal):
        await runs.accept([good, bad], LEASE_S)

    assert (await accepted(runs, good)).fresh


# While a run is in progress


async def with_policy(
    conversations: Conversations, runs: Runs, who: Principal, busy: str
) -> tuple[str, str]:
    """A conversation of this policy, and the run in progress there."""
    receipt = await accepted(runs, said(who))
    await conversations.update(who, receipt.conversation, {"busy": busy})
    await begun(runs, receipt.run)
    return receipt.conversation, receipt.run


async def finish_quietly(runs: Runs, run: str, epoch: int) -> None:
    outcome = Outcome(state="failed", error={"code": "internal"})
    await runs.finish([Completion(run=run, epoch=epoch, outcome=outcome)])


async def test_a_conversation_that_rejects_is_busy_until_the_run_has_ended(
    runs: Runs, conversations: Conversations, somebody: Principal
) -> None:
    conversation, run = await with_policy(conversations, runs, somebody, "reject")
    submission = said(somebody, conversation)

    assert (await accepted(runs, submission)).outcome == "busy"
    batch = await runs.accept([said(somebody, conversation), submission], LEASE_S)
    assert [r.outcome for r in batch] == ["busy", "busy"]

    await runs.release([(run, 1)])
    (claim,) = await runs.claim_expired("sweeper", LEASE_S, 10)
    assert (await accepted(runs, submission)).outcome == "busy"
    await finish_quietly(runs, claim.run, claim.epoch)
    receipt = await accepted(runs, submission)
    assert (receipt.outcome, receipt.ready) == ("accepted", True)
    assert (await accepted(runs, submission)).outcome == "accepted"


async def test_of_two_at_once_a_conversation_that_rejects_takes_one(
    runs: Runs, conversations: Conversations, somebody: Principal
) -> None:
    conversation = await in_a_conversation(runs, somebody)
    await conversations.update(somebody, conversation, {"busy": "reject"})

    receipts = await asyncio.gather(
        *(accepted(runs, said(somebody, conversation)) for _ in range(5))
    )

    assert sorted(r.outcome for r in receipts) == ["accepted", *["busy"] * 4]


async def test_a_conversation_that_interrupts_names_the_runs_to_stop(
    runs: Runs, conversations: Conversations, somebody: Principal
) -> None:
    conversation, run = await with_policy(conversations, runs, somebody, "interrupt")

    second = await accepted(runs, said(somebody, conversation))
    third = await accepted(runs, said(somebody, conversation))

    assert (second.interrupted, second.ready) == ((run,), False)
    assert third.interrupted == (run, second.run)


# Many at once


async def test_the_same_message_sent_twenty_times_at_once_is_one(
    runs: Runs, conversations: Conversations, somebody: Principal
) -> None:
    submission = said(somebody)

    receipts = await asyncio.gather(*(accepted(runs, submission) for _ in range(20)))

    assert len({(r.outcome, r.conversation, r.message, r.run, r.seq) for r in receipts}) == 1
    assert receipts[0].outcome == "accepted"
    assert sum(r.fresh for r in receipts) == sum(r.created for r in receipts) == 1
    assert len(await history(conversations, somebody, receipts[0].conversation)) == 1
    assert len(await conversations.newest(somebody, 10, None)) == 1
    assert len(await conversations.unfinished(somebody, receipts[0].conversation)) == 1


async def test_one_batch_may_hold_the_same_message_more_than_once(
    runs: Runs, somebody: Principal
) -> None:
    submission = said(somebody)

    receipts = await runs.accept([submission] * 3, LEASE_S)

    assert len({r.message for r in receipts}) == 1
    assert sorted(r.fresh for r in receipts) == [False, False, True]


async def test_fifty_messages_at_once_are_numbered_without_a_gap_and_one_is_ready(
    runs: Runs, conversations: Conversations, somebody: Principal
) -> None:
    conversation = await in_a_conversation(runs, somebody)

    receipts = await asyncio.gather(
        *(accepted(runs, said(somebody, conversation)) for _ in range(50))
    )

    assert sorted(r.seq for r in receipts) == list(range(2, 52))
    assert [r.seq for r in receipts if r.ready] == [2]
    messages = await history(conversations, somebody, conversation)
    assert [m.seq for m in messages] == list(range(1, 52))


async def test_batches_over_the_same_conversations_and_ids_never_wait_for_each_other_for_ever(
    runs: Runs, conversations: Conversations, somebody: Principal
) -> None:
    places = [await in_a_conversation(runs, somebody) for _ in range(6)]
    choose = random.Random(7)
    repeated = [said(somebody, choose.choice([*places, None])) for _ in range(10)]
    batches = []
    for _ in range(16):
        batch = [said(somebody, place) for place in places] + choose.sample(repeated, 5)
        choose.shuffle(batch)
        batches.append(batch)

    answers = await asyncio.gather(*(runs.accept(batch, LEASE_S) for batch in batches))

    assert {receipt.outcome for receipts in answers for receipt in receipts} == {"accepted"}
    for place in places:
        messages = await history(conversations, somebody, place)
        assert [m.seq for m in messages] == list(range(1, len(messages) + 1))
    for batch, receipts in zip(batches, answers, strict=True):
        for submission, receipt in zip(batch, receipts, strict=True):
            assert submission.conversation in {None, receipt.conversation}
