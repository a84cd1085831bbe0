"""SDK clients are pooled: messages share a provider's connections."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.harness.client import connected

if TYPE_CHECKING:
    from simulator import RunningSimulator
    from tests.harness.boxes import LocalParley

USERS = 20
MESSAGES_A_USER = 10


@pytest.mark.parametrize(("agent", "provider"), [("gemini", "gemini"), ("gpt", "openai")])
async def test_200_messages_of_20_users_share_as_many_connections_as_are_in_use_at_once(
    parley: LocalParley, simulator: RunningSimulator, agent: str, provider: str
) -> None:
    async def talk() -> None:
        async with connected(parley.websocket_url) as client:
            conversation: dict[str, str] = {}
            for number in range(MESSAGES_A_USER):
                accepted, ended, _ = await client.ask(f"{number}", agent=agent, **conversation)
                assert ended["type"] == "run.completed"
                conversation = {"conversation": accepted["conversation"]}

    async with asyncio.TaskGroup() as users:
        for _ in range(USERS):
            users.create_task(talk())

    traffic = simulator.journal.traffic
    assert sum(r.provider == provider for r in simulator.journal.records) == USERS * MESSAGES_A_USER
    assert traffic[provider].connections_opened <= USERS
