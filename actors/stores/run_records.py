"""What the runs' table says, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actors.core.messages import Principal
    from actors.core.runs import FinalState, Outcome


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
    queued: bool = False
    """Nobody has begun the run yet."""
    ready: bool = False
    """No earlier run of the conversation is unfinished, and nobody has begun this one."""
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
    partial: str
    """The last checkpoint of the answer."""
    last_seq: int
    """The conversation's newest message."""
    client_message_id: str


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
class Lease:
    """A run that is still its owner's."""

    run: str
    conversation: str
    stopping: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StopResult:
    """`state` is the run's state after the stop."""

    conversation: str
    generation: int
    state: str
    changed: bool
    next_run: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unannounced:
    """A run's committed end that may not have reached its log."""

    run: str
    epoch: int
    principal: Principal
    conversation: str
    generation: int
    message: str
    answer: str | None
    seq: int | None
    outcome: Outcome
    """As far as Postgres knows it: the answer as one delta."""
