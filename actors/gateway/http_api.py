"""The HTTP interface beside the socket: conversations, messages, events, tickets, health."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Body, Depends, Header, Query, Request, Response, Security
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPBearer

from actors.calls import ask
from actors.core.cursors import Cursor
from actors.core.errors import InvalidRequest, ParleyError, TooLarge
from actors.core.frames import storable
from actors.core.messages import Principal
from actors.gateway import schemas
from actors.gateway.authentication import bearer
from actors.gateway.event_stream import MEDIA_TYPE, EventStream
from actors.stores.credentials import TICKET_S

if TYPE_CHECKING:
    from actors.gateway.services import Services

_CONVERSATION = "/v1/conversations/{conversation}"
_MAX_PROFILE_BYTES = 16_384
_ERRORS = {
    400: "The request is not valid",
    401: "Not authenticated",
    404: "There is no such thing of this user's",
    409: "The id is used for another message, or the conversation is busy",
    413: "Over a limit",
    503: "A part of the server is down; Retry-After says when to come again",
}
_SSE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-Sent Events: id is the cursor, event the type, data the frame",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
    }
}
_SCHEME = HTTPBearer(auto_error=False, description="An API key")


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route answers beside its success, for the OpenAPI document."""
    answers: dict[int | str, dict[str, Any]] = {
        status: {"model": schemas.ErrorBody, "description": _ERRORS[status]} for status in statuses
    }
    return answers | {
        "default": {"model": schemas.ErrorBody, "description": "Every error has this shape"}
    }


async def _caller(request: Request, _: Annotated[Any, Security(_SCHEME)]) -> Principal:
    services: Services = request.app.state.services
    return await services.authentication.by_key(bearer(request.headers))


Caller = Annotated[Principal, Depends(_caller)]


def router(services: Services) -> APIRouter:
    """The routes, over a gateway's services."""
    api = APIRouter()
    _add_session(api, services)
    _add_conversations(api, services)
    _add_messages(api, services)
    _add_runs(api, services)
    _add_health(api, services)
    return api


def _add_session(api: APIRouter, services: Services) -> None:
    @api.post("/v1/tickets", tags=["session"], responses=_errors(401, 503))
    async def create_ticket(principal: Caller) -> schemas.Ticket:
        ticket = await ask(services.context, "issue_ticket", principal)
        return schemas.Ticket(ticket=ticket, expires_in=TICKET_S)

    @api.get("/v1/me", tags=["session"], responses=_errors(401, 503))
    async def get_me(principal: Caller) -> schemas.Me:
        return _me(principal, await ask(services.context, "profile", principal))

    @api.patch("/v1/me", tags=["session"], responses=_errors(400, 401, 413, 503))
    async def change_me(
        principal: Caller, changes: Annotated[dict[str, Any], Body()]
    ) -> schemas.Me:
        held = await ask(services.context, "profile", principal)
        _check_profile(held, changes)
        known = {key: value for key, value in changes.items() if key != "id"}
        return _me(principal, await ask(services.context, "merge_profile", principal, known))


def _add_conversations(api: APIRouter, services: Services) -> None:
    async def ask_conversations(method: str, principal: Principal, *arguments: Any) -> Any:
        return await ask(services.context, "conversations", method, principal, *arguments)

    @api.get("/v1/conversations", tags=["conversations"], responses=_errors(400, 401, 503))
    async def list_conversations(
        principal: Caller,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        page: str | None = None,
    ) -> schemas.ConversationPage:
        after = None if page is None else decode_page(page)
        found = await ask_conversations("newest", principal, limit + 1, after)
        last = found[limit - 1] if len(found) > limit else None
        return schemas.ConversationPage(
            data=[schemas.Conversation.model_validate(c) for c in found[:limit]],
            next=encode_page(last.updated_at, last.id) if last else None,
        )

    @api.post(
        "/v1/conversations",
        status_code=201,
        tags=["conversations"],
        responses=_errors(400, 401, 413, 503),
    )
    async def create_conversation(
        principal: Caller, new: schemas.NewConversation | None = None
    ) -> schemas.Conversation:
        new = new or schemas.NewConversation()
        made = await ask_conversations("create", principal, new.title, new.metadata, new.busy)
        return schemas.Conversation.model_validate(made)

    @api.get(_CONVERSATION, tags=["conversations"], responses=_errors(400, 401, 404, 503))
    async def get_conversation(principal: Caller, conversation: UUID) -> schemas.Conversation:
        found = await ask_conversations("get", principal, str(conversation))
        return schemas.Conversation.model_validate(found)

    @api.patch(_CONVERSATION, tags=["conversations"], responses=_errors(400, 401, 404, 413, 503))
    async def change_conversation(
        principal: Caller, conversation: UUID, changes: schemas.ConversationChanges
    ) -> schemas.Conversation:
        given = changes.model_dump(exclude_unset=True)
        changed = await ask_conversations("update", principal, str(conversation), given)
        return schemas.Conversation.model_validate(changed)

    @api.delete(
        _CONVERSATION,
        status_code=204,
        tags=["conversations"],
        responses=_errors(400, 401, 404, 503),
    )
    async def delete_conversation(principal: Caller, conversation: UUID) -> None:
        await ask(services.context, "delete_conversation", principal, str(conversation))


def _add_messages(api: APIRouter, services: Services) -> None:
    @api.get(f"{_CONVERSATION}/messages", tags=["messages"], responses=_errors(400, 401, 404, 503))
    async def list_messages(
        principal: Caller,
        conversation: UUID,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        before: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
    ) -> schemas.MessagePage:
        messages, has_more = await ask(
            services.context, "conversations", "page", principal, str(conversation), before, limit
        )
        return schemas.MessagePage(
            data=[schemas.Message.model_validate(m) for m in messages], has_more=has_more
        )

    @api.post(
        f"{_CONVERSATION}/messages",
        status_code=202,
        response_model=schemas.AcceptedMessage,
        responses={**_SSE, **_errors(400, 401, 404, 409, 413, 503)},
        tags=["messages"],
    )
    async def send_message(
        principal: Caller,
        conversation: UUID,
        new: schemas.NewMessage,
        accept: Annotated[str, Header()] = "",
    ) -> Any:
        submission = services.submission(
            principal, new.id, str(conversation), new.text, new.agent, new.metadata
        )
        accepted = await services.accept(submission)
        if MEDIA_TYPE in accept:
            before = Cursor.parse(accepted.cursor) if accepted.cursor else None
            return await EventStream.open(
                services.hub,
                accepted.conversation,
                principal,
                before,
                keep_alive_s=services.settings.http.heartbeat_s,
                run=accepted.run,
            )
        return schemas.AcceptedMessage(
            id=new.id,
            conversation=accepted.conversation,
            message=accepted.message,
            run=accepted.run,
            seq=accepted.seq,
            durability=accepted.durability,
        )


def _add_runs(api: APIRouter, services: Services) -> None:
    @api.get(
        f"{_CONVERSATION}/events",
        response_class=StreamingResponse,
        responses={**_SSE, **_errors(400, 401, 404, 503)},
        tags=["messages"],
    )
    async def read_events(
        principal: Caller,
        conversation: UUID,
        after: str | None = None,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> Response:
        known = last_event_id or after
        cursor = Cursor.parse(known) if known else None
        return await EventStream.open(
            services.hub,
            str(conversation),
            principal,
            cursor,
            keep_alive_s=services.settings.http.heartbeat_s,
        )

    @api.post(
        "/v1/runs/{run}/stop",
        status_code=202,
        tags=["messages"],
        responses=_errors(400, 401, 404, 503),
    )
    async def stop_run(principal: Caller, run: UUID) -> schemas.Stopping:
        await services.stop(principal, str(run))
        return schemas.Stopping(run=str(run))


def _add_health(api: APIRouter, services: Services) -> None:
    @api.get("/healthz", tags=["health"])
    async def health() -> schemas.Health:
        return schemas.Health()

    @api.get("/readyz", tags=["health"], responses={503: {"model": schemas.Readiness}})
    async def readiness(response: Response) -> schemas.Readiness:
        try:
            degraded = await ask(services.context, "degraded")
        except ParleyError:
            degraded = ["postgres"]
        ready = "postgres" not in degraded
        response.status_code = 200 if ready else 503
        return schemas.Readiness(ready=ready, degraded=degraded, simulated=list(services.simulated))


def _me(principal: Principal, profile: dict[str, Any]) -> schemas.Me:
    return schemas.Me(**profile | {"id": principal.user_id})


def _check_profile(held: dict[str, Any], changes: dict[str, Any]) -> None:
    try:
        storable(changes)
    except ValueError as error:
        raise InvalidRequest(f"The profile {error}.") from None
    if len(orjson.dumps(held | changes)) > _MAX_PROFILE_BYTES:
        raise TooLarge(f"A profile has at most {_MAX_PROFILE_BYTES} bytes.")


def encode_page(updated_at: str, conversation: str) -> str:
    """Where a page of conversations ends; opaque to clients."""
    return base64.urlsafe_b64encode(f"{updated_at} {conversation}".encode()).decode().rstrip("=")


def decode_page(page: str) -> tuple[str, str]:
    """Raises InvalidRequest."""
    try:
        text = base64.urlsafe_b64decode(page + "=" * (-len(page) % 4)).decode()
        updated_at, conversation = text.split(" ")
        moment = datetime.fromisoformat(updated_at).astimezone(UTC)
        return moment.isoformat(), str(UUID(conversation))
    except (ValueError, OverflowError):
        raise InvalidRequest("The page is malformed.") from None
