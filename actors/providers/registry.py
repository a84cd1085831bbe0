"""Which adapter speaks which wire format."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.core.completion import Provider
    from config import settings


def create(name: str, provider: settings.Provider) -> Provider:
    """A provider's adapter over an SDK client of its own; `name` is what its errors call it.

    Called on the event loop that is going to use it.

    Raises:
        ValueError: the provider has no such API.
    """
    adapter = _ADAPTERS.get((provider.kind, provider.api))
    if adapter is None:
        raise ValueError(f"provider {name!r}: {provider.kind} has no API {provider.api!r}")
    return adapter(name, provider)


def _gemini(name: str, provider: settings.Provider) -> Provider:
    from actors.providers.gemini import Gemini

    return Gemini(name, provider)


def _openai_chat(name: str, provider: settings.Provider) -> Provider:
    from actors.providers.openai_chat import OpenAIChat

    return OpenAIChat(name, provider)


def _openai_responses(name: str, provider: settings.Provider) -> Provider:
    from actors.providers.openai_responses import OpenAIResponses

    return OpenAIResponses(name, provider)


# Functions, since an SDK takes over a second to import and a replica needs one of them.
_ADAPTERS: dict[tuple[str, str], Callable[[str, settings.Provider], Provider]] = {
    ("gemini", "chat"): _gemini,
    ("openai", "chat"): _openai_chat,
    ("openai", "responses"): _openai_responses,
}
