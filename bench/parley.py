"""Parley under test: all of it, as `python serve_app.py` runs it, over the bench's provider."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import yaml

from bench.processes import Processes
from bench.provider import MODEL
from bench.server_process import DidNotStartError, running, without_marker
from bench.subject import Subject
from config.settings import DEVELOPMENT_KEY
from launcher import instance, ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.provider import Provider

_START_S = 240.0


def configuration(provider_url: str) -> dict[str, object]:
    """One agent for each wire, and no other."""
    agent = {"model": MODEL, "timeout_s": 120, "max_sessions": None}
    return {
        "providers": {
            "openai": {"api_key": "simulated", "base_url": f"{provider_url}/openai/v1"},
            "gemini": {"api_key": "simulated", "base_url": f"{provider_url}/gemini"},
        },
        "agents": {
            "gemini": {**agent, "provider": "gemini", "fallbacks": [], "persona": ""},
            "gpt": {**agent, "provider": "openai", "fallbacks": [], "persona": ""},
        },
    }


@contextmanager
def running_parley(provider: Provider, folder: Path) -> Iterator[tuple[Subject, ...]]:
    """Parley once for each wire, until the block ends; `folder` is for its files."""
    [port] = ports.pick_free(1)
    file, state_dir = folder / "bench.yaml", folder / "parley"
    file.write_text(yaml.safe_dump(configuration(provider.url)))
    environment = {
        **without_marker(os.environ),
        "PARLEY_CONFIG": str(file),
        "PARLEY__STATE_DIR": str(state_dir),
        "PARLEY__HTTP__PORT": str(port),
    }
    with running(
        (sys.executable, "serve_app.py"),
        environment=environment,
        log=folder / "parley.log",
        ready_url=f"http://127.0.0.1:{port}/readyz",
        start_s=_START_S,
    ) as process:
        found = instance.read(state_dir)
        if found is None:
            raise DidNotStartError("Parley serves, but has left no instance file.")
        processes = Processes(found.id, also=(process.pid,))
        yield tuple(
            Subject(
                name=name,
                websocket_url=f"ws://127.0.0.1:{port}/v1/ws",
                key=DEVELOPMENT_KEY,
                agent=agent,
                is_compared=agent == "gpt",
                processes=processes,
            )
            for name, agent in (("Parley", "gpt"), ("Parley, Gemini", "gemini"))
        )
