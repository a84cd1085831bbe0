"""What the settings leave to the embedded servers."""

from __future__ import annotations

import pytest

from config.loading import load
from launcher import embedded

URLS = {"redis": "redis://r", "postgres": "postgresql://p", "simulator": "http://s"}


@pytest.mark.parametrize(
    ("environ", "kinds"),
    [
        ({}, ("redis", "postgres", "simulator")),
        ({"REDIS_URL": "redis://mine"}, ("postgres", "simulator")),
        ({"DATABASE_URL": "postgresql://mine"}, ("redis", "simulator")),
        ({"OPENAI_API_KEY": "k", "GEMINI_API_KEY": "k"}, ("redis", "postgres")),
    ],
)
def test_what_is_not_configured_is_embedded(
    environ: dict[str, str], kinds: tuple[str, ...]
) -> None:
    assert embedded.needed(load(environ)) == kinds


def test_addresses_are_filled_in_and_configured_ones_kept() -> None:
    settings = load({"REDIS_URL": "redis://mine", "OPENAI_API_KEY": "real"})
    filled = embedded.addressed(settings, URLS)
    urls = (filled.redis.url, filled.database.url)
    assert [u and u.get_secret_value() for u in urls] == ["redis://mine", "postgresql://p"]
    assert filled.providers["openai"] == settings.providers["openai"]
    assert filled.providers["gemini"].base_url == "http://s/gemini"


def test_each_simulated_provider_has_its_own_path_in_its_own_shape() -> None:
    filled = embedded.addressed(load({}), URLS)
    assert filled.providers["gemini"].base_url == "http://s/gemini"
    assert filled.providers["openai"].base_url == "http://s/openai/v1"
    assert filled.simulated_providers == ()


def test_when_nothing_is_missing_nothing_is_started() -> None:
    environ = {"REDIS_URL": "redis://r", "DATABASE_URL": "postgresql://p"}
    settings = load(environ | {"OPENAI_API_KEY": "k", "GEMINI_API_KEY": "k"})
    assert embedded.ensure(settings) == embedded.Endpoints(settings, ())
