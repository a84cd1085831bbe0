"""A client of the socket, for tests: written from docs/protocol.md, sharing no code with it."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import websockets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Frame = dict[str, Any]
KEY = "parley-development-key"
PATIENCE_S = 20.0
TERMINAL = {"run.completed", "run.failed", "run.stopped"}


class Client:
    """One socket. `frames` is everything heard, in order, pings left out."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket
        self.frames: list[Frame] = []

    async def say(self, **frame: Any) -> None:
        await self.socket.send(json.dumps(frame))

    async def hear(self) -> Frame:
        """The next frame; pings are answered on the way."""
        while True:
            frame: Frame = json.loads(await asyncio.wait_for(self.socket.recv(), PATIENCE_S))
            if frame["type"] != "ping":
                self.frames.append(frame)
                return frame
            await self.say(type="pong", t=frame["t"])

    async def hear_until(self, *types: str, **fields: Any) -> Frame:
        """The first frame of one of these types that has these fields."""
        while True:
            frame = await self.hear()
            if frame["type"] in types and all(frame.get(k) == v for k, v in fields.items()):
                return frame

    async def hello(self, **fields: Any) -> Frame:
        await self.say(type="hello", **({"token": KEY} | fields))
        return await self.hear_until("welcome")

    async def send(self, text: str, **fields: Any) -> Frame:
        """Sends a message; answers `accepted` or `error`."""
        client_id = fields.pop("id", None) or str(uuid4())
        await self.say(type="send", id=client_id, text=text, **fields)
        return await self.hear_until("accepted", "error", id=client_id)

    async def ask(self, text: str, **fields: Any) -> tuple[Frame, Frame, str]:
        """Sends a message and hears its run out: `accepted`, the terminal event, the text."""
        accepted = await self.send(text, **fields)
        assert accepted["type"] == "accepted", accepted
        ended = await self.hear_until(*TERMINAL, run=accepted["run"])
        return accepted, ended, text_of(self.frames, accepted["run"])


def text_of(frames: list[Frame], run: str) -> str:
    """A run's text as its events tell it."""
    deltas: list[str] = []
    for frame in frames:
        if frame.get("run") == run and frame["type"] == "delta":
            assert frame["index"] == len(deltas), "a delta is missing or repeated"
            deltas.append(frame["text"])
        elif frame.get("run") == run and frame["type"] == "rewind":
            del deltas[frame["index"] :]
    return "".join(deltas)


@asynccontextmanager
async def connected(url: str, *, hello: bool = True, **options: Any) -> AsyncIterator[Client]:
    """A socket to the server, after its hello unless that is not wanted."""
    options = {"subprotocols": ["parley.v1"], "max_size": 2**24} | options
    async with websockets.connect(url, **options) as socket:
        client = Client(socket)
        if hello:
            await client.hello()
        yield client
