"""Measuring what a token costs the simulator's process."""

import asyncio
from dataclasses import dataclass

import aiohttp


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCost:
    """CPU of the simulator's process, socket writes and requests included."""

    tokens: int
    cpu_us_per_token: float


async def measure_token_cost(
    url: str, *, streams: int, tokens_per_s: float, length: int
) -> TokenCost:
    """Read `streams` concurrent chat streams to their ends from the simulator at `url`, which
    must be another process and otherwise idle.
    """
    model = f"cost?length={length}&tokens_per_s={tokens_per_s}"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        before = await _stats(session, url)
        await asyncio.gather(*(_read(session, url, model, n) for n in range(streams)))
        after = await _stats(session, url)
    tokens = int(after["tokens"] - before["tokens"])
    cpu_s = after["cpu_s"] - before["cpu_s"]
    return TokenCost(tokens=tokens, cpu_us_per_token=cpu_s * 1e6 / tokens)


async def _stats(session: aiohttp.ClientSession, url: str) -> dict[str, float]:
    async with session.get(f"{url}/_sim/stats") as response:
        stats: dict[str, float] = await response.json()
        return stats


async def _read(session: aiohttp.ClientSession, url: str, model: str, number: int) -> None:
    message = {"role": "user", "content": f"Cost of stream {number}"}
    asked = {"model": model, "stream": True, "messages": [message]}
    async with session.post(f"{url}/cost/v1/chat/completions", json=asked) as response:
        async for _ in response.content.iter_any():
            pass
