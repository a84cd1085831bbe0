"""The simulated providers, as an embedded server."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from launcher.server import Server

PROJECT = Path(__file__).resolve().parents[1]
_PACE = ("--first-token-s", "0.2", "--tokens-per-s", "80", "--length", "100")
"""As a quick model answers: a person sees the answer stream in."""


def simulator_server(state_dir: Path, port: int) -> Server:
    return Server(
        name="simulator",
        url=f"http://127.0.0.1:{port}",
        command=(
            *(sys.executable, "-m", "simulator", "--host", "127.0.0.1", "--port", str(port)),
            *_PACE,
        ),
        log=state_dir / "simulator.log",
        is_ready=lambda _pid: _accepts(port),
        directory=PROJECT,
    )


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
