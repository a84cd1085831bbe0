"""What the person who starts Parley reads."""

from __future__ import annotations

import re

import pytest

from config.loading import load
from launcher.screen import Progress, page_of, ready_screen


def screen(**environ: str) -> str:
    settings = load(environ)
    return ready_screen(
        settings, simulated=settings.simulated_providers, proxy="HAProxy", dashboard=None
    )


def test_the_screen_tells_where_to_go_and_with_which_key() -> None:
    text = screen(PARLEY__HTTP__PORT="8123")
    assert "http://127.0.0.1:8123/\n" in text
    assert "ws://127.0.0.1:8123/v1/ws\n" in text
    assert "parley-development-key" in text
    assert "Ctrl-C" in text


def test_the_screen_never_shows_a_key_of_ones_own() -> None:
    text = screen(PARLEY_BOOTSTRAP_KEY="hush")
    assert "hush" not in text
    assert "PARLEY_BOOTSTRAP_KEY" in text


def test_the_screen_says_when_there_is_no_key() -> None:
    assert "none was configured" in screen(PARLEY__AUTH__BOOTSTRAP_KEY="null")


def test_the_screen_says_which_agents_are_simulated() -> None:
    text = screen(OPENAI_API_KEY="k")
    assert re.search(r"gemini \([^)]*, simulated\)", text)
    assert not re.search(r"gpt \([^)]*, simulated\)", text)
    assert "No key for gemini:" in text


def test_the_screen_does_not_speak_of_simulation_when_all_is_real() -> None:
    assert "simulated" not in screen(OPENAI_API_KEY="k", GEMINI_API_KEY="k")


def test_the_screen_shows_the_dashboard_when_there_is_one() -> None:
    text = ready_screen(load({}), simulated=(), proxy="HAProxy", dashboard="127.0.0.1:8265")
    assert "http://127.0.0.1:8265/" in text


@pytest.mark.parametrize(
    ("host", "shown"),
    [("0.0.0.0", "127.0.0.1"), ("'::'", "127.0.0.1"), ("10.0.0.1", "10.0.0.1"), ("'::1'", "[::1]")],
)
def test_the_page_is_where_a_browser_of_this_machine_finds_it(host: str, shown: str) -> None:
    assert page_of(load({"PARLEY__HTTP__HOST": host})) == f"http://{shown}:8000/"


def test_a_step_is_one_line_with_its_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    Progress().tell("Ray: up")
    assert re.fullmatch(r"\[ +\d+\.\d s\] Ray: up\n", capsys.readouterr().out)
