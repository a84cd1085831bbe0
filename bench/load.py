"""The load generator: `python -m bench.load`, an order on its standard input.

It says `connected`, begins at the next line it reads, writes its report as a line of JSON, and
ends when its input does; its sockets stay open until then.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import orjson
import uvloop
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from bench.load_order import Order, Report, Turn

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

_CONNECTING_AT_ONCE = 20
_DELTA = b'"type":"delta"'
"""Within a JSON string the quotes would be escaped."""
_ENDS = {"run.completed", "run.failed", "run.stopped", "error"}


class Client:
    """One socket's user: says the next thing as soon as the last answer has ended."""

    def __init__(self, order: Order, number: int, socket: ClientConnection) -> None:
        self._order = order
        self._number = number
        self._socket = socket
        self.turns: list[Turn] = []

    async def greet(self) -> None:
        await self._say({"type": "hello", "token": self._order.key})
        welcome = orjson.loads(await self._socket.recv(decode=False))
        if welcome["type"] != "welcome":
            raise RuntimeError(f"not welcome: {welcome}")

    async def converse(self) -> None:
        order = self._order
        await asyncio.sleep(order.spread_s * self._number / order.sockets)
        for c in range(order.conversations):
            conversation = None
            for t in range(order.turns):
                conversation = await self._take_turn(conversation, f"w{self._number}c{c}t{t}")
            await self._say({"type": "detach", "conversation": conversation})

    async def _take_turn(self, conversation: str | None, text: str) -> str | None:
        message = {"type": "send", "id": f"{text}-{time.time_ns()}", "text": text}
        if conversation is not None:
            message["conversation"] = conversation
        if self._order.agent is not None:
            message["agent"] = self._order.agent
        recv, deltas = self._socket.recv, 0
        accepted_at = first_delta_at = 0.0
        sent_at = time.time()
        await self._say(message)
        while True:
            frame = await recv(decode=False)
            if _DELTA in frame:
                if not deltas:
                    first_delta_at = time.time()
                deltas += 1
                continue
            fields = orjson.loads(frame)
            kind = fields["type"]
            if kind == "accepted":
                accepted_at = time.time()
                conversation = fields["conversation"]
            elif kind == "ping":
                await self._say({"type": "pong", "t": fields["t"]})
            elif kind in _ENDS:
                break
        self.turns.append(
            Turn(
                text=text,
                sent_at=sent_at,
                accepted_at=accepted_at,
                first_delta_at=first_delta_at,
                ended_at=time.time(),
                deltas=deltas,
                failed=kind != "run.completed" or fields["deltas"] != deltas,
            )
        )
        return conversation

    async def _say(self, frame: dict[str, Any]) -> None:
        await self._socket.send(orjson.dumps(frame), text=True)


async def _load(order: Order, lines: asyncio.StreamReader) -> None:
    async with asyncio.timeout(order.deadline_s), AsyncExitStack() as sockets:
        gate = asyncio.Semaphore(_CONNECTING_AT_ONCE)

        async def arrive(number: int) -> Client:
            async with gate:
                opened = connect(
                    order.url,
                    subprotocols=[Subprotocol("parley.v1")],
                    compression=None,
                    open_timeout=30,
                )
                client = Client(order, number, await sockets.enter_async_context(opened))
                await client.greet()
                return client

        clients = await asyncio.gather(*map(arrive, range(order.sockets)))
        _tell("connected")
        await lines.readline()
        cpu_s = time.process_time()
        async with asyncio.TaskGroup() as tasks:
            for client in clients:
                tasks.create_task(client.converse())
        turns = tuple(turn for client in clients for turn in client.turns)
        report = Report(
            turns=turns,
            wall_s=max(t.ended_at for t in turns) - min(t.sent_at for t in turns),
            cpu_s=time.process_time() - cpu_s,
        )
        _tell(orjson.dumps(report).decode())
        await lines.read()


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _main() -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    await _load(Order(**orjson.loads(await lines.readline())), lines)


if __name__ == "__main__":
    uvloop.run(_main())
