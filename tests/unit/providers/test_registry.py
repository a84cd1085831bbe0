"""The configuration selects an adapter, and loads no other SDK."""

from __future__ import annotations

import subprocess
import sys

import pytest

from actors.providers import registry
from config.settings import Provider


@pytest.mark.parametrize(
    ("kind", "api", "adapter"),
    [
        ("gemini", "chat", "Gemini"),
        ("openai", "chat", "OpenAIChat"),
        ("openai", "responses", "OpenAIResponses"),
    ],
)
async def test_kind_and_api_select_the_adapter(kind, api, adapter):
    made = registry.create("acme", Provider(kind=kind, api=api, api_key="none"))
    assert type(made).__name__ == adapter
    await made.aclose()


def test_an_api_that_a_provider_does_not_have_is_refused():
    with pytest.raises(ValueError, match="'acme': gemini has no API 'responses'"):
        registry.create("acme", Provider(kind="gemini", api="responses"))


@pytest.mark.parametrize(
    ("kind", "loaded", "spared"),
    [("gemini", "google.genai", "openai"), ("openai", "openai", "google.genai")],
)
def test_only_the_providers_own_sdk_is_loaded(kind, loaded, spared):
    program = f"""
import asyncio, sys
from actors.providers import registry
from config.settings import Provider

async def main():
    assert not {{"openai", "google.genai"}} & set(sys.modules)
    await registry.create("acme", Provider(kind="{kind}")).aclose()
    assert "{loaded}" in sys.modules and "{spared}" not in sys.modules

asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", program], check=True)
