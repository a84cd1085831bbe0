"""How a socket ends: what is still said on it, and its close code."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from tests.harness.client import Client, Frame

PATIENCE_S = 20.0


async def ending(client: Client) -> tuple[list[Frame], int | None]:
    """The frames up to the close, pings left out, and the code of the close."""
    heard: list[Frame] = []
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                heard.append(await client.hear())
            except ConnectionClosed as closed:
                return heard, closed.rcvd.code if closed.rcvd else None


def codes(frames: list[Frame]) -> list[str]:
    """The codes of `error` frames; every frame has to be one."""
    return [frame["error"]["code"] for frame in frames if _is_whole_error(frame)]


def _is_whole_error(frame: Frame) -> bool:
    assert frame["type"] == "error", frame
    assert set(frame["error"]) - {"retry_after_s"} == {"code", "message", "retryable"}
    assert frame["error"]["message"]
    return True
