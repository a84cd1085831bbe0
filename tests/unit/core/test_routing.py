"""Which agent answers: the one asked for, else the last one, else the default."""

from __future__ import annotations

import pytest

from actors.core.routing import Route, choose
from config.settings import Agent

AGENTS = {
    "gemini": Agent(provider="gemini", model="g", fallbacks=("gpt", "local")),
    "gpt": Agent(provider="openai", model="o", fallbacks=("gemini",)),
    "local": Agent(provider="local", model="l"),
}


@pytest.mark.parametrize(
    ("requested", "sticky", "expected"),
    [
        ("gpt", "local", Route(agents=("gpt", "gemini"), reason="requested")),
        (None, "local", Route(agents=("local",), reason="sticky")),
        (None, None, Route(agents=("gemini", "gpt", "local"), reason="default")),
        ("gone", "gpt", Route(agents=("gpt", "gemini"), reason="sticky")),
        ("gone", "gone too", Route(agents=("gemini", "gpt", "local"), reason="default")),
    ],
)
def test_the_nearest_wish_that_is_configured_wins(
    requested: str | None, sticky: str | None, expected: Route
) -> None:
    chosen = choose(requested=requested, sticky=sticky, default="gemini", agents=AGENTS)

    assert chosen == expected


def test_a_default_that_is_not_configured_is_a_mistake_of_the_configuration() -> None:
    with pytest.raises(ValueError, match="nobody"):
        choose(requested=None, sticky=None, default="nobody", agents=AGENTS)
