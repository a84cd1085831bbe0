"""The context actor: what is remembered, in Redis for speed and in Postgres for good."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from actors.background import Background
from actors.batching import Batcher
from actors.core.cursors import Cursor
from actors.core.errors import Busy, Conflict, NotFound, Unavailable
from actors.core.events import MessageAdded, encode, run_ended
from actors.core.log_folding import FoldedRun, fold
from actors.core.messages import Context, Message, StoredMessage
from actors.core.runs import Accepted, Finished, Outcome, Progress, RunStart
from actors.core.transcripts import up_to
from actors.stores.context_cache import KEPT_MESSAGES, ContextCache
from actors.stores.conversations import Conversations
from actors.stores.credentials import Credentials
from actors.stores.event_log import Append, EventLog
from actors.stores.postgres import Postgres
from actors.stores.redis import Redis
from actors.stores.runs import Completion, Runs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from actors.core.errors import ParleyError
    from actors.core.messages import Json, Principal
    from actors.core.runs import Submission
    from actors.stores.event_log import Appended
    from actors.stores.runs import Claim, Committed, Receipt
    from config.settings import Settings

log = structlog.get_logger()

FIRST_LEASE_S = 10.0
"""How long an accepted run may wait to be begun before a sweeper claims it."""
LEASE_S = 6.0


class ContextActor:
    """Fronts Redis and Postgres: what it says is done is committed in Postgres.

    Redis being down costs speed here, never an answer: the hot copy is then passed over.
    """

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]  # Serve awaits it
        self._resources = AsyncExitStack()
        enter = self._resources.enter_async_context
        self._background = await enter(Background())
        self._redis = redis = await enter(Redis(settings.redis))
        self._postgres = postgres = await enter(Postgres(settings.database))
        self._conversations = Conversations(postgres)
        self._credentials = Credentials(postgres, redis)
        self._runs = Runs(postgres)
        self._log = EventLog(redis, log_ttl_s=settings.redis.log_ttl_s)
        self._cache = ContextCache(redis, settings.redis.context_ttl_s)
        self._accepts = Batcher(self._accept_batch, self._background, name="accept")
        self._finishes = Batcher(self._runs.finish, self._background, name="finish")
        self._begins = Batcher(self._begin_batch, self._background, name="begin")
        self._appends = Batcher(self._log.append, self._background, name="append")
        if settings.auth.bootstrap_key is not None:
            await self._credentials.bootstrap(settings.auth.bootstrap_key.get_secret_value())

    async def __del__(self) -> None:
        await self._resources.aclose()

    # Who is asking

    async def principal_of_key(self, key: str) -> Principal | None:
        return await self._credentials.principal_of_key(key)

    async def issue_ticket(self, principal: Principal) -> str:
        return await self._credentials.issue_ticket(principal)

    async def redeem_ticket(self, ticket: str) -> Principal | None:
        return await self._credentials.redeem_ticket(ticket)

    async def degraded(self) -> list[str]:
        """Which of redis and postgres cannot be reached now."""
        parts = {"redis": self._redis.check(), "postgres": self._postgres.check()}
        answers = await asyncio.gather(*parts.values(), return_exceptions=True)
        return [part for part, answer in zip(parts, answers, strict=True) if answer is not None]

    # Conversations

    async def conversations(self, method: str, principal: Principal, *arguments: Any) -> Any:
        """Calls a method of `Conversations` that no hot copy stands before."""
        return await getattr(self._conversations, method)(principal, *arguments)

    async def delete_conversation(self, principal: Principal, conversation: str) -> None:
        """Raises NotFound. Producers of its runs are told to stop; nothing of it stays."""
        for run in await self._conversations.delete(principal, conversation):
            await self._quietly(self._log.seal(conversation, run))
        await self._quietly(self._log.forget(conversation))
        await self._quietly(self._cache.forget(conversation))

    async def merge_profile(self, principal: Principal, changes: Json) -> Json:
        profile = await self._conversations.merge_profile(principal, changes)
        await self._quietly(self._cache.put_profile(principal.user_id, profile))
        return profile

    async def ensure_log(self, principal: Principal, conversation: str) -> None:
        """Begins a log where there is none, as a new generation. Raises NotFound."""
        found = await self._conversations.get(principal, conversation)
        await self._begin_log_again(principal, conversation, found.generation)

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
        cursor = await self._announce(submission, receipt)
        for run in receipt.interrupted:
            await self.stop(submission.principal, run)
        return Accepted(
            conversation=receipt.conversation,
            message=receipt.message,
            run=receipt.run,
            seq=receipt.seq,
            durability="committed",
            cursor=str(cursor),
            ready=receipt.ready,
        )

    async def begin(self, run: str, owner: str) -> RunStart | None:
        """Takes a queued run for an owner; None where it is not, or not yet, to be begun."""
        claim = await self._begins.submit((run, owner))
        return None if claim is None else await self._start(claim, Progress())

    async def claim_expired(self, owner: str, at_most: int) -> list[RunStart]:
        """Takes over runs whose owners are gone, with what the log holds of them."""
        claims = await self._runs.claim_expired(owner, LEASE_S, at_most)
        return [await self._take_over(claim) for claim in claims]

    async def renew(self, held: Sequence[tuple[str, int]]) -> dict[str, bool]:
        """Run → whether it is being stopped, for the (run, epoch) pairs that still hold."""
        return await self._runs.renew(held, LEASE_S)

    async def release(self, held: Sequence[tuple[str, int]]) -> None:
        """Lets the sweeper of any replica take the runs at once."""
        await self._runs.release(held)

    async def finish(self, start: RunStart, outcome: Outcome) -> Finished | None:
        """Commits a run's end, then announces it; None where the epoch has passed on."""
        committed = await self._finishes.submit(
            Completion(run=start.run, epoch=start.epoch, outcome=outcome)
        )
        if committed is None:
            return None
        await self._announce_end(start, outcome, committed)
        return Finished(state=committed.state, next_run=committed.next_run)

    async def stop(self, principal: Principal, run: str) -> str | None:
        """Stops a run, whatever its state; answers the run that may begin now, if any.

        Raises:
            NotFound: the user has no such run.
        """
        result = await self._runs.stop(principal, run)
        if result.state == "stopping":
            await self._quietly(self._log.seal(result.conversation, run))
        elif result.changed:
            ended = run_ended(result.conversation, run, Outcome(state="stopped"), None, None)
            await self._append(
                principal,
                Append(
                    conversation=result.conversation,
                    generation=result.generation,
                    run=run,
                    kind="end",
                    events=(encode(ended),),
                ),
            )
        return result.next_run

    # What the batchers do

    async def _accept_batch(self, batch: Sequence[Submission]) -> list[Receipt]:
        return await self._runs.accept(batch, FIRST_LEASE_S)

    async def _begin_batch(self, batch: Sequence[tuple[str, str]]) -> list[Claim | None]:
        taken: dict[str, Claim] = {}
        for owner in {owner for _, owner in batch}:
            ids = [run for run, of in batch if of == owner]
            taken |= {c.run: c for c in await self._runs.begin(ids, owner, LEASE_S)}
        return [taken.get(run) for run, _ in batch]

    # What a run needs

    async def _start(self, claim: Claim, progress: Progress) -> RunStart:
        principal = claim.principal
        messages, profile = await asyncio.gather(
            self._messages_up_to(principal, claim), self.profile(principal)
        )
        return RunStart(
            run=claim.run,
            epoch=claim.epoch,
            principal=principal,
            conversation=claim.conversation,
            generation=claim.generation,
            message=claim.message,
            requested_agent=claim.requested_agent,
            sticky_agent=claim.sticky_agent,
            stopping=claim.stopping,
            context=Context(
                profile=profile,
                messages=up_to([m.message for m in messages], claim.message),
                metadata=claim.metadata,
                summary=claim.summary,
            ),
            progress=progress,
        )

    async def _messages_up_to(
        self, principal: Principal, claim: Claim
    ) -> tuple[StoredMessage, ...]:
        try:
            held = await self._cache.messages(claim.conversation)
        except Unavailable:
            held = None
        if held is not None and held[0] >= claim.message_seq:
            return held[1]
        history = await self._conversations.history(principal, claim.conversation, KEPT_MESSAGES)
        await self._quietly(self._cache.replace(claim.conversation, history.messages))
        return history.messages

    async def profile(self, principal: Principal) -> Json:
        """The user's profile, from the hot copy where there is one."""
        try:
            held = await self._cache.profile(principal.user_id)
        except Unavailable:
            held = None
        if held is not None:
            return held
        profile = await self._conversations.profile(principal)
        await self._quietly(self._cache.put_profile(principal.user_id, profile))
        return profile

    async def _take_over(self, claim: Claim) -> RunStart:
        """A run as its last owner left it, in the log that there is or in one begun again."""
        try:
            if await self._log.generation(claim.conversation) is None:
                generation = await self._begin_log_again(
                    claim.principal, claim.conversation, claim.generation
                )
                return await self._start(replace(claim, generation=generation), Progress())
            held = fold(entry.event for entry in await self._log.held(claim.conversation))
        except Unavailable:
            held = {}
        return await self._start(claim, held.get(claim.run, FoldedRun()).progress())

    # What the log is told

    async def _announce(self, submission: Submission, receipt: Receipt) -> Cursor:
        """Tells the log of a fresh message; answers the cursor just before its event.

        Where that is not known, a cursor of no log: whoever attaches there gets a snapshot.
        """
        unknown = Cursor(0, 0)
        if not receipt.fresh:
            try:
                found = await self._log.cursor_before_message(receipt.conversation, receipt.message)
            except Unavailable:
                found = None
            return found or unknown
        message = Message(
            id=receipt.message,
            seq=receipt.seq,
            role="user",
            text=submission.text,
            created_at=receipt.created_at,
            metadata=submission.metadata,
        )
        event = MessageAdded(
            conversation=receipt.conversation,
            message=message,
            id=submission.client_message_id,
            run=receipt.run,
        )
        if receipt.created:
            await self._quietly(
                self._log.begin(receipt.conversation, submission.principal, receipt.generation)
            )
        append = Append(
            conversation=receipt.conversation,
            generation=receipt.generation,
            run=receipt.run,
            kind="message",
            events=(encode(event),),
        )
        (generation, appended), _ = await asyncio.gather(
            self._append(submission.principal, append),
            self._remember(receipt.conversation, StoredMessage(message=message, run=receipt.run)),
        )
        if appended is None or appended.status != "ok":
            return unknown
        return Cursor(generation, appended.n - 1)

    async def _announce_end(self, start: RunStart, outcome: Outcome, committed: Committed) -> None:
        final = outcome if committed.state == outcome.state else outcome.stopped()
        ended = run_ended(start.conversation, start.run, final, committed.answer, committed.seq)
        append = Append(
            conversation=start.conversation,
            generation=start.generation,
            run=start.run,
            kind="end",
            epoch=start.epoch,
            events=(encode(ended),),
        )
        if committed.answer is None:
            await self._append(start.principal, append)
            return
        answer = Message(
            id=committed.answer,
            seq=committed.seq,
            role="assistant",
            text=outcome.text,
            agent=outcome.agent,
            model=outcome.model,
            reply_to=start.message,
            status="complete" if committed.state == "completed" else committed.state,
            created_at=committed.created_at,
        )
        await self._remember(start.conversation, StoredMessage(message=answer, run=start.run))
        await self._append(start.principal, append)

    async def _append(self, principal: Principal, append: Append) -> tuple[int, Appended | None]:
        """Appends to the log as it is, or to one begun again; answers in which generation."""
        try:
            appended = await self._appends.submit(append)
            if appended.status != "absent":
                return append.generation, appended
            generation = await self._begin_log_again(
                principal, append.conversation, append.generation, append.run
            )
            again = replace(append, generation=generation)
            return generation, await self._appends.submit(again)
        except Unavailable as error:
            log.warning("event not announced", run=append.run, error=str(error))
            return append.generation, None

    async def _begin_log_again(
        self, principal: Principal, conversation: str, generation: int, announcing: str = ""
    ) -> int:
        """The generation of a new log. The message of the `announcing` run is yet to come."""
        raised = await self._runs.raise_generation(conversation, generation)
        unfinished = await self._conversations.unfinished(principal, conversation)
        others = [run for run in unfinished if run != announcing]
        return await self._log.begin(conversation, principal, raised, others)

    async def _remember(self, conversation: str, stored: StoredMessage) -> None:
        await self._quietly(self._cache.remember(conversation, [stored]))

    @staticmethod
    async def _quietly(step: Awaitable[object]) -> None:
        """Awaits a step that Redis being down may cost: Postgres has what it would have said."""
        try:
            await step
        except Unavailable as error:
            log.warning("hot copy passed over", error=str(error))


def _refusal(outcome: str) -> ParleyError:
    match outcome:
        case "conflict":
            return Conflict("The client message id is used for another message.")
        case "busy":
            return Busy("The conversation is answering another message.", retry_after_s=1.0)
        case _:
            return NotFound("There is no such conversation.")
