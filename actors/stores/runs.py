"""Runs in Postgres: accepted, begun, renewed, stopped, finished."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb
from uuid_utils import uuid7

from actors.core.errors import NotFound
from actors.core.messages import Principal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from actors.core.runs import FinalState, Outcome, Submission
    from actors.stores.postgres import Postgres, Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of one submission. `outcome` other than accepted leaves the rest unset."""

    outcome: str
    conversation: str = ""
    message: str = ""
    run: str = ""
    seq: int = 0
    created_at: str = ""
    generation: int = 0
    fresh: bool = False
    created: bool = False
    ready: bool = False
    interrupted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A run taken by an owner, with what its conversation's row says."""

    run: str
    principal: Principal
    conversation: str
    message: str
    message_seq: int
    requested_agent: str | None
    sticky_agent: str | None
    epoch: int
    stopping: bool
    generation: int
    metadata: dict[str, Any]
    summary: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """An outcome to commit, fenced by the epoch."""

    run: str
    epoch: int
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A finished run as committed: a stop may have won over what its producer says."""

    run: str
    state: FinalState
    answer: str | None
    seq: int | None
    created_at: str
    next_run: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopResult:
    """`state` is the run's state after the stop."""

    conversation: str
    generation: int
    state: str
    changed: bool
    next_run: str | None


class Runs:
    """The runs' table. Leases are given in seconds."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def accept(self, batch: Sequence[Submission], lease_s: float) -> list[Receipt]:
        """Commits the submissions together; a receipt each, in their order."""
        rows = await self._postgres.call(
            "SELECT * FROM accept_messages(%(batch)s, make_interval(secs => %(lease)s))",
            {"batch": Jsonb([_submitted(i, s) for i, s in enumerate(batch)]), "lease": lease_s},
        )
        by_order = {row["ord"]: _receipt(row) for row in rows}
        return [by_order[i] for i in range(len(batch))]

    async def begin(self, ids: Sequence[str], owner: str, lease_s: float) -> list[Claim]:
        """Takes queued runs; those that are not to be begun are left out."""
        rows = await self._postgres.call(
            """SELECT * FROM begin_runs(%(ids)s::uuid[], %(owner)s,
                                        make_interval(secs => %(lease)s))""",
            {"ids": list(ids), "owner": owner, "lease": lease_s},
        )
        return [_claim(row) for row in rows]

    async def claim_expired(self, owner: str, lease_s: float, at_most: int) -> list[Claim]:
        rows = await self._postgres.call(
            """SELECT * FROM claim_expired_runs(%(owner)s, make_interval(secs => %(lease)s),
                                                %(at_most)s)""",
            {"owner": owner, "lease": lease_s, "at_most": at_most},
        )
        return [_claim(row) for row in rows]

    async def renew(self, held: Iterable[tuple[str, int]], lease_s: float) -> dict[str, bool]:
        """Run → whether it is being stopped, for those still held in that epoch."""
        rows = await self._postgres.call(
            "SELECT * FROM renew_leases(%(held)s, make_interval(secs => %(lease)s))",
            {"held": _held(held), "lease": lease_s},
        )
        return {row["run_id"]: row["stopping"] for row in rows}

    async def release(self, held: Iterable[tuple[str, int]]) -> None:
        await self._postgres.call("SELECT release_leases(%(held)s)", {"held": _held(held)})

    async def finish(self, batch: Sequence[Completion]) -> list[Committed | None]:
        """What was committed, in their order; None for a run of another epoch, or ended before."""
        rows = await self._postgres.call(
            "SELECT * FROM finish_runs(%(batch)s)",
            {"batch": Jsonb([_completed(completion) for completion in batch])},
        )
        committed = {
            row["run_id"]: Committed(
                run=row["run_id"],
                state=row["state"],
                answer=row["answer_id"],
                seq=row["seq"],
                created_at=timestamp(row["created_at"]),
                next_run=row["next_run"],
            )
            for row in rows
        }
        # Of several epochs of a run only the latest can have been committed.
        latest = {c.run: c.epoch for c in sorted(batch, key=lambda c: c.epoch)}
        return [committed.get(c.run) if c.epoch == latest[c.run] else None for c in batch]

    async def stop(self, principal: Principal, run: str) -> StopResult:
        """Persists the wish to stop; again, or after the run's end, it changes nothing.

        Raises:
            NotFound: the user has no such run.
        """
        ids = {"run": run, "user": principal.user_id}
        async with self._postgres.tenant(principal.org_id) as tenant:
            await tenant.row("lock_conversation_of_run", ids)
            changed = await tenant.row("stop_run", ids)
            row = changed or await tenant.row("state_of_run", ids)
            if row is None:
                raise NotFound("There is no such run.")
            following = await tenant.row("next_run", {"conversation": row["conversation"]})
        return StopResult(
            conversation=row["conversation"],
            generation=row["generation"],
            state=row["state"],
            changed=changed is not None,
            next_run=following["id"] if following else None,
        )

    async def raise_generation(self, conversation: str, seen: int) -> int:
        """The conversation's generation, raised if it was still the one seen.

        Raises:
            NotFound: the conversation is gone.
        """
        rows = await self._postgres.call(
            "SELECT raise_generation(%(conversation)s, %(seen)s) AS generation",
            {"conversation": conversation, "seen": seen},
        )
        generation: int | None = rows[0]["generation"]
        if generation is None:
            raise NotFound("There is no such conversation.")
        return generation


def timestamp(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


def _held(held: Iterable[tuple[str, int]]) -> Jsonb:
    return Jsonb([{"run_id": run, "epoch": epoch} for run, epoch in held])


def _submitted(order: int, submission: Submission) -> dict[str, Any]:
    return {
        "ord": order,
        "org_id": submission.principal.org_id,
        "user_id": submission.principal.user_id,
        "conversation_id": submission.conversation or str(uuid7()),
        "is_new": submission.conversation is None,
        "message_id": str(uuid7()),
        "run_id": str(uuid7()),
        "client_message_id": submission.client_message_id,
        "payload_sha256": submission.payload_sha256(),
        "text": submission.text,
        "agent": submission.agent,
        "metadata": submission.metadata,
    }


def _receipt(row: Row) -> Receipt:
    if row["outcome"] != "accepted":
        return Receipt(outcome=row["outcome"])
    return Receipt(
        outcome="accepted",
        conversation=row["conversation_id"],
        message=row["message_id"],
        run=row["run_id"],
        seq=row["seq"],
        created_at=timestamp(row["created_at"]),
        generation=row["generation"],
        fresh=row["fresh"],
        created=row["created"],
        ready=row["ready"],
        interrupted=tuple(row["interrupted"]),
    )


def _claim(row: Row) -> Claim:
    return Claim(
        run=row["run_id"],
        principal=Principal(org_id=row["org_id"], user_id=row["user_id"]),
        conversation=row["conversation_id"],
        message=row["message_id"],
        message_seq=row["message_seq"],
        requested_agent=row["requested_agent"],
        sticky_agent=row["sticky_agent"],
        epoch=row["epoch"],
        stopping=row["stopping"],
        generation=row["generation"],
        metadata=row["metadata"],
        summary=row["summary"],
    )


def _completed(completion: Completion) -> dict[str, Any]:
    outcome = completion.outcome
    return {
        "run_id": completion.run,
        "epoch": completion.epoch,
        "state": outcome.state,
        "text": outcome.text,
        "answer_id": str(uuid7()),
        "agent": outcome.agent,
        "model": outcome.model,
        "attempts": outcome.attempts,
        "error": outcome.error,
        "input_tokens": outcome.usage.input_tokens,
        "output_tokens": outcome.usage.output_tokens,
    }
