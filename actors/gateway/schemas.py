"""The JSON of the HTTP interface, as its OpenAPI document describes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from actors.core.frames import ClientMessageId, JsonObject, Name, Text, storable
from actors.core.messages import BusyPolicy, MessageStatus, Role

Title = Annotated[str, BeforeValidator(storable), StringConstraints(max_length=200)]


class _In(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class NewMessage(_In):
    id: ClientMessageId
    text: Text
    agent: Name | None = None
    metadata: JsonObject = {}


class NewConversation(_In):
    title: Title | None = None
    metadata: JsonObject = {}
    busy: BusyPolicy = "queue"


class ConversationChanges(_In):
    """Fields that are absent stay as they are."""

    title: Title | None = None
    metadata: JsonObject | None = None
    busy: BusyPolicy | None = None


class Profile(BaseModel):
    """What agents are told of a user. Other keys are kept as they are given."""

    model_config = ConfigDict(extra="allow")

    name: Any = None
    language: Any = None
    preferences: Any = None


class Me(Profile):
    id: str


class Conversation(_Out):
    id: str
    title: str | None
    metadata: dict[str, Any]
    busy: BusyPolicy
    created_at: str
    updated_at: str


class ConversationPage(_Out):
    data: list[Conversation]
    next: str | None


class Message(_Out):
    id: str
    seq: int | None
    role: Role
    text: str
    agent: str | None
    model: str | None
    reply_to: str | None
    status: MessageStatus
    created_at: str
    metadata: dict[str, Any]


class MessagePage(_Out):
    data: list[Message]
    has_more: bool


class AcceptedMessage(_Out):
    type: Literal["accepted"] = "accepted"
    id: str
    conversation: str
    message: str
    run: str
    seq: int | None
    durability: Literal["committed", "pending"]


class Ticket(_Out):
    ticket: str
    expires_in: int


class Readiness(_Out):
    ready: bool
    degraded: list[str]
    simulated: list[str]


class Health(_Out):
    status: Literal["ok"] = "ok"


class Stopping(_Out):
    run: str


class ErrorDetail(BaseModel):
    message: str
    type: str
    code: str
    param: str | None = None
    retryable: bool = False
    retry_after_s: float | None = Field(default=None, exclude_if=lambda value: value is None)


class ErrorBody(BaseModel):
    """Every error of the HTTP interface, in OpenAI's shape."""

    error: ErrorDetail
