"""The commands of README.md, as they stand there, against a running Parley."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from config.loading import load

if TYPE_CHECKING:
    from tests.harness.boxes import LocalParley

README = Path(__file__).parents[2] / "README.md"
PATIENCE_S = 60.0


def example(name: str) -> str:
    """The code between a pair of markers."""
    pattern = rf"<!-- {name} -->\n```\w+\n(.*?)```\n<!-- /{name} -->"
    found = re.search(pattern, README.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def replaced(code: str, before: str, after: str) -> str:
    assert before in code
    return code.replace(before, after)


async def output(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    told, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 0, told.decode()
    return told.decode()


@pytest.mark.parametrize("agent", load({}).agents)
async def test_the_python_client_holds_a_conversation_with_every_agent(
    parley: LocalParley, agent: str
) -> None:
    code = replaced(example("client"), '"ws://127.0.0.1:8000/v1/ws"', repr(parley.websocket_url))
    code = replaced(code, '"gemini"', repr(agent))

    first, second, rest = (await output(sys.executable, "-c", code)).split("[run.completed]\n")

    assert 'You said: "My name is Ada."' in first
    assert 'You said: "My name is Ada." Then: "What is my name?"' in second
    assert not rest


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_curl_hears_an_answer_to_its_end(parley: LocalParley) -> None:
    code = replaced(example("curl"), "http://127.0.0.1:8000", parley.url)

    told = await output("sh", "-c", code)

    events = [json.loads(data) for data in re.findall(r"^data: (.*)$", told, re.MULTILINE)]
    text = "".join(event["text"] for event in events if event["type"] == "delta")
    assert events[-1]["type"] == "run.completed"
    assert events[-1]["agent"] == "gpt"
    assert text.startswith('You said: "My name is Ada."')
