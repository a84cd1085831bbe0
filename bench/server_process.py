"""A server that the bench starts, waits for, and ends."""

from __future__ import annotations

import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

from launcher.instance import MARKER
from launcher.sweep import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_END_S = 30.0


class DidNotStartError(Exception):
    """A server under test did not serve in time; the message ends with its last words."""


@contextmanager
def running(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    log: Path,
    ready_url: str,
    start_s: float,
) -> Iterator[subprocess.Popen[bytes]]:
    """The process, from when `ready_url` answers until the block ends; SIGINT ends it.

    Raises:
        DidNotStartError: it ended, or was not ready within `start_s`.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own commands
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for the bench: it ends its servers in order
        )
    try:
        wait_until(
            lambda: process.poll() is not None or _answers(ready_url),
            timeout_s=start_s,
            every_s=0.2,
        )
        if process.poll() is not None or not _answers(ready_url):
            raise DidNotStartError(f"{command[1:]}: {log.read_text(errors='replace')[-2000:]}")
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGINT, and SIGKILL when that does not end it; Parley's supervisor then ends the rest."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def without_marker(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment that names no instance and configures no Parley."""
    return {
        name: value
        for name, value in environment.items()
        if name != MARKER and not name.startswith("PARLEY_")
    }


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
