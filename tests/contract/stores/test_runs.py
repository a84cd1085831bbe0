"""Runs are begun once, held by a lease, fenced by an epoch, and ended once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from actors.core.completion import Usage
from actors.core.errors import NotFound
from actors.core.runs import Outcome
from actors.stores.conversations import Conversations
from actors.stores.runs import Committed, Completion, Runs
from tests.contract.stores.submissions import LEASE_S, accepted, begun, said

if TYPE_CHECKING:
    from actors.core.messages import Principal
    from actors.stores.postgres import Postgres

DONE = Outcome(state="completed", deltas=("Hel", "lo!"), agent="gpt", model="gpt-5.5")


@pytest.fixture
def conversations(postgres: Postgres) -> Conversations:
    return Conversations(postgres)


async def finish(runs: Runs, run: str, epoch: int, outcome: Outcome = DONE) -> Committed | None:
    (committed,) = await runs.finish([Completion(run=run, epoch=epoch, outcome=outcome)])
    return committed


async def asked(runs: Runs, who: Principal, questions: int) -> list[str]:
    """The runs of so many questions in one conversation."""
    first = await accepted(runs, said(who))
    rest = [await accepted(runs, said(who, first.conversation)) for _ in range(questions - 1)]
    return [first.run, *(receipt.run for receipt in rest)]


# Beginning


async def test_a_run_is_begun_by_one_owner_in_its_first_epoch(
    runs: Runs, somebody: Principal
) -> None:
    receipt = await accepted(runs, said(somebody, agent="gpt"))

    claims = await asyncio.gather(
        *(runs.begin([receipt.run], f"owner {i}", LEASE_S) for i in range(8))
    )

    (claim,) = [claim for taken in claims for claim in taken]
    assert (claim.run, claim.epoch, claim.stopping) == (receipt.run, 1, False)
    assert (claim.message, claim.message_seq) == (receipt.message, 1)
    assert (claim.principal, claim.conversation) == (somebody, receipt.conversation)
    assert (claim.requested_agent, claim.sticky_agent) == ("gpt", None)


async def test_a_run_waits_until_those_before_it_have_ended(
    runs: Runs, somebody: Principal
) -> None:
    first, second, third = await asked(runs, somebody, 3)

    assert await runs.begin([second, third], "owner", LEASE_S) == []
    await begun(runs, first)
    assert await runs.begin([second, third], "owner", LEASE_S) == []
    committed = await finish(runs, first, 1)
    assert committed is not None
    assert committed.next_run == second
    assert await runs.begin([third], "owner", LEASE_S) == []
    assert [c.run for c in await runs.begin([third, second], "owner", LEASE_S)] == [second]


async def test_a_run_that_there_is_not_is_not_begun(runs: Runs) -> None:
    assert await runs.begin(["00000000-0000-7000-8000-000000000000"], "owner", LEASE_S) == []


async def test_an_answers_agent_stays_with_the_conversation(
    runs: Runs, somebody: Principal
) -> None:
    first, second = await asked(runs, somebody, 2)
    await begun(runs, first)
    await finish(runs, first, 1)

    assert (await begun(runs, second)).sticky_agent == "gpt"


# Leases and epochs


async def test_only_the_holder_of_the_epoch_renews(runs: Runs, somebody: Principal) -> None:
    (run,) = await asked(runs, somebody, 1)
    await begun(runs, run)

    assert await runs.renew([(run, 0), (run, 2)], LEASE_S) == []
    assert [lease.stopping for lease in await runs.renew([(run, 1)], LEASE_S)] == [False]
    await runs.stop(somebody, run)
    assert [lease.stopping for lease in await runs.renew([(run, 1)], LEASE_S)] == [True]


async def test_a_run_whose_lease_holds_is_not_claimed(runs: Runs, somebody: Principal) -> None:
    queued, _ = await asked(runs, somebody, 2)
    assert await runs.claim_expired("sweeper", LEASE_S, 10) == []
    await begun(runs, queued)
    assert await runs.claim_expired("sweeper", LEASE_S, 10) == []


async def test_a_released_run_is_claimed_by_one_sweeper_in_the_next_epoch(
    runs: Runs, somebody: Principal
) -> None:
    (run,) = await asked(runs, somebody, 1)
    await begun(runs, run)
    await runs.release([(run, 1)])

    claims = await asyncio.gather(
        *(runs.claim_expired(f"sweeper {i}", LEASE_S, 10) for i in range(8))
    )

    (claim,) = [claim for taken in claims for claim in taken]
    assert (claim.run, claim.epoch, claim.stopping) == (run, 2, False)
    assert await runs.renew([(run, 1)], LEASE_S) == []


async def test_a_run_whose_hand_over_was_lost_is_claimed_once_its_first_lease_ran_out(
    runs: Runs, somebody: Principal
) -> None:
    (receipt,) = await runs.accept([said(somebody)], -1.0)

    (claim,) = await runs.claim_expired("sweeper", LEASE_S, 10)

    assert (claim.run, claim.epoch) == (receipt.run, 1)


async def test_a_former_owner_releases_nothing(runs: Runs, somebody: Principal) -> None:
    (run,) = await asked(runs, somebody, 1)
    await begun(runs, run)
    await runs.release([(run, 1)])
    await runs.claim_expired("sweeper", LEASE_S, 10)

    await runs.release([(run, 1)])

    assert await runs.claim_expired("another", LEASE_S, 10) == []


async def test_expired_runs_are_claimed_only_where_none_before_them_is_unfinished(
    runs: Runs, somebody: Principal
) -> None:
    first = (await runs.accept([said(somebody)], -1.0))[0]
    second = (await runs.accept([said(somebody, first.conversation)], -1.0))[0]

    assert [c.run for c in await runs.claim_expired("s", LEASE_S, 10)] == [first.run]
    assert await runs.claim_expired("s", LEASE_S, 10) == []
    await finish(runs, first.run, 1)
    assert [c.run for c in await runs.claim_expired("s", LEASE_S, 10)] == [second.run]


async def test_sweepers_share_the_work(runs: Runs, somebody: Principal) -> None:
    expired = [(await runs.accept([said(somebody)], -1.0))[0].run for _ in range(9)]

    claims = await asyncio.gather(
        *(runs.claim_expired(f"sweeper {i}", LEASE_S, 3) for i in range(3))
    )

    assert all(len(taken) <= 3 for taken in claims)
    taken = [claim.run for shares in claims for claim in shares]
    assert len(set(taken)) == len(taken)
    taken += [c.run for c in await runs.claim_expired("last", LEASE_S, 10)]
    assert sorted(taken) == sorted(expired)


async def test_a_run_told_to_stop_is_claimed_only_to_be_finished(
    runs: Runs, somebody: Principal
) -> None:
    (run,) = await asked(runs, somebody, 1)
    await begun(runs, run)
    await runs.stop(somebody, run)
    await runs.release([(run, 1)])

    (claim,) = await runs.claim_expired("sweeper", LEASE_S, 10)

    assert (claim.epoch, claim.stopping) == (2, True)
    committed = await finish(runs, run, 2)
    assert committed is not None
    assert committed.state == "stopped"


# Ending


async def test_an_answer_is_committed_with_the_runs_end(
    runs: Runs, conversations: Conversations, somebody: Principal
) -> None:
    receipt = await accepted(runs, said(somebody))
    await begun(runs, receipt.run)

    committed = await finish(runs, receipt.run, 1)

    assert committed is not None
    assert (committed.state, committed.seq, committed.next_run) == ("completed", 2, None)
    history = await conversations.history(somebody, receipt.conversation, 10)
    answer = history.messages[-1]
    assert history.unfinished == ()
    assert answer.run == receipt.run
    assert (answer.message.id, answer.message.seq) == (committed.answer, 2)
    assert (answer.message.role, answer.message.text) == ("assistant", "Hello!")
    assert (answer.message.agent, answer.message.model) == ("gpt", "gpt-5.5")
    assert (answer.message.reply_to, answer.message.status) == (receipt.message, "complete")
    assert answer.message.created_at == committed.created_at


@pytest.mark.parametrize("epoch", [0, 1, 3])
async def test_another_epoch_ends_nothing(
    runs: Runs, conversations: Conversations, somebody: Principal, epoch: int
) -> None:
    receipt = await accepted(runs, said(somebody))
    await begun(runs, receipt.run)
    await runs.release([(receipt.run, 1)])
    await runs.claim_expired("sweeper", LEASE_S, 10)

    assert await finish(runs, receipt.run, epoch) is None

    assert len((await conversations.history(somebody, receipt.conversation, 9)).messages) == 1


async def test_a_run_ends_once(
    runs: Runs, conversations: Conversations, somebody: Principal
) -> None:
    receipt = await accepted(runs, said(somebody))
    await begun(runs, receipt.run)

    ends = await asyncio.gather(*(finish(runs, receipt.run, 1) for _ in range(5)))

    assert sum(end is not None for end in ends) == 1
    assert len((await conversations.history(somebody, receipt.conversation, 9)).messages) == 2


async def test_of_two_epochs_in_one_batch_only_the_holders_is_told_of_its_commit(
    runs: Runs, conversations: Conversations, somebody: Principal
) -> None:
    receipt = await accepted(runs, said(somebody))
    await begun(runs, receipt.run)
    await runs.release([(receipt.run, 1)])
    await runs.claim_expired("sweeper", LEASE_S, 10)
    former = Outcome(state="completed", deltas=("of the former owner",))

    committed = await runs.finish(
        [
            Completion(run=receipt.run, epoch=1, outcome=former),
            Completion(run=receipt.run, epoch=2, outcome=DONE),
        ]
    )

    assert committed[0] is None
    assert committed[1] is not None
    history = await conversations.history(somebody, receipt.conversation, 9)
    assert history.messages[-1].message.text == "Hello!"


@pytest.mark.parametrize("produced", ["completed", "failed", "stopped"])
async def test_a_stop_that_was_committed_first_wins_and_the_text_is_kept(
    runs: Runs, conversations: Conversations, somebody: Principal, produced: Any
) -> None:
    receipt = await accepted(runs, said(somebody))
    await begun(runs, receipt.run)
    stopping = await runs.stop(somebody, receipt.run)
    assert (stopping.state, stopping.changed) == ("stopping", True)

    outcome = Outcome(state=produced, deltas=("Hel",), agent="gpt", model="m")
    committed = await finish(runs, receipt.run, 1, outcome)

    assert committed is not None
    assert committed.state == "stopped"
    history = await conversations.history(somebody, receipt.conversation, 9)
    assert (history.messages[-1].message.text, history.messages[-1].message.status) == (
        "Hel",
        "stopped",
    )


@pytest.mark.parametrize("state", ["failed", "stopped"])
async def test_where_nothing_was_said_no_message_is_kept(
    runs: Runs, conversations: Conversations, somebody: Principal, state: Any
) -> None:
    receipt = await accepted(runs, said(somebody))
    await begun(runs, receipt.run)

    committed = await finish(runs, receipt.run, 1, Outcome(state=state, error={"code": "x"}))

    assert committed is not None
    assert (committed.state, committed.answer, committed.seq) == (state, None, None)
    assert len((await conversations.history(somebody, receipt.conversation, 9)).messages) == 1


async def test_an_empty_answer_is_an_answer(
    runs: Runs, conversations: Conversations, somebody: Principal
) -> None:
    receipt = await accepted(runs, said(somebody))
    await begun(runs, receipt.run)

    committed = await finish(runs, receipt.run, 1, Outcome(state="completed"))

    assert committed is not None
    assert committed.answer is not None


async def test_usage_is_counted_once_a_run(
    runs: Runs, somebody: Principal, database_url: str
) -> None:
    (run,) = await asked(runs, somebody, 1)
    await begun(runs, run)
    used = Usage(input_tokens=3, output_tokens=5)
    counted = Outcome(state="completed", deltas=("a",), agent="gpt", model="m", usage=used)

    await asyncio.gather(*(finish(runs, run, 1, counted) for _ in range(3)))

    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT run_id::text, agent, input_tokens, output_tokens FROM parley.usage"
        ).fetchall()
    assert rows == [(run, "gpt", 3, 5)]


# Stopping


async def test_a_queued_run_is_stopped_at_once_and_the_next_may_begin(
    runs: Runs, somebody: Principal
) -> None:
    first, second = await asked(runs, somebody, 2)

    result = await runs.stop(somebody, first)

    assert (result.state, result.changed, result.next_run) == ("stopped", True, second)
    assert await runs.begin([first], "owner", LEASE_S) == []
    assert (await begun(runs, second)).epoch == 1


async def test_a_stop_again_or_after_the_end_changes_nothing(
    runs: Runs, somebody: Principal
) -> None:
    (run,) = await asked(runs, somebody, 1)
    await begun(runs, run)
    assert (await runs.stop(somebody, run)).changed
    again = await runs.stop(somebody, run)
    assert (again.state, again.changed) == ("stopping", False)
    await finish(runs, run, 1)
    after = await runs.stop(somebody, run)
    assert (after.state, after.changed, after.next_run) == ("stopped", False, None)


async def test_another_users_run_is_not_stopped(
    runs: Runs, somebody: Principal, stranger: Principal
) -> None:
    (run,) = await asked(runs, somebody, 1)

    with pytest.raises(NotFound):
        await runs.stop(stranger, run)

    assert (await begun(runs, run)).run == run


async def test_when_the_runs_before_end_as_a_message_comes_somebody_is_told_to_begin_it(
    runs: Runs, somebody: Principal
) -> None:
    for _ in range(25):
        first = await accepted(runs, said(somebody))
        following = said(somebody, first.conversation)

        stopped, second = await asyncio.gather(
            runs.stop(somebody, first.run), accepted(runs, following)
        )

        assert second.ready or stopped.next_run == second.run


async def test_ends_and_messages_at_once_never_leave_a_run_that_nobody_begins(
    runs: Runs, somebody: Principal
) -> None:
    for _ in range(25):
        first = await accepted(runs, said(somebody))
        await begun(runs, first.run)

        ended, second = await asyncio.gather(
            finish(runs, first.run, 1), accepted(runs, said(somebody, first.conversation))
        )

        assert ended is not None
        assert second.ready or ended.next_run == second.run


# Together


async def test_renewals_and_ends_of_the_same_runs_never_wait_for_each_other_for_ever(
    runs: Runs, somebody: Principal
) -> None:
    receipts = await runs.accept([said(somebody) for _ in range(60)], LEASE_S)
    ids = [receipt.run for receipt in receipts]
    await runs.begin(ids, "owner", LEASE_S)
    batches = [[Completion(run=run, epoch=1, outcome=DONE) for run in ids[i::4]] for i in range(4)]
    held = [(run, 1) for run in reversed(ids)]

    answers = await asyncio.gather(
        *(runs.finish(batch) for batch in batches),
        *(runs.renew(held, LEASE_S) for _ in range(8)),
    )

    assert all(None not in committed for committed in answers[:4])


# Generations


async def test_a_generation_is_raised_once_for_all_who_saw_the_same(
    runs: Runs, somebody: Principal
) -> None:
    receipt = await accepted(runs, said(somebody))

    raised = await asyncio.gather(
        *(runs.raise_generation(receipt.conversation, receipt.generation) for _ in range(5))
    )

    assert set(raised) == {receipt.generation + 1}


async def test_the_generation_of_a_conversation_that_is_gone_is_not_found(runs: Runs) -> None:
    with pytest.raises(NotFound):
        await runs.raise_generation("00000000-0000-7000-8000-000000000000", 1)
