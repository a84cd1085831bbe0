"""The announcer tells conversations' logs what was committed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from actors.batching import Batcher
from actors.core.cursors import Cursor
from actors.core.errors import Unavailable
from actors.core.events import Delta, MessageAdded, RunStarted, encode, run_ended
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
    from actors.stores.run_records import Claim, Committed, Receipt, StopResult, Unannounced
    from actors.stores.runs import Runs

log = structlog.get_logger()

_ANY_EPOCH = 2**31 - 1
"""Above all that are minted: a deleted conversation's runs have no owner."""

_TOLD = {"ok", "known", "fenced"}
"""Fenced: a later epoch ends the run, and announces that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ending:
    """A run's end, to be told."""

    run: str
    conversation: str
    outcome: Outcome
    epoch: int = 0
    message: str = ""
    answer: str | None = None
    seq: int | None = None

    def event(self) -> bytes:
        return encode(run_ended(self.conversation, self.run, self.outcome, self.answer, self.seq))

    def _whole(self) -> _Ending:
        """The same, the text being one delta."""
        text = self.outcome.text
        return replace(self, outcome=replace(self.outcome, deltas=(text,) if text else ()))

    def text_events(self) -> list[bytes]:
        """What comes before the end in a log that knows nothing of the run."""
        if self.outcome.agent is None:
            return []
        names = {"conversation": self.conversation, "run": self.run}
        started = RunStarted(
            **names,
            agent=self.outcome.agent,
            model=self.outcome.model or "",
            reply_to=self.message,
        )
        deltas = [
            Delta(**names, index=index, text=text) for index, text in enumerate(self.outcome.deltas)
        ]
        return [encode(started), *(encode(delta) for delta in deltas)]

    def append(self, generation: int) -> Append:
        """The end alone, for a log that holds all that came before."""
        return self._append(generation, [self.event()], index=len(self.outcome.deltas))

    def append_whole(self, generation: int) -> Append:
        """All of the run, for a log that holds nothing of it; its text is one delta there."""
        whole = self._whole()
        return self._append(generation, [*whole.text_events(), whole.event()], index=0)

    def _append(self, generation: int, events: list[bytes], index: int) -> Append:
        return Append(
            conversation=self.conversation,
            generation=generation,
            run=self.run,
            kind="end",
            epoch=self.epoch,
            index=index,
            events=events,
        )


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

    async def message(
        self, submission: Submission, receipt: Receipt, message: Message
    ) -> Cursor | None:
        """Announces a message; answers the cursor just before its event, where it has one."""
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
        generation, appended = await self._announce(submission.principal, receipt.generation, event)
        if appended is None or appended.status != "ok":
            return None
        return Cursor(generation, appended.n - 1)

    async def message_again(self, claim: Claim, message: Message) -> None:
        """Announces the message of a run that is taken over, in case nobody has."""
        event = MessageAdded(
            conversation=claim.conversation,
            message=message,
            id=claim.client_message_id,
            run=claim.run,
        )
        await self._announce(claim.principal, claim.generation, event)

    async def cursor_before(self, conversation: str, message: str) -> Cursor | None:
        """The cursor just before the event of a message that was announced earlier."""
        return await unless_down(self._log.cursor_before_message(conversation, message))

    async def ended(self, start: RunStart, outcome: Outcome, committed: Committed) -> None:
        """Announces a run's end, as it was committed."""
        final = outcome if committed.state == outcome.state else outcome.stopped()
        ending = _Ending(
            run=start.run,
            epoch=start.epoch,
            conversation=start.conversation,
            message=start.message,
            answer=committed.answer,
            seq=committed.seq,
            outcome=final,
        )
        await self._end(start.principal, ending, start.generation)

    async def ended_unheard(self, missed: Unannounced) -> None:
        """Announces an end that was committed by somebody who could not announce it.

        Where the log does not hold the whole answer, it is begun again, and tells it whole.
        """
        held = await self._log.held(missed.conversation)
        told = fold(entry.event for entry in held).get(missed.run, FoldedRun())
        if told.ended:
            await self._marks.submit(missed.run)
            return
        ending = _Ending(
            run=missed.run,
            epoch=missed.epoch,
            conversation=missed.conversation,
            message=missed.message,
            answer=missed.answer,
            seq=missed.seq,
            outcome=replace(missed.outcome, deltas=tuple(told.deltas)),
        )
        if ending.outcome.text == missed.outcome.text:
            await self._end(missed.principal, ending, missed.generation)
        else:
            whole = replace(ending, outcome=missed.outcome)
            await self._end_whole(missed.principal, whole, missed.generation)

    async def stopped_in_queue(self, principal: Principal, run: str, result: StopResult) -> None:
        """Announces the end of a run that was stopped before anybody had begun it."""
        ending = _Ending(
            run=run, conversation=result.conversation, outcome=Outcome(state="stopped")
        )
        await self._end(principal, ending, result.generation)

    async def stopped_by_deletion(self, conversation: str, run: str) -> None:
        """Seals a run of a conversation that is deleted, and tells those who watch of its end."""
        await self._log.seal(conversation, run)
        generation = await self._log.generation(conversation)
        if generation is None:
            return
        held = await self._log.held(conversation)
        told = fold(entry.event for entry in held).get(run, FoldedRun())
        outcome = Outcome(state="stopped", deltas=tuple(told.deltas))
        ending = _Ending(run=run, epoch=_ANY_EPOCH, conversation=conversation, outcome=outcome)
        await self._appends.submit(ending.append(generation))

    async def begin_again(
        self,
        principal: Principal,
        conversation: str,
        generation: int,
        *,
        announcing: str | None = None,
        untold: str | None = None,
    ) -> int:
        """The generation of a new log, in which the messages of unfinished runs are announced.

        Not that of the `announcing` run, which is about to be appended; and that of the `untold`
        one, whose end is committed but is about to be appended.
        """
        raised = await self._runs.raise_generation(conversation, generation)
        unfinished = await self._conversations.unfinished(principal, conversation)
        runs = [run for run in unfinished if run != announcing]
        if untold is not None and untold not in runs:
            runs.append(untold)
        return await self._log.begin(conversation, principal, raised, runs)

    async def _end(self, principal: Principal, ending: _Ending, generation: int) -> None:
        try:
            appended = await self._appends.submit(ending.append(generation))
            if appended.status == "absent":
                # The run's producer may have begun another log, and told it everything.
                generation = await self.begin_again(
                    principal, ending.conversation, generation, untold=ending.run
                )
                appended = await self._appends.submit(ending.append(generation))
            if appended.status == "gap":
                await self._end_whole(principal, ending, generation)
            elif appended.status in _TOLD:
                self._background.start(self._mark(ending.run), name=f"mark {ending.run}")
        except Unavailable as error:
            log.warning("end not announced", run=ending.run, error=str(error))

    async def _end_whole(self, principal: Principal, ending: _Ending, generation: int) -> None:
        """Tells the run in a new log, all of it in one append."""
        generation = await self.begin_again(
            principal, ending.conversation, generation, untold=ending.run
        )
        appended = await self._appends.submit(ending.append_whole(generation))
        if appended.status in _TOLD:
            self._background.start(self._mark(ending.run), name=f"mark {ending.run}")

    async def _mark(self, run: str) -> None:
        """Should this fail, the end is looked for in the log once more, and found."""
        with suppress(Unavailable):
            await self._marks.submit(run)

    async def _announce(
        self, principal: Principal, generation: int, event: MessageAdded
    ) -> tuple[int, Appended | None]:
        """Appends a message's event, if the log lacks it; answers in which generation."""
        append = Append(
            conversation=event.conversation,
            generation=generation,
            run=event.run,
            kind="message",
            events=(encode(event),),
        )
        try:
            appended = await self._appends.submit(append)
            if appended.status != "absent":
                return generation, appended
            generation = await self.begin_again(
                principal, event.conversation, generation, announcing=event.run
            )
            return generation, await self._appends.submit(replace(append, generation=generation))
        except Unavailable as error:
            log.warning("message not announced", run=event.run, error=str(error))
            return generation, None
