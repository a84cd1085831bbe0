"""A conversation over the socket, from the first message to the end of the answer."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from tests.harness.client import connected

if TYPE_CHECKING:
    from tests.harness.boxes import LocalParley


async def test_an_answer_knows_what_was_said_before(parley: LocalParley) -> None:
    async with connected(parley.websocket_url) as client:
        first, _, _ = await client.ask("My name is Ada.", agent="gemini")
        _, ended, text = await client.ask("What is it?", conversation=first["conversation"])

    assert '"My name is Ada." Then: "What is it?"' in text
    assert ended["type"] == "run.completed"
    assert ended["sha256"] == hashlib.sha256(text.encode()).hexdigest()
