"""The page while the network or the server comes and goes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect
from redis import Redis

from simulator import Behaviour
from tests.acceptance.page.conftest import SLOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator import RunningSimulator
    from tests.acceptance.page.cable import Cable
    from tests.acceptance.page.conftest import Server
    from tests.acceptance.page.console import Console

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the simulator counts, it does not notify
            await asyncio.sleep(0.01)


async def test_a_connection_cut_in_mid_answer_continues_exactly(
    remote_console: Console, cable: Cable, simulator: RunningSimulator
) -> None:
    console, answer = remote_console, remote_console.answers.first
    simulator.behaviours.put("*", SLOW)
    await console.say("Do not stop.")
    for characters in (40, 120, 240):
        await console.half_way(answer, characters)
        cable.cut()
        await expect(console.connection).to_have_attribute("data-state", "reconnecting")
        await console.connected()

    await console.finished(answer)
    assert await console.copied(answer) == simulator.journal.records[-1].text
    assert len(simulator.journal.records) == 1


async def test_an_answer_made_while_the_network_was_away_is_there_when_it_is_back(
    remote_console: Console, cable: Cable, simulator: RunningSimulator
) -> None:
    console, answer = remote_console, remote_console.answers.first
    simulator.behaviours.put("*", SLOW)
    await console.say("Do not wait for me.")
    await console.half_way(answer, 40)
    await cable.pull_out()
    await until(lambda: simulator.journal.records[-1].finish == "stop")
    await expect(console.page.get_by_text("Nothing is lost")).to_be_visible()

    await cable.plug_in()
    await console.page.get_by_role("button", name="Try now").click()
    await console.finished(answer)
    await expect(console.page.get_by_text("Nothing is lost")).to_be_hidden()
    assert await console.copied(answer) == simulator.journal.records[-1].text


async def test_a_message_written_without_a_network_is_delivered_once_it_is_back(
    remote_console: Console, cable: Cable, simulator: RunningSimulator
) -> None:
    console = remote_console
    await console.ask("Before.")
    await cable.pull_out()
    await expect(console.connection).to_have_attribute("data-state", "reconnecting")
    await console.say("In between.")
    await expect(console.questions.last).to_have_attribute("data-status", "pending")
    await expect(console.questions.last).to_contain_text("Waiting for the connection")

    await cable.plug_in()
    await console.finished(console.answers.nth(1))
    await expect(console.questions).to_have_text(["Before.", "In between."])
    assert len(simulator.journal.records) == 2


async def test_a_message_whose_receipt_was_lost_is_delivered_once(
    remote_console: Console, cable: Cable, simulator: RunningSimulator
) -> None:
    console = remote_console
    cable.muffle()
    await console.say("Did you get this?")
    await until(lambda: len(simulator.journal.records) == 1)
    await expect(console.questions).to_have_attribute("data-status", "pending")
    cable.cut()

    await console.finished(console.answers.first)
    await expect(console.messages).to_have_count(2)
    await expect(console.conversations).to_have_count(1)
    await console.ask("And this?")
    assert [record.user_messages for record in simulator.journal.records] == [
        ("Did you get this?",),
        ("Did you get this?", "And this?"),
    ]


async def test_a_stop_asked_for_without_a_network_stops_once_it_is_back(
    remote_console: Console, cable: Cable, simulator: RunningSimulator
) -> None:
    console, answer = remote_console, remote_console.answers.first
    simulator.behaviours.put("*", Behaviour(tokens_per_s=40, length=1000))
    await console.say("Tell me more than I can bear.")
    await console.half_way(answer)
    await cable.pull_out()
    await expect(console.connection).to_have_attribute("data-state", "reconnecting")
    await console.stop.click()
    await expect(answer).to_contain_text("Stopping")

    await cable.plug_in()
    await expect(answer).to_have_attribute("data-status", "stopped")
    await until(lambda: simulator.journal.records[-1].finish == "cancelled")


async def test_after_a_restart_of_the_server_the_conversation_goes_on(
    remote_console: Console, server: Server, redis_url: str
) -> None:
    console = remote_console
    await console.ask("My name is Ada.")
    await server.stop()
    await expect(console.connection).to_have_attribute("data-state", "reconnecting")
    with Redis.from_url(redis_url) as redis:
        redis.flushall()
    await server.start()

    await console.connected()
    await expect(console.messages).to_have_count(2)
    answer = await console.ask("What is it?")
    await expect(console.text(answer)).to_contain_text(
        'You said: "My name is Ada." Then: "What is it?"'
    )
    await expect(console.questions).to_have_text(["My name is Ada.", "What is it?"])

    await console.page.reload()
    await expect(console.messages).to_have_count(4)


async def test_an_answer_survives_a_restart_of_the_server(
    remote_console: Console, server: Server, simulator: RunningSimulator
) -> None:
    console, answer = remote_console, remote_console.answers.first
    simulator.behaviours.put("*", SLOW)
    await console.say("Take your time.")
    await console.half_way(answer)
    await server.stop()
    await expect(console.connection).to_have_attribute("data-state", "reconnecting")
    await server.start()

    await console.connected()
    await console.finished(answer)
    await expect(console.messages).to_have_count(2)
    assert await console.copied(answer) == "".join(simulator.journal.records[0].tokens)
