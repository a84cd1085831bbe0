"""Asking and being answered, in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from simulator import Behaviour
from tests.acceptance.page.conftest import SLOW
from tests.acceptance.page.console import Console

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext

    from simulator import RunningSimulator

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_answer_streams_in_is_verified_and_names_agent_and_model(
    console: Console, simulator: RunningSimulator
) -> None:
    simulator.behaviours.put("*", SLOW)
    await expect(console.send).to_be_disabled()
    await console.composer.fill("How are you?")
    await console.send.click()

    answer = console.answers.first
    await console.half_way(answer)
    await console.finished(answer)

    await expect(console.questions.first).to_have_text("How are you?")
    await expect(answer).to_have_attribute("data-agent", "gemini")
    await expect(answer).to_contain_text("gemini-3.8-flash")
    assert await console.copied(answer) == simulator.journal.records[-1].text


async def test_the_chosen_agent_answers_and_stays_chosen(
    console: Console, simulator: RunningSimulator
) -> None:
    await console.agent.select_option("gpt")
    answer = await console.ask("Who are you?")

    await expect(answer).to_have_attribute("data-agent", "gpt")
    await expect(answer).to_contain_text("gpt-5.5")
    assert [record.provider for record in simulator.journal.records] == ["openai"]

    await console.page.reload()
    await console.connected()
    await expect(console.agent).to_have_value("gpt")


async def test_stop_ends_the_answer_and_keeps_what_was_said(
    console: Console, simulator: RunningSimulator
) -> None:
    simulator.behaviours.put("*", Behaviour(tokens_per_s=40, length=400))
    await expect(console.stop).to_be_hidden()
    await console.say("Tell me everything.")
    answer = console.answers.first
    await console.half_way(answer)
    await console.stop.click()

    await expect(answer).to_have_attribute("data-status", "stopped")
    await expect(answer).to_contain_text("Stopped")
    await expect(console.stop).to_be_hidden()
    said = await console.copied(answer)
    assert "".join(simulator.journal.records[-1].tokens).startswith(said)

    await console.page.reload()
    await expect(answer).to_have_attribute("data-status", "stopped")
    assert await console.copied(answer) == said


async def test_a_reload_in_mid_answer_continues_exactly(
    console: Console, simulator: RunningSimulator
) -> None:
    simulator.behaviours.put("*", SLOW)
    await console.say("Please go on.")
    await console.half_way(console.answers.first)
    await console.page.reload()
    await console.half_way(console.answers.first)

    await console.finished(console.answers.first)
    await expect(console.messages).to_have_count(2)
    assert await console.copied(console.answers.first) == simulator.journal.records[-1].text
    assert len(simulator.journal.records) == 1


async def test_two_tabs_stay_in_step(
    console: Console, window: BrowserContext, simulator: RunningSimulator
) -> None:
    simulator.behaviours.put("*", SLOW)
    await console.say("Said in the first tab.")
    await console.half_way(console.answers.first)
    other = Console(await window.new_page())
    await other.open(console.page.url)
    await other.half_way(other.answers.first)
    for tab in (console, other):
        await tab.finished(tab.answers.first)

    simulator.behaviours.clear()
    await other.say("Said in the second tab.")
    for tab in (console, other):
        await expect(tab.questions).to_have_text(
            ["Said in the first tab.", "Said in the second tab."]
        )
        await tab.finished(tab.answers.nth(1))
        await expect(tab.text(tab.answers.nth(1))).to_contain_text("Then: ")
        await expect(tab.messages).to_have_count(4)
    assert other.problems == []


async def test_an_answer_that_failed_says_why_and_can_be_asked_for_again(
    console: Console, simulator: RunningSimulator
) -> None:
    failing = Behaviour.model_validate({"faults": [{"type": "content_filter", "tokens": 0}]})
    simulator.behaviours.put("*", failing)
    await console.say("Will this work?")
    failed = console.answers.first
    await expect(failed).to_have_attribute("data-status", "failed")
    await expect(failed.get_by_role("alert")).not_to_be_empty()

    simulator.behaviours.clear()
    await failed.get_by_role("button", name="Ask again").click()
    await console.finished(console.answers.nth(1))
    await expect(console.questions).to_have_text(["Will this work?", "Will this work?"])
