"""The load generator's process, as the bench drives it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import orjson

from bench.load_order import Order, Report, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator


class LoadFailedError(Exception):
    """The load generator ended without a report; what it said stands above."""


class LoadProcess:
    """Connected clients that wait for the word."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def run(self) -> Report:
        """Returns when every conversation has ended; the sockets are still open then."""
        self._say(b"go\n")
        said = orjson.loads(self._hear())
        turns = tuple(Turn(**turn) for turn in said.pop("turns"))
        return Report(turns=turns, **said)

    def await_connected(self) -> None:
        self._hear()

    def order(self, order: Order) -> None:
        self._say(orjson.dumps(order) + b"\n")

    def _say(self, line: bytes) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def _hear(self) -> bytes:
        line = self._process.stdout.readline() if self._process.stdout else b""
        if not line:
            raise LoadFailedError
        return line


@contextmanager
def connected(order: Order) -> Iterator[LoadProcess]:
    """The generator with all its sockets open, until the block ends.

    Raises:
        LoadFailedError: it could not connect, or took longer than the order's deadline.
    """
    command = [sys.executable, "-m", "bench.load"]
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            load = LoadProcess(process)
            load.order(order)
            load.await_connected()
            yield load
        finally:
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
