"""What people and agents said, and what an agent is given of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["user", "assistant", "system"]
MessageStatus = Literal["complete", "stopped", "failed"]
BusyPolicy = Literal["queue", "reject", "interrupt"]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One immutable entry of a conversation; its JSON is the wire's message object."""

    id: str
    seq: int | None
    role: Role
    text: str
    agent: str | None = None
    model: str | None = None
    reply_to: str | None = None
    status: MessageStatus = "complete"
    created_at: str
    metadata: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage:
    """A message with the run it began or came of."""

    message: Message
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a provider is told that one side said."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What an agent is given. `messages` ends with the message to answer."""

    profile: Json
    messages: tuple[Message, ...]
    metadata: Json
    summary: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who is asking."""

    org_id: str
    user_id: str
    role: Literal["member", "admin"] = "member"
