"""The baseline under test: its process, over a Redis and a Postgres like Parley's own."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.processes import Processes
from bench.provider import MODEL
from bench.server_process import running, without_marker
from bench.subject import Subject
from config.settings import DEVELOPMENT_KEY
from launcher import embedded, ports
from launcher.instance import MARKER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.provider import Provider

_START_S = 60.0


@contextmanager
def running_baseline(
    provider: Provider, folder: Path, *, transport: str = "httpx"
) -> Iterator[tuple[Subject, ...]]:
    """The baseline, until the block ends; `folder` is for its files."""
    [port] = ports.pick_free(1)
    state_dir = folder / "baseline"
    state_dir.mkdir(mode=0o700)
    servers = embedded.started(state_dir, ("redis", "postgres"), os.getpid())
    options = {
        "port": str(port),
        "redis-url": servers.urls["redis"],
        "database-url": servers.urls["postgres"],
        "provider-url": f"{provider.url}/openai/v1",
        "model": MODEL,
        "key": DEVELOPMENT_KEY,
        "transport": transport,
    }
    command = [sys.executable, "-m", "bench.baseline"]
    command += [word for name, value in options.items() for word in (f"--{name}", value)]
    try:
        with running(
            command,
            environment={**without_marker(os.environ), MARKER: servers.id},
            log=folder / "baseline.log",
            ready_url=f"http://127.0.0.1:{port}/openapi.json",
            start_s=_START_S,
        ):
            yield (
                Subject(
                    name="baseline",
                    websocket_url=f"ws://127.0.0.1:{port}/v1/ws",
                    key=DEVELOPMENT_KEY,
                    agent=None,
                    processes=Processes(servers.id),
                ),
            )
    finally:
        embedded.stop(servers)
