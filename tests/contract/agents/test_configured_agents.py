"""Every agent of the configuration keeps what all agents promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.core.transcripts import TOKENS_A_TURN, estimate_tokens
from config.loading import load
from tests.harness.boxes import LocalParley
from tests.harness.client import connected

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.settings import Settings
    from simulator.journal import RequestRecord

every_agent = pytest.mark.parametrize("name", load({}).agents)
WINDOW = 700


@every_agent
async def test_it_answers_a_conversation_of_two_turns(
    parley: LocalParley, last_request: Callable[[], RequestRecord], name: str
) -> None:
    async with connected(parley.websocket_url) as client:
        first, ended, _ = await client.ask("My name is Ada.", agent=name)
        assert (ended["type"], ended["agent"]) == ("run.completed", name)
        # Not named again: who answered last answers on.
        _, ended, text = await client.ask("What is it?", conversation=first["conversation"])

    agent = parley.settings.agents[name]
    assert (ended["type"], ended["agent"], ended["model"]) == ("run.completed", name, agent.model)
    assert ended["attempts"] == 1
    assert '"My name is Ada." Then: "What is it?"' in text
    asked = last_request()
    assert (asked.provider, asked.model) == (agent.provider, agent.model)
    assert asked.text == text


@every_agent
async def test_its_persona_reaches_its_provider(
    parley: LocalParley, last_request: Callable[[], RequestRecord], name: str
) -> None:
    async with connected(parley.websocket_url) as client:
        await client.ask("Hello", agent=name)

    persona = parley.settings.agents[name].persona.strip()
    assert persona
    assert (last_request().system or "").startswith(persona)


@every_agent
async def test_it_keeps_its_persona_and_the_newest_messages_within_its_window(
    settings: Settings, last_request: Callable[[], RequestRecord], name: str
) -> None:
    agent = settings.agents[name].model_copy(update={"context_window": WINDOW, "fallbacks": ()})
    small = settings.model_copy(update={"agents": {**settings.agents, name: agent}})
    questions = [f"{i} {'x' * 200}" for i in range(6)]
    async with LocalParley(small) as parley, connected(parley.websocket_url) as client:
        where: dict[str, str] = {}
        for question in questions:
            accepted, _, _ = await client.ask(question, agent=name, **where)
            where = {"conversation": accepted["conversation"]}

    asked = last_request()
    kept = asked.user_messages
    assert kept == tuple(questions[len(questions) - len(kept) :])
    assert 1 <= len(kept) < len(questions)
    assert (asked.system or "").startswith(agent.persona.strip())
    said = [asked.system or "", *kept]
    assert sum(estimate_tokens(text) + TOKENS_A_TURN for text in said) <= WINDOW


@every_agent
async def test_a_message_beyond_its_window_fails_plainly_and_is_not_sent(
    settings: Settings, last_request: Callable[[], RequestRecord], name: str
) -> None:
    agent = settings.agents[name].model_copy(update={"context_window": 256})
    small = settings.model_copy(update={"agents": {**settings.agents, name: agent}})
    async with LocalParley(small) as parley, connected(parley.websocket_url) as client:
        _, ended, text = await client.ask("x" * 5000, agent=name)

    assert (ended["type"], ended["error"]["code"]) == ("run.failed", "context_length_exceeded")
    assert (ended["message"], text) == (None, "")
    with pytest.raises(IndexError):
        last_request()
