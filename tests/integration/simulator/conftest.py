import asyncio

import aiohttp
import pytest
from google import genai
from google.genai import types
from openai import AsyncOpenAI, DefaultAioHttpClient

from simulator import running_simulator


@pytest.fixture
async def sim():
    async with running_simulator(seed=7) as running:
        yield running


@pytest.fixture
async def http(sim):
    async with aiohttp.ClientSession(sim.url) as session:
        yield session


@pytest.fixture
async def openai_client(sim):
    async with AsyncOpenAI(
        api_key="k",
        base_url=f"{sim.base_url('openai')}/v1",
        max_retries=0,
        http_client=DefaultAioHttpClient(),
    ) as client:
        yield client


@pytest.fixture
async def gemini_client(sim):
    # The SDK's own session subclasses aiohttp's, which warns.
    async with aiohttp.ClientSession() as session:
        client = genai.Client(
            api_key="k",
            http_options=types.HttpOptions(
                base_url=sim.base_url("gemini"),
                api_version="v1",
                retry_options=types.HttpRetryOptions(attempts=1),
                aiohttp_client=session,
            ),
        )
        yield client.aio
        await client.aio.aclose()
        client.close()


@pytest.fixture
def until():
    """Wait for a condition of the simulator."""

    async def wait(condition):
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - the simulator counts, it does not notify
                await asyncio.sleep(0.005)

    return wait
