"""One WebSocket: the protocol of docs/protocol.md over an ASGI connection."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import structlog

from actors.core.cursors import Cursor
from actors.core.errors import Internal, InvalidRequest, ParleyError, TooLarge, Unauthenticated
from actors.core.frames import (
    Attach,
    Attachment,
    BadFrame,
    Detach,
    Frame,
    Hello,
    Ping,
    Pong,
    Send,
    Stop,
    decode,
    read,
    read_attachment,
)
from actors.gateway.authentication import bearer, origin_allowed
from actors.gateway.outgoing import Closed, Outgoing

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from starlette.types import Receive
    from starlette.types import Send as AsgiSend

    from actors.core.messages import Principal
    from actors.gateway.services import Services

log = structlog.get_logger()

_MAX_BAD_FRAMES = 3
_CLOSE_S = 5.0
_DEFECT = 1011


class Connection:
    """A client's socket, from its hello to its end: reads its frames and acts on them."""

    def __init__(
        self,
        services: Services,
        headers: Mapping[str, str],
        receive: Receive,
        send: AsgiSend,
    ) -> None:
        self._services = services
        self._http = services.settings.http
        self._headers = headers
        self._receive = receive
        self._send = send
        self._outgoing = Outgoing(send, services.hub, services.clock)
        self._last_heard = services.clock()

    async def serve(self) -> None:
        """Returns when the socket is closed."""
        try:
            principal, hello = await self._say_hello()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._receive_frames(principal, hello), name="receive")
                tasks.create_task(self._outgoing.run(), name="send")
                tasks.create_task(self._beat(), name="heartbeat")
        except* Closed as group:
            await self._close(_first(group))
        except* Exception:
            log.exception("connection failed")
            await self._close(Closed(_DEFECT, "internal"), Internal())
        finally:
            self._outgoing.detach_all()

    # Hello

    async def _say_hello(self) -> tuple[Principal, Hello]:
        if not origin_allowed(self._headers, self._http.origins):
            raise Closed(4403, "origin not allowed")
        try:
            async with asyncio.timeout(self._http.hello_timeout_s):
                frame = read(decode(await self._next_text()))
        except TimeoutError:
            raise Closed(4408, "no hello in time") from None
        except InvalidRequest as error:
            await self._refuse_and_close(error, 4400)
        if not isinstance(frame, Hello):
            await self._refuse_and_close(BadFrame("The first frame must be a hello."), 4400)
        try:
            principal = await self._authenticate(frame)
        except Unauthenticated as error:
            await self._refuse_and_close(error, 4401)
        except ParleyError as error:
            await self._refuse_and_close(error, 1013)
        self._outgoing.reply(self._services.welcome)
        return principal, frame

    async def _authenticate(self, hello: Hello) -> Principal:
        authentication = self._services.authentication
        if hello.ticket is not None:
            return await authentication.by_ticket(hello.ticket)
        return await authentication.by_key(hello.token or bearer(self._headers))

    # Frames

    async def _receive_frames(self, principal: Principal, hello: Hello) -> None:
        for fields in hello.attach:
            await self._attach_from_hello(principal, fields)
        bad_frames = 0
        while True:
            text = await self._next_text()
            fields = {}
            try:
                fields = decode(text)
                frame = read(fields)
            except BadFrame as error:
                await self._refuse_and_close(error, 4400)
            except InvalidRequest as error:
                bad_frames += 1
                if bad_frames == _MAX_BAD_FRAMES:
                    await self._refuse_and_close(error, 4400, fields)
                self._outgoing.reply_error(error, fields)
            else:
                bad_frames = 0
                await self._act(principal, frame)

    async def _next_text(self) -> str:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise Closed(None)
        self._last_heard = self._services.clock()
        text: str | None = message.get("text")
        if text is None:
            await self._refuse_and_close(BadFrame("Frames are text."), 4400)
        limit = self._http.max_frame_bytes
        if len(text) * 4 > limit and len(text.encode(errors="surrogatepass")) > limit:
            await self._refuse_and_close(TooLarge("The frame is too big."), 1009)
        return text

    async def _act(self, principal: Principal, frame: Frame) -> None:
        match frame:
            case Send():
                await self._answer(frame, self._submit(principal, frame))
            case Attach():
                await self._answer(frame, self._attach(principal, frame))
            case Detach():
                self._outgoing.detach(frame.conversation)
            case Stop():
                await self._answer(frame, self._services.stop(principal, frame.run))
            case Ping():
                self._outgoing.reply({"type": "pong", "t": frame.t})
            case Pong():
                self._outgoing.answered(frame.t)
            case Hello():
                self._outgoing.reply_error(InvalidRequest("There was a hello already."), {})

    async def _answer(
        self, frame: Send | Attachment | Stop, action: Coroutine[Any, Any, None]
    ) -> None:
        try:
            await action
        except ParleyError as error:
            named = frame.model_dump(include={"id", "conversation", "run"})
            self._outgoing.reply_error(error, named)

    async def _submit(self, principal: Principal, frame: Send) -> None:
        submission = self._services.submission(
            principal, frame.id, frame.conversation, frame.text, frame.agent, frame.metadata
        )
        with self._outgoing.holding(frame.conversation):
            accepted = await self._services.accept(submission)
            self._outgoing.reply(
                {
                    "type": "accepted",
                    "id": frame.id,
                    "conversation": accepted.conversation,
                    "message": accepted.message,
                    "run": accepted.run,
                    "seq": accepted.seq,
                    "durability": accepted.durability,
                }
            )
            attachment = Attachment(conversation=accepted.conversation)
            follow = self._outgoing.follow(
                accepted.conversation,
                principal,
                Cursor.parse(accepted.cursor) if accepted.cursor else None,
            )
            await self._answer(attachment, follow)

    async def _attach(self, principal: Principal, attachment: Attachment) -> None:
        after = None if attachment.after is None else Cursor.parse(attachment.after)
        await self._outgoing.attach(attachment.conversation, principal, after)

    async def _attach_from_hello(self, principal: Principal, fields: Any) -> None:
        try:
            attachment = read_attachment(fields)
        except InvalidRequest as error:
            self._outgoing.reply_error(error, fields if isinstance(fields, dict) else {})
        else:
            await self._answer(attachment, self._attach(principal, attachment))

    # Life and end

    async def _beat(self) -> None:
        """Pings where either side has been silent; ends a connection that has no life in it."""
        http, clock, outgoing = self._http, self._services.clock, self._outgoing
        pinged = clock()
        while True:
            now = clock()
            dropped = self._last_heard + http.client_silence_s
            stalled = (outgoing.blocked_since or now) + http.client_stall_s
            if now >= dropped:
                raise Closed(1001, "the client is silent")
            if now >= stalled:
                raise Closed(4413, "the client reads too slowly")
            if now >= max(pinged, min(outgoing.last_sent, self._last_heard)) + http.heartbeat_s:
                outgoing.ping()
                pinged = now
            quiet = max(pinged, min(outgoing.last_sent, self._last_heard)) + http.heartbeat_s
            await asyncio.sleep(min(dropped, stalled, quiet) - now)

    async def _refuse_and_close(
        self, error: ParleyError, code: int, named: Mapping[str, Any] | None = None
    ) -> NoReturn:
        self._outgoing.reply_error(error, named or {})
        await self._outgoing.flush()
        raise Closed(code, error.message)

    async def _close(self, closed: Closed, error: ParleyError | None = None) -> None:
        """Waits for a while only: a client that does not read would hold the close back."""
        if closed.code is None:
            return
        reason = closed.reason.encode()[:120].decode(errors="ignore")
        with suppress(OSError, RuntimeError, TimeoutError, Closed):
            async with asyncio.timeout(_CLOSE_S):
                if error is not None:
                    self._outgoing.reply_error(error, {})
                    await self._outgoing.flush()
                await self._send({"type": "websocket.close", "code": closed.code, "reason": reason})


def _first(group: BaseExceptionGroup[Closed]) -> Closed:
    """The one that says the most: a close of ours before the client's leaving."""
    found = [
        _first(error) if isinstance(error, BaseExceptionGroup) else error
        for error in group.exceptions
    ]
    return next((closed for closed in found if closed.code is not None), found[0])
