"""Using the page by keyboard, on a phone, in the dark, and without seeing it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from simulator import Behaviour
from tests.acceptance.page.conftest import SLOW

if TYPE_CHECKING:
    from simulator import RunningSimulator
    from tests.acceptance.page.console import Console

pytestmark = pytest.mark.asyncio(loop_scope="session")

_WHOLE = "html, body, main, .scroll, .message, .agent-card, .composer, .sidebar"
CONTRAST = Path(__file__).with_name("contrast.js").read_text()
WIDE = """Compare:

| a | table | with | many | columns | that | does | not | fit | a | phone |
|---|---|---|---|---|---|---|---|---|---|---|
| one | two | three | four | five | six | seven | eight | nine | ten | eleven |

```python
very_long_line = "without a space to break it at, which goes on and on and on and on"
```

https://example.org/an/address/without/a/single/place/where/it/could/be/broken/in/two/parts
"""


async def test_enter_sends_shift_enter_begins_a_line_and_escape_stops(
    console: Console, simulator: RunningSimulator
) -> None:
    simulator.behaviours.put("*", Behaviour(tokens_per_s=40, length=400))
    keyboard = console.page.keyboard
    await expect(console.composer).to_be_focused()
    await keyboard.type("one")
    await keyboard.press("Shift+Enter")
    await keyboard.type("two")
    await expect(console.composer).to_have_value("one\ntwo")
    await keyboard.press("Enter")

    await expect(console.text(console.questions.first)).to_have_text("one\ntwo")
    await expect(console.composer).to_have_value("")
    await expect(console.composer).to_be_focused()
    await console.half_way(console.answers.first)
    await keyboard.press("Escape")
    await expect(console.answers.first).to_have_attribute("data-status", "stopped")


async def test_an_empty_message_is_not_sent(console: Console, simulator: RunningSimulator) -> None:
    await console.composer.press("Enter")
    await console.say("   \n ")
    await expect(console.send).to_be_disabled()
    await expect(console.messages).to_have_count(0)
    assert len(simulator.journal.records) == 0


async def test_conversations_are_listed_opened_again_renamed_and_deleted(
    console: Console,
) -> None:
    page, listed = console.page, console.conversations
    await console.ask("About apples")
    first = page.url
    await page.keyboard.press("Control+k")
    await expect(console.messages).to_have_count(0)
    await console.ask("About pears")
    await expect(listed).to_have_text(["About pears", "About apples"])

    await listed.nth(1).get_by_role("link").click()
    await expect(console.questions).to_have_text(["About apples"])
    await expect(page).to_have_url(first)
    await page.go_back()
    await expect(console.questions).to_have_text(["About pears"])

    await listed.nth(1).hover()
    await listed.nth(1).get_by_role("button", name="Rename").click()
    await page.get_by_role("textbox", name="Title").fill("Fruit")
    await page.keyboard.press("Enter")
    await expect(listed).to_have_text(["About pears", "Fruit"])

    await listed.nth(0).hover()
    await listed.nth(0).get_by_role("button", name="Delete").click()
    await page.get_by_test_id("confirm").click()
    await expect(listed).to_have_text(["Fruit"])
    await page.reload()
    await console.connected()
    await expect(listed).to_have_text(["Fruit"])
    await expect(console.messages).to_have_count(0)


async def test_a_wrong_key_is_refused_and_the_right_one_admitted(console: Console) -> None:
    page, key = console.page, console.page.get_by_test_id("api-key")
    await page.get_by_test_id("sign-out").click()
    await key.fill("not-a-key")
    await page.get_by_test_id("sign-in").click()
    await expect(page.get_by_text("That key was not accepted")).to_be_visible()

    await key.fill("parley-development-key")
    await key.press("Enter")
    await console.connected()
    await console.ask("May I?")


async def test_a_phone_scrolls_in_one_direction_only(
    console: Console, simulator: RunningSimulator
) -> None:
    page = console.page
    await page.set_viewport_size({"width": 390, "height": 844})
    await expect(page.locator(".agent-card", has_text="simulated").first).to_be_visible()
    assert await _overflow(console) <= 0
    simulator.behaviours.put("*", Behaviour(tokens_per_s=400))
    await console.ask(WIDE)
    assert await _overflow(console) <= 0
    await expect(console.composer).to_be_in_viewport(ratio=1)

    await page.get_by_role("button", name="Conversations").click()
    await expect(console.conversations.first).to_be_in_viewport()
    assert await _overflow(console) <= 0
    await page.keyboard.press("Escape")
    await expect(console.conversations.first).not_to_be_in_viewport()
    await expect(console.stop).to_be_hidden()


async def _overflow(console: Console) -> int:
    """By how many pixels something is too wide; tables and code, which scroll, aside."""
    widths = "e => Math.max(...e.map(each => each.scrollWidth - each.clientWidth))"
    return int(await console.page.locator(_WHOLE).evaluate_all(widths))


async def test_every_text_can_be_read_in_the_light_and_in_the_dark(
    console: Console, simulator: RunningSimulator
) -> None:
    await expect(console.page.locator(".agent-card", has_text="simulated").first).to_be_visible()
    assert await _faint_texts(console) == []

    simulator.behaviours.put("*", SLOW)
    await console.say("What does this look like?")
    await console.half_way(console.answers.first)
    assert await _faint_texts(console) == []
    await console.stop.click()
    await expect(console.answers.first).to_have_attribute("data-status", "stopped")
    assert await _faint_texts(console) == []


async def _faint_texts(console: Console) -> list[object]:
    faint: list[object] = []
    for theme in ("light", "dark"):
        await console.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        faint += await console.page.evaluate(CONTRAST)
    return faint


async def test_the_chosen_theme_lasts(console: Console) -> None:
    body = console.page.locator("html")
    before = await body.evaluate("e => getComputedStyle(e).backgroundColor")
    await console.page.get_by_test_id("theme").click()
    await expect(body).not_to_have_css("background-color", before)
    await console.page.reload()
    await expect(body).not_to_have_css("background-color", before)


async def test_everything_has_a_name_for_those_who_do_not_see_it(console: Console) -> None:
    await console.ask("Describe yourself.")
    await expect(console.page.locator("html")).to_have_attribute("lang", "en")
    await expect(console.page).to_have_title("Describe yourself. · Parley")
    await expect(console.page.locator("body")).to_match_aria_snapshot("""
        - complementary:
          - button "New conversation"
          - navigation "Conversations":
            - heading "Today"
            - list:
              - listitem:
                - link "Describe yourself."
          - button "Theme"
          - button "Change key"
        - main:
          - heading "Describe yourself." [level=1]
          - status "Connected"
          - log "Messages":
            - article "You": Describe yourself.
            - article "gemini":
              - text: gemini gemini-3.8-flash simulated
              - button "Copy answer"
          - textbox "Message"
          - combobox "Agent"
          - button "Send" [disabled]
    """)
    nameless = console.page.locator("button, a, input, select, textarea, [role=button]")
    for control in await nameless.all():
        if await control.is_visible():
            await expect(control).to_have_accessible_name(re.compile(r"\S"))
