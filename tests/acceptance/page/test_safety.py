"""What a model says, or a stranger sends, never runs in the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from simulator import Behaviour
from tests.harness.client import KEY

if TYPE_CHECKING:
    from simulator import RunningSimulator
    from tests.acceptance.page.conftest import Server
    from tests.acceptance.page.console import Console

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = """<img src=x onerror=alert(1)> <script>alert(2)</script>
<svg onload=alert(3)><style>body{display:none}</style><iframe src="//evil.example"></iframe>

<script>alert(4)</script>

<a href="javascript:alert(5)">html</a> [markdown](javascript:alert(6)) [data](data:text/html,7)

![picture](http://evil.example/x.png) <form action="//evil.example"><button>press</button></form>

```html
<img src=x onerror=alert(8)>
```
"""


async def test_html_in_messages_answers_and_titles_stays_text(
    console: Console, simulator: RunningSimulator
) -> None:
    asked: list[str] = []
    console.page.on("request", lambda request: asked.append(request.url))
    simulator.behaviours.put("*", Behaviour(tokens_per_s=400))
    answer = await console.ask(HOSTILE)

    for message in (console.questions.first, answer):
        text = console.text(message)
        await expect(text).to_contain_text("<img src=x onerror=alert(1)>")
        await expect(text).to_contain_text("<script>alert(4)</script>")
        live = text.locator("img, script, svg:not(.icon), style, iframe, form, [onload], [onerror]")
        await expect(live).to_have_count(0)
        await expect(text.locator('[href^="javascript:"], [href^="data:"]')).to_have_count(0)
    await expect(answer.get_by_role("link", name="picture")).to_have_attribute(
        "rel", "noopener noreferrer nofollow"
    )
    await expect(console.conversations.first).to_contain_text("<img src=x onerror=alert(1)>")
    await expect(console.page.locator("nav img")).to_have_count(0)
    assert [url for url in asked if "evil" in url] == []


async def test_the_page_allows_nothing_but_its_own_origin(console: Console, server: Server) -> None:
    response = await console.page.reload()
    assert response is not None
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    await console.connected()
    sources = await console.page.evaluate(
        "() => performance.getEntriesByType('resource').map(entry => new URL(entry.name).origin)"
    )
    assert set(sources) == {server.url}


async def test_the_key_never_stands_in_an_address(console: Console) -> None:
    page, addresses = console.page, [console.page.url]
    page.on("request", lambda request: addresses.append(request.url))
    page.on("websocket", lambda socket: addresses.append(socket.url))
    await page.reload()
    await console.ask("Where is my key?")
    addresses.append(page.url)
    assert any(address.startswith("ws://") for address in addresses)
    assert [address for address in addresses if KEY in address] == []
