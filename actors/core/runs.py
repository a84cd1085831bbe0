"""The production of one answer: what is submitted, begun, produced and finished."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import orjson

from actors.core.completion import Usage

if TYPE_CHECKING:
    from actors.core.completion import CompletionRequest, FinishReason
    from actors.core.events import Durability
    from actors.core.messages import Context, Principal

LEASE_S = 3.0
"""How long a run stays its owner's unless that renews it."""

FinalState = Literal["completed", "failed", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A user's message on its way in. `conversation` is None for a new one."""

    principal: Principal
    client_message_id: str
    conversation: str | None
    text: str
    agent: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def payload_sha256(self) -> str:
        """Equal for equal payloads: a repetition of the id must say the same again."""
        payload = [self.conversation, self.text, self.agent, self.metadata]
        return hashlib.sha256(orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What `accepted` says, and what the gateway needs to go on."""

    conversation: str
    message: str
    run: str
    seq: int | None
    durability: Durability
    cursor: str | None
    """Just before the message's own event; None where only a snapshot can tell of it."""
    ready: bool
    """No earlier run of the conversation is unfinished: an orchestrator may begin this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What readers have of a run: whether `run.started` was told, and its deltas."""

    started: bool = False
    deltas: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return "".join(self.deltas)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStart:
    """A run taken by an owner: the epoch fences whoever held it before."""

    run: str
    epoch: int
    principal: Principal
    conversation: str
    generation: int
    message: str
    requested_agent: str | None
    sticky_agent: str | None
    stopping: bool
    context: Context
    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRequest:
    """What an agent is asked: to answer the context's last message, into the run's log."""

    run: str
    epoch: int
    conversation: str
    generation: int
    progress: Progress
    """What earlier attempts left in the log; the answer goes on from there."""
    context: Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Production:
    """What a client pool is asked: a completion, into the run's log, within deadlines (s)."""

    run: str
    epoch: int
    conversation: str
    generation: int
    progress: Progress
    started: bytes
    """The `run.started` event, for a log that does not have it."""
    continues: bool
    """The request holds the text so far as a prefill; else the answer is begun again, and what
    readers have already is not sent again."""
    request: CompletionRequest
    timeout_s: float
    first_token_timeout_s: float
    idle_timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a run: `deltas` are what its log holds, or would if it were not lost."""

    state: FinalState
    deltas: tuple[str, ...] = ()
    finish_reason: FinishReason = "stop"
    agent: str | None = None
    model: str | None = None
    usage: Usage = field(default_factory=Usage)
    attempts: int = 1
    error: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        return "".join(self.deltas)

    def stopped(self) -> Outcome:
        """The same, ended by a stop that was committed first."""
        return replace(self, state="stopped", error=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A run's end as committed; `next_run` of its conversation may begin now."""

    state: FinalState
    next_run: str | None
