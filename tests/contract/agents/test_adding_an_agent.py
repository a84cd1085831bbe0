"""An agent is added by an entry in a YAML file; a behaviour of its own, by a class named there."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING

import pytest

from tests.harness.boxes import LocalBox, LocalParley
from tests.harness.client import connected

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.settings import Settings
    from simulator.journal import RequestRecord

NEW_AGENT = """
agents:
  pirate:
    provider: gemini
    model: gemini-of-the-seas
    description: Talks of the sea.
    persona: You are a pirate.
"""
NEW_SERVER = """
providers:
  local: {kind: openai, api_key: none, base_url: "SIMULATOR/local/v1", api: API}
agents:
  local: {provider: local, model: some-model, persona: You run at home., fallbacks: [gemini]}
routing: {default: local}
"""
NEW_BEHAVIOUR = """
agents:
  counter:
    class: tests.contract.agents.behaviours:Counting
    provider: openai
    model: gpt-5.5
    persona: You count.
"""


async def test_a_model_behind_a_known_provider_is_one_entry(
    settings_with: Callable[[str], Settings], last_request: Callable[[], RequestRecord]
) -> None:
    async with (
        LocalParley(settings_with(NEW_AGENT)) as parley,
        connected(parley.websocket_url, hello=False) as client,
    ):
        welcome = await client.hello()
        _, ended, _ = await client.ask("Ahoy", agent="pirate")

    described = {agent["name"]: agent["description"] for agent in welcome["agents"]}
    assert described["pirate"] == "Talks of the sea."
    assert (ended["type"], ended["agent"]) == ("run.completed", "pirate")
    asked = last_request()
    assert (asked.provider, asked.model) == ("gemini", "gemini-of-the-seas")
    assert asked.system == "You are a pirate."


@pytest.mark.parametrize(("api", "wire"), [("chat", "chat"), ("responses", "responses")])
async def test_any_server_that_speaks_openai_is_an_entry_for_it_and_one_for_its_agent(
    settings_with: Callable[[str], Settings],
    last_request: Callable[[], RequestRecord],
    api: str,
    wire: str,
) -> None:
    settings = settings_with(NEW_SERVER.replace("API", api))
    async with LocalParley(settings) as parley, connected(parley.websocket_url) as client:
        first, _, _ = await client.ask("My name is Ada.")
        _, ended, text = await client.ask("What is it?", conversation=first["conversation"])

    assert (ended["type"], ended["agent"], ended["attempts"]) == ("run.completed", "local", 1)
    assert '"My name is Ada." Then: "What is it?"' in text
    asked = last_request()
    assert (asked.provider, asked.model, asked.system) == (
        "local",
        "some-model",
        "You run at home.",
    )
    assert wire in asked.wire


async def test_a_behaviour_of_its_own_is_a_class_that_the_entry_names(
    settings_with: Callable[[str], Settings], last_request: Callable[[], RequestRecord]
) -> None:
    settings = settings_with(NEW_BEHAVIOUR)
    agent = settings.agents["counter"]
    behaviour = resolve_name(agent.class_ or "")
    async with LocalParley(settings) as parley, connected(parley.websocket_url) as client:
        counter = LocalBox(behaviour("counter", agent, parley.pools["openai"]))
        parley.orchestrator.target._agents["counter"] = counter
        first, _, _ = await client.ask("One", agent="counter")
        await client.ask("Two", conversation=first["conversation"])

    assert last_request().system == "You count.\nMessages so far: 3."
