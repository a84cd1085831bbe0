"""Sending one answer, in whatever wire format, with whatever goes wrong on the way."""

import asyncio
import socket
import struct
from dataclasses import dataclass

from aiohttp import hdrs
from aiohttp.web import BaseRequest, Response, StreamResponse

from simulator.faults import Plan
from simulator.journal import RequestRecord, Traffic
from simulator.pacing import Pace, until_tick
from simulator.wire import Encoder, Problem, Usage, Wire

_PAGE = b"<!doctype html><title>Sign in</title><h1>Sign in to the network</h1>"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_FLUSH_POLL_S = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One answer on its way: `plan` says what is sent and how it ends."""

    http: BaseRequest
    wire: Wire
    encoder: Encoder
    plan: Plan
    pace: Pace
    record: RequestRecord
    traffic: Traffic
    input_tokens: int
    started: float

    async def perform(self) -> StreamResponse:
        """Raises CancelledError or ConnectionError when the client leaves."""
        match self.plan.opening:
            case "reset":
                return await self._reset(Response())
            case "silence":
                return await self._stall()
            case "page":
                self._note(finish="page", status=200)
                return Response(body=_PAGE, content_type="text/html", charset="utf-8")
            case "answer" if self.record.streamed:
                return await self._stream()
            case _:
                return await self._whole()

    async def _stream(self) -> StreamResponse:
        response = StreamResponse(headers=self._headers("text/event-stream"))
        response.headers[hdrs.CACHE_CONTROL] = "no-cache"
        response.enable_chunked_encoding()
        await asyncio.sleep(self.pace.first_token_s)
        await response.prepare(self.http)
        self.record.status = 200
        await self._send_tokens(response)
        return await self._end_stream(response)

    async def _send_tokens(self, response: StreamResponse) -> None:
        tokens, pace, started = self.plan.tokens, self.pace, self.started
        record, traffic, encode = self.record, self.traffic, self.encoder.token
        clock = asyncio.get_running_loop().time
        frames = [self.encoder.opening()]
        sent = 0
        while sent < len(tokens):
            due = min(pace.due(clock() - started, sent), len(tokens))
            if due > sent:
                frames += map(encode, tokens[sent:due])
                record.sent_tokens = due
                traffic.tokens += due - sent
                if not sent:
                    record.first_byte_s = clock() - started
                await response.write(b"".join(frames))
                frames.clear()
                sent = due
            if sent < len(tokens):
                wait_s = pace.wait_s(clock() - started, sent)
                await asyncio.sleep(until_tick(clock(), wait_s) if sent else wait_s)
        if frames:
            await response.write(b"".join(frames))

    async def _end_stream(self, response: StreamResponse) -> StreamResponse:
        match self.plan.ending:
            case "complete":
                self._note(finish=self.plan.finish)
                closing = self.encoder.closing(self.record.text, self.plan.finish, self._usage())
                await response.write(closing)
            case "malformed":
                self._note(finish="malformed")
                await response.write(self.encoder.token("…").rstrip()[:-3] + b"\n\n")
            case "error":
                self._note(finish="error")
                await response.write(self.encoder.failure(self._problem()))
            case "cut":
                return await self._reset(response)
            case "stall":
                return await self._stall()
            case _:
                self._note(finish="unmarked")
        return response

    async def _whole(self) -> StreamResponse:
        plan, tokens = self.plan, len(self.plan.tokens)
        await asyncio.sleep(self.pace.whole_s(tokens))
        if plan.ending == "error":
            return refuse(self.wire, self._problem(), self.record)
        self.record.sent_tokens = tokens
        self.traffic.tokens += tokens
        self.record.first_byte_s = asyncio.get_running_loop().time() - self.started
        finish = plan.finish if plan.ending == "complete" else None
        body = self.encoder.whole(self.record.text, finish, self._usage())
        if plan.ending in {"cut", "stall"}:
            return await self._begin_only(body)
        broken = plan.ending == "malformed" or plan.fault == "eof_after"
        self._note(finish=finish or plan.ending, status=200)
        return Response(
            body=body[:-3] if broken else body, headers=self._headers("application/json")
        )

    async def _begin_only(self, body: bytes) -> StreamResponse:
        """Announce the whole body, send its first half."""
        response = StreamResponse(headers=self._headers("application/json"))
        response.content_length = len(body)
        await response.prepare(self.http)
        self.record.status = 200
        await response.write(body[: len(body) // 2])
        return await (self._stall() if self.plan.ending == "stall" else self._reset(response))

    async def _reset(self, response: StreamResponse) -> StreamResponse:
        """Drop the connection with a TCP reset, after what was written has left."""
        transport = self.http.transport
        if transport is None:
            raise ConnectionResetError("The client left first.")
        while transport.get_write_buffer_size():  # noqa: ASYNC110 - a transport has no event for it
            await asyncio.sleep(_FLUSH_POLL_S)
        self._note(finish="reset")
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
        return response

    async def _stall(self) -> StreamResponse:
        never: asyncio.Future[StreamResponse] = asyncio.get_running_loop().create_future()
        return await never

    def _headers(self, content_type: str) -> dict[str, str]:
        return {hdrs.CONTENT_TYPE: content_type, "x-request-id": f"req_{self.record.number}"}

    def _usage(self) -> Usage:
        return Usage(input_tokens=self.input_tokens, output_tokens=self.record.sent_tokens)

    def _problem(self) -> Problem:
        return self.plan.problem or Problem(status=500, message="The simulator failed.")

    def _note(self, *, finish: str, status: int | None = None) -> None:
        self.record.finish = finish
        self.record.status = status or self.record.status
        self.record.last_byte_s = asyncio.get_running_loop().time() - self.started


def refuse(wire: Wire, problem: Problem, record: RequestRecord) -> Response:
    """An HTTP error in the wire's shape, noted in the record."""
    record.finish = "refused"
    record.status = problem.status
    headers = {"x-request-id": f"req_{record.number}", **wire.error_headers(problem)}
    return error_response(wire, problem, headers)


def error_response(wire: Wire, problem: Problem, headers: dict[str, str]) -> Response:
    return Response(
        status=problem.status,
        body=wire.error_body(problem),
        headers={hdrs.CONTENT_TYPE: "application/json; charset=UTF-8", **headers},
    )
