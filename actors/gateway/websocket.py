"""One WebSocket: the protocol of docs/protocol.md over an ASGI connection.

A receiver reads frames and acts on them; a sender pulls events from the hub. Nothing that the
server has yet to send is kept here but replies: events wait in the log until the client has
answered for those before them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import orjson
import structlog

from actors.calls import ask
from actors.core.cursors import Cursor
from actors.core.errors import InvalidRequest, ParleyError, TooLarge, Unauthenticated
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
)
from actors.gateway.authentication import bearer, origin_allowed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive
    from starlette.types import Send as AsgiSend

    from actors.core.messages import Principal
    from actors.core.runs import Accepted
    from actors.gateway.hub import Watch
    from actors.gateway.services import Services

log = structlog.get_logger()

SUBPROTOCOL = "parley.v1"
_PING_BYTES = 65_536
_MAX_OUTSTANDING_BYTES = 262_144
_TOO_SLOW_S = 30.0
_MAX_BAD_FRAMES = 3
_MAX_REPLIES = 1_024


class Closed(Exception):
    """The connection is over. `code` is what the server closes with; None: the client left."""

    def __init__(self, code: int | None, reason: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Connection:
    """A client's socket, from its hello to its end."""

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
        self._principal: Principal | None = None
        self._watches: dict[str, Watch] = {}
        self._replies: deque[bytes] = deque()
        self._woken = asyncio.Event()
        self._bad_frames = 0
        self._sent_bytes = 0
        self._pinged_bytes = 0
        self._answered_bytes = 0
        self._last_sent = self._last_heard = self._last_answered = services.clock()

    async def serve(self) -> None:
        """Returns when the socket is closed."""
        try:
            await self._say_hello()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._receive_frames(), name="receive")
                tasks.create_task(self._send_frames(), name="send")
                tasks.create_task(self._beat(), name="heartbeat")
        except* Closed as group:
            await self._close(_first(group))
        finally:
            for watch in self._watches.values():
                self._services.hub.detach(watch)

    # From the client

    async def _say_hello(self) -> None:
        try:
            async with asyncio.timeout(self._http.hello_timeout_s):
                frame = self._frame(await self._next_text())
        except TimeoutError:
            raise Closed(4408, "no hello in time") from None
        except InvalidRequest as error:
            await self._refuse_and_close(error, 4400)
        if not isinstance(frame, Hello):
            await self._refuse_and_close(BadFrame("The first frame must be a hello."), 4400)
        if not origin_allowed(self._headers, self._http.origins):
            raise Closed(4403, "origin not allowed")
        try:
            self._principal = await self._authenticate(frame)
        except Unauthenticated as error:
            await self._refuse_and_close(error, 4401)
        except ParleyError as error:
            await self._refuse_and_close(error, 1013)
        self._reply(self._services.welcome)
        for attachment in frame.attach:
            await self._answer(attachment, self._attach(attachment))

    async def _authenticate(self, hello: Hello) -> Principal:
        authentication = self._services.authentication
        if hello.ticket is not None:
            return await authentication.by_ticket(hello.ticket)
        return await authentication.by_key(hello.token or bearer(self._headers))

    async def _receive_frames(self) -> None:
        while True:
            text = await self._next_text()
            try:
                fields = decode(text)
            except BadFrame as error:
                await self._refuse_and_close(error, 4400)
            try:
                frame = read(fields)
            except InvalidRequest as error:
                self._bad_frames += 1
                self._reply_error(fields, error)
                if self._bad_frames == _MAX_BAD_FRAMES:
                    raise Closed(4400, "too many bad frames in a row") from None
                continue
            self._bad_frames = 0
            await self._act(frame)

    async def _act(self, frame: Frame) -> None:
        match frame:
            case Send():
                await self._answer(frame, self._submit(frame))
            case Attach():
                await self._answer(frame, self._attach(frame))
            case Detach():
                watch = self._watches.pop(frame.conversation, None)
                if watch is not None:
                    self._services.hub.detach(watch)
            case Stop():
                await self._answer(frame, self._stop(frame))
            case Ping():
                self._reply({"type": "pong", "t": frame.t})
            case Pong():
                self._count_answered(frame.t)
            case Hello():
                self._reply_error({}, InvalidRequest("There was a hello already."))

    async def _answer(self, frame: Frame | Attachment, action: Any) -> None:
        try:
            await action
        except ParleyError as error:
            self._reply_error(frame.model_dump(include={"id", "conversation", "run"}), error)

    async def _submit(self, frame: Send) -> None:
        submission = self._services.submission(
            self._known_principal,
            frame.id,
            frame.conversation,
            frame.text,
            frame.agent,
            frame.metadata,
        )
        watch = self._watches.get(frame.conversation or "")
        if watch is not None:
            watch.held += 1
        try:
            accepted: Accepted = await ask(self._services.context, "accept", submission)
            if accepted.ready:
                self._services.start_run(accepted.run)
            self._reply(
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
            await self._attach_from(accepted.conversation, Cursor.parse(accepted.cursor))
        finally:
            if watch is not None:
                watch.held -= 1
                self._woken.set()

    async def _attach(self, attachment: Attachment) -> None:
        after = None if attachment.after is None else Cursor.parse(attachment.after)
        watch = self._watches.pop(attachment.conversation, None)
        if watch is not None:
            self._services.hub.detach(watch)
        await self._attach_from(attachment.conversation, after)

    async def _attach_from(self, conversation: str, after: Cursor | None) -> None:
        watch = self._watches.get(conversation)
        if watch is not None:
            self._reply(
                {
                    "type": "attached",
                    "conversation": conversation,
                    "cursor": str(watch.cursor),
                }
            )
            return
        watch, frames = await self._services.hub.attach(
            conversation, self._known_principal, after, self._woken.set
        )
        for frame in frames:
            self._reply(frame)
        self._watches[conversation] = watch

    async def _stop(self, frame: Stop) -> None:
        following = await ask(self._services.context, "stop", self._known_principal, frame.run)
        if following is not None:
            self._services.start_run(following)

    @property
    def _known_principal(self) -> Principal:
        if self._principal is None:
            raise Unauthenticated
        return self._principal

    def _frame(self, text: str) -> Frame:
        return read(decode(text))

    async def _next_text(self) -> str:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise Closed(None)
        self._last_heard = self._services.clock()
        text: str | None = message.get("text")
        if text is None:
            await self._refuse_and_close(BadFrame("Frames are text."), 4400)
        if (
            len(text) * 4 > self._http.max_frame_bytes
            and len(text.encode(errors="surrogatepass")) > self._http.max_frame_bytes
        ):
            await self._refuse_and_close(TooLarge("The frame is too big."), 1009)
        return text

    # To the client

    def _reply(self, frame: dict[str, Any] | bytes) -> None:
        if len(self._replies) >= _MAX_REPLIES:
            raise Closed(4413, "too many replies wait")
        self._replies.append(frame if isinstance(frame, bytes) else orjson.dumps(frame))
        self._woken.set()

    def _reply_error(self, fields: Mapping[str, Any], error: ParleyError) -> None:
        named = {
            key: value
            for key in ("id", "conversation", "run")
            if isinstance(value := fields.get(key), str) and len(value) <= 64 and value.isascii()
        }
        self._reply({"type": "error", **named, "error": error.as_json()})

    async def _send_frames(self) -> None:
        while True:
            self._woken.clear()
            sent = await self._send_replies()
            for watch in list(self._watches.values()):
                if watch.held or self._outstanding > _MAX_OUTSTANDING_BYTES:
                    continue
                for frame in await self._services.hub.next_frames(watch):
                    await self._send_frame(frame)
                    sent = True
            if not sent:
                await self._woken.wait()

    async def _send_replies(self) -> bool:
        sent = False
        while self._replies:
            await self._send_frame(self._replies.popleft())
            sent = True
        return sent

    async def _send_frame(self, frame: bytes) -> None:
        await self._send_text(frame.decode())
        self._sent_bytes += len(frame)
        self._last_sent = self._services.clock()
        if self._sent_bytes - self._pinged_bytes >= _PING_BYTES:
            self._pinged_bytes = self._sent_bytes
            await self._send_text(f'{{"type":"ping","t":{self._sent_bytes}}}')

    async def _send_text(self, text: str) -> None:
        try:
            await self._send({"type": "websocket.send", "text": text})
        except (OSError, RuntimeError):
            raise Closed(None) from None

    @property
    def _outstanding(self) -> int:
        return self._sent_bytes - self._answered_bytes

    def _count_answered(self, t: Any) -> None:
        if isinstance(t, int) and self._answered_bytes < t <= self._sent_bytes:
            self._answered_bytes = t
            self._last_answered = self._services.clock()
            self._woken.set()

    async def _beat(self) -> None:
        interval_s = min(self._http.heartbeat_s, self._http.client_silence_s) / 5
        while True:
            await asyncio.sleep(interval_s)
            now = self._services.clock()
            if now - self._last_heard > self._http.client_silence_s:
                raise Closed(1001, "the client is silent")
            if self._outstanding <= _MAX_OUTSTANDING_BYTES:
                self._last_answered = now
            elif now - self._last_answered > _TOO_SLOW_S:
                raise Closed(4413, "the client reads too slowly")
            if now - self._last_sent > self._http.heartbeat_s:
                self._last_sent = now
                self._reply({"type": "ping", "t": self._sent_bytes})

    async def _refuse_and_close(self, error: ParleyError, code: int) -> NoReturn:
        self._reply_error({}, error)
        await self._send_replies()
        raise Closed(code, error.message)

    async def _close(self, closed: Closed) -> None:
        if closed.code is not None:
            reason = closed.reason.encode()[:120].decode(errors="ignore")
            with suppress(OSError, RuntimeError):
                await self._send({"type": "websocket.close", "code": closed.code, "reason": reason})


def _first(group: BaseExceptionGroup[Closed]) -> Closed:
    """The one that says the most: a close of ours before the client's leaving."""
    found = [
        _first(error) if isinstance(error, BaseExceptionGroup) else error
        for error in group.exceptions
    ]
    return next((closed for closed in found if closed.code is not None), found[0])
