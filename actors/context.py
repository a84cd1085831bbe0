"""The context actor: what is remembered, in Redis for speed and in Postgres for good."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from actors.announcer import Announcer
from actors.background import Background, forever
from actors.batching import Batcher
from actors.core.errors import Busy, Conflict, NotFound, Unavailable
from actors.core.log_folding import FoldedRun, fold
from actors.core.messages import Message, StoredMessage
from actors.core.runs import LEASE_S, Accepted, Finished, Progress, RunStart
from actors.memory import Memory
from actors.stores.context_cache import ContextCache
from actors.stores.conversations import Conversations
from actors.stores.credentials import Credentials
from actors.stores.event_log import EventLog
from actors.stores.postgres import Postgres
from actors.stores.redis import Redis, unless_down
from actors.stores.run_records import Completion
from actors.stores.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.core.cursors import Cursor
    from actors.core.errors import ParleyError
    from actors.core.messages import Json, Principal
    from actors.core.runs import Outcome, Submission
    from actors.stores.run_records import Claim, Committed, Receipt
    from config.settings import Settings

log = structlog.get_logger()

FIRST_LEASE_S = 5.0
"""How long an accepted run may wait to be begun before a sweeper claims it."""
_MISSED_EVERY_S = 2.0
_PATIENCE_S = 3.0


class ContextActor:
    """Fronts Redis and Postgres: what it says is done is committed in Postgres."""

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]  # Serve awaits it
        self._resources = AsyncExitStack()
        enter = self._resources.enter_async_context
        background = await enter(Background())
        self._redis = await enter(Redis(settings.redis))
        self._postgres = await enter(Postgres(settings.database))
        self._conversations = Conversations(self._postgres)
        self._credentials = Credentials(self._postgres, self._redis)
        self._runs = Runs(self._postgres)
        self._log = EventLog(self._redis, log_ttl_s=settings.redis.log_ttl_s)
        self._announcer = Announcer(self._log, self._runs, self._conversations, background)
        cache = ContextCache(self._redis, settings.redis.context_ttl_s)
        self._memory = Memory(self._conversations, cache)
        self._accepts = Batcher(self._accept_batch, background, name="accept")
        self._begins = Batcher(self._begin_batch, background, name="begin")
        self._finishes = Batcher(self._runs.finish, background, name="finish")
        background.start(
            forever(self._announce_missed, interval_s=_MISSED_EVERY_S, what="announce missed ends"),
            name="missed ends",
        )
        if settings.auth.bootstrap_key is not None:
            await self._credentials.bootstrap(settings.auth.bootstrap_key.get_secret_value())

    async def __del__(self) -> None:
        await self._resources.aclose()

    async def degraded(self) -> list[str]:
        """Which of redis and postgres cannot be reached now."""
        parts = {"redis": self._redis.check(), "postgres": self._postgres.check()}
        answers = await asyncio.gather(*parts.values(), return_exceptions=True)
        return [part for part, answer in zip(parts, answers, strict=True) if answer is not None]

    # Who is asking

    async def principal_of_key(self, key: str) -> Principal | None:
        return await self._credentials.principal_of_key(key)

    async def issue_ticket(self, principal: Principal) -> str:
        return await self._credentials.issue_ticket(principal)

    async def redeem_ticket(self, ticket: str) -> Principal | None:
        return await self._credentials.redeem_ticket(ticket)

    async def profile(self, principal: Principal) -> Json:
        return await self._memory.profile(principal)

    async def merge_profile(self, principal: Principal, changes: Json) -> Json:
        return await self._memory.merge_profile(principal, changes)

    # Conversations

    async def conversations(self, method: str, principal: Principal, *arguments: Any) -> Any:
        """Calls a method of `Conversations` that no hot copy stands before."""
        return await getattr(self._conversations, method)(principal, *arguments)

    async def delete_conversation(self, principal: Principal, conversation: str) -> None:
        """Deletes it, stops its runs, and tells those who watch; nothing of it stays.

        Raises:
            NotFound: the user has no such conversation.
        """
        for run in await self._conversations.delete(principal, conversation):
            await unless_down(self._announcer.stopped_by_deletion(conversation, run))
        await unless_down(self._log.forget(conversation))
        await self._memory.forget(conversation)

    async def ensure_log(self, principal: Principal, conversation: str) -> None:
        """Begins a log where there is none, as a new generation. Raises NotFound."""
        found = await self._conversations.get(principal, conversation)
        await self._announcer.begin_again(principal, conversation, found.generation)

    # Runs

    async def accept(self, submission: Submission) -> Accepted:
        """Commits a user's message with its run, then announces it.

        Raises:
            Conflict: the client message id was used for another payload.
            Busy: the conversation's policy is to reject while a run is unfinished.
            NotFound: the user has no such conversation.
        """
        receipt = await self._accepts.submit(submission)
        if receipt.outcome != "accepted":
            raise _refusal(receipt.outcome)
        cursor = await self._announced_at(submission, receipt)
        following = [await self.stop(submission.principal, run) for run in receipt.interrupted]
        return Accepted(
            conversation=receipt.conversation,
            message=receipt.message,
            run=receipt.run,
            seq=receipt.seq,
            durability="committed",
            cursor=None if cursor is None else str(cursor),
            ready=receipt.ready or receipt.run in following,
        )

    async def begin(self, run: str, owner: str) -> RunStart | None:
        """Takes a queued run for an owner; None where it is not, or not yet, to be begun."""
        claim = await self._begins.submit((run, owner))
        return None if claim is None else await self._start(claim, Progress())

    async def seize(self, run: str, owner: str, seen_epoch: int | None) -> RunStart | None:
        """Takes a run from an owner that is gone; None where it ended, or another took it."""
        claim = await self._runs.seize(run, owner, LEASE_S, seen_epoch)
        return None if claim is None else await self._take_over(claim)

    async def claim_expired(self, owner: str, at_most: int) -> list[RunStart]:
        """Takes over runs whose owners are gone, with what the log holds of them."""
        claims = await self._runs.claim_expired(owner, LEASE_S, at_most)
        starts = await asyncio.gather(
            *(self._take_over(claim) for claim in claims), return_exceptions=True
        )
        for failure in starts:
            if isinstance(failure, BaseException):
                log.warning("takeover failed, to be tried again", error=str(failure))
        return [start for start in starts if isinstance(start, RunStart)]

    async def renew(self, held: Sequence[tuple[str, int]]) -> dict[str, bool]:
        """Run → whether it is being stopped, for the (run, epoch) pairs that still hold.

        Seals those once more: whoever told them to stop may have come no further than saying so.
        """
        leases = await self._runs.renew(held, LEASE_S)
        for lease in leases:
            if lease.stopping:
                await unless_down(self._log.seal(lease.conversation, lease.run))
        return {lease.run: lease.stopping for lease in leases}

    async def release(self, held: Sequence[tuple[str, int]]) -> None:
        """Lets the sweeper of any replica take the runs at once."""
        await self._runs.release(held)

    async def checkpoint(self, batch: Sequence[tuple[str, int, str]]) -> None:
        """Keeps the texts so far of (run, epoch, text), for when the log is lost as well."""
        await self._runs.checkpoint(batch)

    async def begin_log_again(self, run: str, epoch: int) -> int | None:
        """The generation of a new log, for the run's producer; None where the epoch has passed.

        Raises Unavailable where Postgres cannot confirm the epoch, or Redis is down.
        """
        confirmed = await self._runs.confirm(run, epoch)
        if confirmed is None:
            return None
        principal, conversation, generation = confirmed
        return await self._announcer.begin_again(principal, conversation, generation)

    async def finish(self, start: RunStart, outcome: Outcome) -> Finished | None:
        """Commits a run's end, then announces it; None where the epoch has passed on."""
        committed = await self._finishes.submit(
            Completion(run=start.run, epoch=start.epoch, outcome=outcome)
        )
        if committed is None:
            return None
        if committed.answer is not None:
            answer = _answer(start, outcome, committed, committed.answer)
            await self._memory.remember(start.conversation, answer)
        await self._announcer.ended(start, outcome, committed)
        return Finished(state=committed.state, next_run=committed.next_run)

    async def stop(self, principal: Principal, run: str) -> str | None:
        """Stops a run, whatever its state; answers the run that may begin now, if any.

        Raises:
            NotFound: the user has no such run.
        """
        result = await self._runs.stop(principal, run)
        if result.state == "stopping":
            await unless_down(self._log.seal(result.conversation, run))
        elif result.changed:
            await self._announcer.stopped_in_queue(principal, run, result)
        return result.next_run

    async def _announce_missed(self) -> None:
        """Tells the log of ends that were committed by replicas, or at times, that could not."""
        if "redis" in await self.degraded():
            return
        for missed in await self._runs.claim_unannounced(_PATIENCE_S, at_most=50):
            await self._announcer.ended_unheard(missed)

    async def _accept_batch(self, batch: Sequence[Submission]) -> list[Receipt]:
        return await self._runs.accept(batch, FIRST_LEASE_S)

    async def _begin_batch(self, batch: Sequence[tuple[str, str]]) -> list[Claim | None]:
        taken: dict[str, Claim] = {}
        for owner in {owner for _, owner in batch}:
            ids = [run for run, of in batch if of == owner]
            taken |= {c.run: c for c in await self._runs.begin(ids, owner, LEASE_S)}
        return [taken.pop(run, None) for run, _ in batch]

    async def _announced_at(self, submission: Submission, receipt: Receipt) -> Cursor | None:
        """The cursor just before the message's event; announces it where nobody has."""
        found = None
        if not receipt.fresh:
            found = await self._announcer.cursor_before(receipt.conversation, receipt.message)
        if found is None and (receipt.fresh or receipt.queued):
            found = await self._announce(submission, receipt)
        return found

    async def _announce(self, submission: Submission, receipt: Receipt) -> Cursor | None:
        message = Message(
            id=receipt.message,
            seq=receipt.seq,
            role="user",
            text=submission.text,
            created_at=receipt.created_at,
            metadata=submission.metadata,
        )
        cursor, _ = await asyncio.gather(
            self._announcer.message(submission, receipt, message),
            self._memory.remember(
                receipt.conversation, StoredMessage(message=message, run=receipt.run)
            ),
        )
        return cursor

    async def _start(self, claim: Claim, progress: Progress) -> RunStart:
        return RunStart(
            run=claim.run,
            epoch=claim.epoch,
            principal=claim.principal,
            conversation=claim.conversation,
            generation=claim.generation,
            message=claim.message,
            requested_agent=claim.requested_agent,
            sticky_agent=claim.sticky_agent,
            stopping=claim.stopping,
            context=await self._memory.context(claim),
            progress=progress,
        )

    async def _take_over(self, claim: Claim) -> RunStart:
        """A run as its last owner left it, in the log that there is or in one begun again."""
        start = await self._start(claim, Progress(deltas=(claim.partial,) if claim.partial else ()))
        try:
            if await self._log.generation(claim.conversation) is None:
                generation = await self._announcer.begin_again(
                    claim.principal, claim.conversation, claim.generation
                )
                return replace(start, generation=generation)
            await self._announcer.message_again(claim, start.context.messages[-1])
            await self._log.fence(claim.conversation, claim.run, claim.epoch)
            events = [entry.event for entry in await self._log.held(claim.conversation)]
        except Unavailable:
            return start
        told = fold(events).get(claim.run, FoldedRun()).progress()
        return replace(start, progress=told) if told.started else start


def _answer(
    start: RunStart, outcome: Outcome, committed: Committed, message_id: str
) -> StoredMessage:
    message = Message(
        id=message_id,
        seq=committed.seq,
        role="assistant",
        text=outcome.text,
        agent=outcome.agent,
        model=outcome.model,
        reply_to=start.message,
        status="complete" if committed.state == "completed" else committed.state,
        created_at=committed.created_at,
    )
    return StoredMessage(message=message, run=start.run)


def _refusal(outcome: str) -> ParleyError:
    match outcome:
        case "conflict":
            return Conflict("The client message id is used for another message.")
        case "busy":
            return Busy("The conversation is answering another message.", retry_after_s=1.0)
        case _:
            return NotFound("There is no such conversation.")
