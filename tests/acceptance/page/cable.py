"""A cable between browser and server, to be pulled out and put back."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self

_CHUNK = 65_536


class Cable:
    """Forwards connections to a port of this machine; `url` is its own end."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._own_port = 0
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._audible = asyncio.Event()
        self._audible.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._own_port}"

    async def __aenter__(self) -> Self:
        await self.plug_in()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.pull_out()

    async def plug_in(self) -> None:
        self._listener = await asyncio.start_server(self._forward, "127.0.0.1", self._own_port)
        self._own_port = self._listener.sockets[0].getsockname()[1]

    async def pull_out(self) -> None:
        """Every connection breaks without a word, and new ones are refused."""
        if self._listener is None:
            return
        self._listener.close()
        self._listener = None
        self.cut()

    def muffle(self) -> None:
        """What the server says arrives no more, until the next cut."""
        self._audible.clear()

    def cut(self) -> None:
        """Every connection breaks without a word; new ones are taken at once."""
        self._audible.set()
        for writer in self._writers:
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._writers |= ends
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_pump(reader, far_writer), name="there")
                tasks.create_task(_pump(far_reader, writer, self._audible), name="back")
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event | None = None
) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            if gate is not None:
                await gate.wait()
            writer.write(data)
            await writer.drain()
        writer.write_eof()
