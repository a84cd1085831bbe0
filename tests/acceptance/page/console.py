"""The console in one tab, as a person uses it; found by the hooks that web/README.md lists."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.async_api import expect

if TYPE_CHECKING:
    from playwright.async_api import ConsoleMessage, Dialog, Locator, Page

_OFFLINE = re.compile(r"^WebSocket connection to |^Failed to load resource: net::")


class Console:
    """`problems`: everything a developer's console would show in red, and every dialog."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        self.connection = page.get_by_test_id("connection")
        self.composer = page.get_by_test_id("composer")
        self.send = page.get_by_test_id("send")
        self.stop = page.get_by_test_id("stop")
        self.agent = page.get_by_test_id("agent-select")
        self.messages = page.get_by_test_id("message")
        self.questions = page.locator('[data-testid=message][data-role="user"]')
        self.answers = page.locator('[data-testid=message][data-role="assistant"]')
        self.conversations = page.get_by_test_id("conversation-item")
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("dialog", self._refuse)

    async def open(self, url: str) -> None:
        await self.page.goto(url)
        await self.connected()

    async def connected(self) -> None:
        await expect(self.connection).to_have_attribute("data-state", "open")

    async def say(self, text: str) -> None:
        await self.composer.fill(text)
        await self.composer.press("Enter")

    async def ask(self, text: str) -> Locator:
        """Says something and waits for the whole answer, its digest compared."""
        place = await self.answers.count()
        await self.say(text)
        return await self.finished(self.answers.nth(place))

    async def finished(self, answer: Locator) -> Locator:
        await expect(answer).to_have_attribute("data-verified", "true")
        await expect(answer).to_have_attribute("data-status", "complete")
        return answer

    async def half_way(self, answer: Locator, characters: int = 80) -> None:
        """Waits until some of an answer is on the page, and it still grows."""
        await expect(self.text(answer)).to_have_text(re.compile(rf"[\s\S]{{{characters}}}"))
        await expect(answer).to_have_attribute("data-status", "running")

    def text(self, message: Locator) -> Locator:
        return message.get_by_test_id("message-text")

    async def copied(self, answer: Locator) -> str:
        """The answer as its copy button gives it: the text itself, before any markdown."""
        await answer.hover()
        await answer.get_by_role("button", name="Copy answer").click()
        return str(await self.page.evaluate("() => navigator.clipboard.readText()"))

    def problems_online(self) -> list[str]:
        """The problems, without those of a network that a test took away."""
        return [problem for problem in self.problems if not _OFFLINE.match(problem)]

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.problems.append(message.text)

    async def _refuse(self, dialog: Dialog) -> None:
        self.problems.append(f"dialog: {dialog.message}")
        await dialog.dismiss()
