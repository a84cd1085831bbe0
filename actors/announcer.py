"""The announcer tells conversations' logs what was committed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from actors.batching import Batcher
from actors.core.cursors import Cursor
from actors.core.errors import Unavailable
from actors.core.events import MessageAdded, encode, run_ended
from actors.core.log_folding import FoldedRun, fold
from actors.core.runs import Outcome
from actors.stores.event_log import Append
from actors.stores.redis import unless_down

if TYPE_CHECKING:
    from actors.background import Background
    from actors.core.messages import Message, Principal
    from actors.core.runs import RunStart, Submission
    from actors.stores.conversations import Conversations
    from actors.stores.event_log import Appended, EventLog
    from actors.stores.run_records import Committed, Receipt, StopResult, Unannounced
    from actors.stores.runs import Runs

log = structlog.get_logger()

_TOLD = {"ok", "known", "fenced"}
"""Fenced: a later epoch ends the run, and announces that."""
_NOWHERE = Cursor(0, 0)
"""A cursor of no log: whoever attaches there gets a snapshot."""


class Announcer:
    """Appends to the log that there is, or to one begun again as a new generation.

    Where Redis is down nothing is announced, and nobody waits for it: what was committed is told
    by the next snapshot.
    """

    def __init__(
        self, event_log: EventLog, runs: Runs, conversations: Conversations, background: Background
    ) -> None:
        self._log = event_log
        self._runs = runs
        self._conversations = conversations
        self._background = background
        self._appends = Batcher(event_log.append, background, name="append")
        self._marks = Batcher(runs.mark_announced, background, name="mark announced")

    async def message(self, submission: Submission, receipt: Receipt, message: Message) -> Cursor:
        """Announces a fresh message; answers the cursor just before its event."""
        if receipt.created:
            await unless_down(
                self._log.begin(receipt.conversation, submission.principal, receipt.generation)
            )
        event = MessageAdded(
            conversation=receipt.conversation,
            message=message,
            id=submission.client_message_id,
            run=receipt.run,
        )
        append = Append(
            conversation=receipt.conversation,
            generation=receipt.generation,
            run=receipt.run,
            kind="message",
            events=(encode(event),),
        )
        generation, appended = await self._append(submission.principal, append)
        if appended is None or appended.status != "ok":
            return _NOWHERE
        return Cursor(generation, appended.n - 1)

    async def cursor_before(self, conversation: str, message: str) -> Cursor:
        """The cursor just before the event of a message that was announced earlier."""
        found = await unless_down(self._log.cursor_before_message(conversation, message))
        return found or _NOWHERE

    async def ended(self, start: RunStart, outcome: Outcome, committed: Committed) -> None:
        """Announces a run's end, as it was committed."""
        final = outcome if committed.state == outcome.state else outcome.stopped()
        event = run_ended(start.conversation, start.run, final, committed.answer, committed.seq)
        append = Append(
            conversation=start.conversation,
            generation=start.generation,
            run=start.run,
            kind="end",
            epoch=start.epoch,
            events=(encode(event),),
        )
        await self._end(start.principal, append)

    async def ended_unheard(self, missed: Unannounced) -> None:
        """Announces an end that was committed by somebody who could not announce it.

        Where the log does not hold the whole answer, it is begun again, and a snapshot tells it.
        """
        conversation, generation = missed.conversation, missed.generation
        held = await self._log.held(conversation)
        told = fold(entry.event for entry in held).get(missed.run, FoldedRun())
        if told.ended:
            await self._marks.submit(missed.run)
            return
        outcome = replace(missed.outcome, deltas=tuple(told.deltas))
        if outcome.text != missed.outcome.text:
            outcome = missed.outcome
            generation = await self.begin_again(missed.principal, conversation, generation)
        event = run_ended(conversation, missed.run, outcome, missed.answer, missed.seq)
        append = Append(
            conversation=conversation,
            generation=generation,
            run=missed.run,
            kind="end",
            epoch=missed.epoch,
            events=(encode(event),),
        )
        await self._end(missed.principal, append)

    async def stopped_in_queue(self, principal: Principal, run: str, result: StopResult) -> None:
        """Announces the end of a run that was stopped before anybody had begun it."""
        event = run_ended(result.conversation, run, Outcome(state="stopped"), None, None)
        append = Append(
            conversation=result.conversation,
            generation=result.generation,
            run=run,
            kind="end",
            events=(encode(event),),
        )
        await self._end(principal, append)

    async def begin_again(
        self, principal: Principal, conversation: str, generation: int, announcing: str = ""
    ) -> int:
        """The generation of a new log, in which the unfinished runs count as announced.

        All but the `announcing` one: its message is about to be appended.
        """
        raised = await self._runs.raise_generation(conversation, generation)
        unfinished = await self._conversations.unfinished(principal, conversation)
        others = [run for run in unfinished if run != announcing]
        return await self._log.begin(conversation, principal, raised, others)

    async def _end(self, principal: Principal, append: Append) -> None:
        _, appended = await self._append(principal, append)
        if appended is not None and appended.status in _TOLD:
            self._background.start(self._mark(append.run), name=f"mark {append.run}")

    async def _mark(self, run: str) -> None:
        """Should this fail, the end is looked for in the log once more, and found."""
        with suppress(Unavailable):
            await self._marks.submit(run)

    async def _append(self, principal: Principal, append: Append) -> tuple[int, Appended | None]:
        try:
            appended = await self._appends.submit(append)
            if appended.status != "absent":
                return append.generation, appended
            generation = await self.begin_again(
                principal, append.conversation, append.generation, append.run
            )
            again = replace(append, generation=generation)
            return generation, await self._appends.submit(again)
        except Unavailable as error:
            log.warning("event not announced", run=append.run, error=str(error))
            return append.generation, None
