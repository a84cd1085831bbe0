import asyncio
import os
import re
import signal
import sys
from contextlib import asynccontextmanager

import aiohttp
import pytest

from simulator.cost import measure_token_cost

MOST_CPU_US_A_TOKEN = 60
"""The promise is 30; the rest is for a machine that is busy with other tests."""


@asynccontextmanager
async def process(*arguments, environment=None):
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "simulator",
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()


async def url_of(started):
    line = (await started.stdout.readline()).decode()
    return re.fullmatch(r"simulator listening on (http://127\.0\.0\.1:\d+)\n", line)[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_process_promptly_even_with_a_stream_open(number):
    async with process("--port", "0", "--length", "7") as started:
        url = await url_of(started)
        async with aiohttp.ClientSession() as session:
            asked = {"model": "m?stall_after=1", "stream": True, "messages": [{"role": "user"}]}
            async with session.post(f"{url}/p/v1/chat/completions", json=asked) as response:
                await response.content.readany()
                started.send_signal(number)
                async with asyncio.timeout(2):
                    assert await started.wait() == 0


async def test_defaults_and_seed_come_from_the_command_line():
    answers = []
    for seed in ("1", "1", "2"):
        async with process("--seed", seed, "--length", "30") as started:
            url = await url_of(started)
            asked = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"{url}/p/v1/chat/completions", json=asked) as response,
            ):
                body = await response.json()
            assert body["usage"]["completion_tokens"] == 30
            answers.append(body["choices"][0]["message"]["content"])
    assert answers[0] == answers[1] != answers[2]


async def test_a_taken_port_ends_the_process_with_a_sentence():
    async with process("--port", "0") as first:
        port = (await url_of(first)).rpartition(":")[2]
        async with process("--port", port) as second:
            _, complaint = await second.communicate()
            assert second.returncode == 1
            assert complaint.startswith(b"simulator: ")


async def test_a_token_costs_little():
    """Measured without coverage, which would cost more than what it measures."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    async with process(environment=plain) as started:
        url = await url_of(started)
        cost = await measure_token_cost(url, streams=50, tokens_per_s=50, length=50)
    assert cost.tokens == 2500
    assert cost.cpu_us_per_token < MOST_CPU_US_A_TOKEN
