"""The HTTP interface beside the socket: conversations, messages, events, tickets, health."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Body, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from actors.calls import ask
from actors.core.cursors import Cursor
from actors.core.errors import InvalidRequest, ParleyError, TooLarge
from actors.core.frames import storable
from actors.core.messages import Principal
from actors.gateway import schemas
from actors.gateway.authentication import bearer
from actors.gateway.event_stream import EventStream, until_run_ends
from actors.stores.credentials import TICKET_S

if TYPE_CHECKING:
    from actors.core.runs import Accepted
    from actors.gateway.services import Services

_EVENT_STREAM = "text/event-stream"
_MAX_PROFILE_BYTES = 16_384
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.ErrorBody, "description": what}
    for status, what in {
        400: "The request is not valid",
        401: "Not authenticated",
        404: "There is no such thing",
        503: "A part of the server is down",
    }.items()
}
_SSE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-Sent Events: id is the cursor, event the type, data the frame",
        "content": {_EVENT_STREAM: {"schema": {"type": "string"}}},
    }
}


async def _caller(request: Request) -> Principal:
    services: Services = request.app.state.services
    return await services.authentication.by_key(bearer(request.headers))


Caller = Annotated[Principal, Depends(_caller)]


def router(services: Services) -> APIRouter:
    """The routes, over a gateway's services."""
    api = APIRouter(responses=_ERRORS)

    @api.post("/v1/tickets", tags=["session"])
    async def create_ticket(principal: Caller) -> schemas.Ticket:
        ticket = await ask(services.context, "issue_ticket", principal)
        return schemas.Ticket(ticket=ticket, expires_in=TICKET_S)

    @api.get("/v1/me", tags=["profile"])
    async def get_me(principal: Caller) -> schemas.Me:
        profile = await ask(services.context, "profile", principal)
        return schemas.Me(**profile | {"id": principal.user_id})

    @api.patch("/v1/me", tags=["profile"])
    async def change_me(
        principal: Caller, changes: Annotated[dict[str, Any], Body()]
    ) -> schemas.Me:
        profile = await ask(services.context, "merge_profile", principal, _profile(changes))
        return schemas.Me(**profile | {"id": principal.user_id})

    @api.get("/v1/conversations", tags=["conversations"])
    async def list_conversations(
        principal: Caller,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        page: str | None = None,
    ) -> schemas.ConversationPage:
        found = await ask(
            services.context, "conversations", "newest", principal, limit + 1, _decode_page(page)
        )
        last = found[limit - 1] if len(found) > limit else None
        return schemas.ConversationPage(
            data=[schemas.Conversation.model_validate(c) for c in found[:limit]],
            next=_encode_page(last.updated_at, last.id) if last else None,
        )

    @api.post("/v1/conversations", status_code=201, tags=["conversations"])
    async def create_conversation(
        principal: Caller, new: schemas.NewConversation
    ) -> schemas.Conversation:
        made = await ask(
            services.context,
            "conversations",
            "create",
            principal,
            new.title,
            new.metadata,
            new.busy,
        )
        return schemas.Conversation.model_validate(made)

    @api.get("/v1/conversations/{conversation}", tags=["conversations"])
    async def get_conversation(principal: Caller, conversation: UUID) -> schemas.Conversation:
        found = await ask(services.context, "conversations", "get", principal, str(conversation))
        return schemas.Conversation.model_validate(found)

    @api.patch("/v1/conversations/{conversation}", tags=["conversations"])
    async def change_conversation(
        principal: Caller, conversation: UUID, changes: schemas.ConversationChanges
    ) -> schemas.Conversation:
        changed = await ask(
            services.context,
            "conversations",
            "update",
            principal,
            str(conversation),
            changes.model_dump(exclude_unset=True),
        )
        return schemas.Conversation.model_validate(changed)

    @api.delete("/v1/conversations/{conversation}", status_code=204, tags=["conversations"])
    async def delete_conversation(principal: Caller, conversation: UUID) -> None:
        await ask(services.context, "delete_conversation", principal, str(conversation))

    @api.get("/v1/conversations/{conversation}/messages", tags=["messages"])
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
        "/v1/conversations/{conversation}/messages",
        status_code=202,
        response_model=schemas.AcceptedMessage,
        responses={**_SSE, 409: {"model": schemas.ErrorBody}, 413: {"model": schemas.ErrorBody}},
        tags=["messages"],
    )
    async def send_message(
        principal: Caller,
        conversation: UUID,
        new: schemas.NewMessage,
        accept: Annotated[str | None, Header()] = None,
    ) -> Any:
        submission = services.submission(
            principal, new.id, str(conversation), new.text, new.agent, new.metadata
        )
        accepted: Accepted = await ask(services.context, "accept", submission)
        if accepted.ready:
            services.start_run(accepted.run)
        if _EVENT_STREAM in (accept or ""):
            events = await EventStream(services.hub).open(
                accepted.conversation, principal, Cursor.parse(accepted.cursor)
            )
            return _streamed(until_run_ends(events, accepted.run))
        return schemas.AcceptedMessage(
            id=new.id,
            conversation=accepted.conversation,
            message=accepted.message,
            run=accepted.run,
            seq=accepted.seq,
            durability=accepted.durability,
        )

    @api.get(
        "/v1/conversations/{conversation}/events",
        response_class=StreamingResponse,
        responses=_SSE,
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
        return _streamed(await EventStream(services.hub).open(str(conversation), principal, cursor))

    @api.post("/v1/runs/{run}/stop", status_code=202, tags=["messages"])
    async def stop_run(principal: Caller, run: UUID) -> schemas.Stopping:
        following = await ask(services.context, "stop", principal, str(run))
        if following is not None:
            services.start_run(following)
        return schemas.Stopping(run=str(run))

    @api.get("/healthz", tags=["health"], responses={})
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

    return api


def _streamed(events: Any) -> StreamingResponse:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type=_EVENT_STREAM, headers=headers)


def _profile(changes: dict[str, Any]) -> dict[str, Any]:
    try:
        storable(changes)
        size = len(orjson.dumps(changes))
    except (ValueError, TypeError) as error:
        raise InvalidRequest(f"The profile {error}.") from None
    if size > _MAX_PROFILE_BYTES:
        raise TooLarge(f"A profile has at most {_MAX_PROFILE_BYTES} bytes.")
    return {key: value for key, value in changes.items() if key != "id"}


def _encode_page(updated_at: str, conversation: str) -> str:
    return base64.urlsafe_b64encode(f"{updated_at} {conversation}".encode()).decode().rstrip("=")


def _decode_page(page: str | None) -> tuple[str, str] | None:
    if page is None:
        return None
    try:
        text = base64.urlsafe_b64decode(page + "=" * (-len(page) % 4)).decode()
        updated_at, conversation = text.split(" ")
        return updated_at, str(UUID(conversation))
    except (ValueError, binascii.Error):
        raise InvalidRequest("The page is malformed.") from None
