"""Keeps one embedded server alive."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from launcher.instance import Birth
from launcher.server import Server, ServerFailedError

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable

_START_TIMEOUT_S = 60.0
_POLL_S = 0.02
_STOP_GRACE_S = 4.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0

log = logging.getLogger("parley.supervisor")


class Keeper:
    """Starts a server, starts it again whenever it ends, stops it."""

    def __init__(self, server: Server, *, on_start: Callable[[], None]) -> None:
        self.server = server
        self._on_start = on_start
        self._process: Process | None = None

    @property
    def birth(self) -> Birth | None:
        """The process now serving, if one lives."""
        if self._process is None or self._process.returncode is not None:
            return None
        with suppress(Exception):
            return Birth.of(self._process.pid)
        return None

    async def start(self) -> None:
        """Returns when clients are served.

        Raises:
            ServerFailedError: it ended, or was not ready in time.
        """
        self.server.prepare()
        began = monotonic()
        with self.server.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self.server.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.server.directory,
                env={**os.environ, **self.server.environment},
            )
        await self._ready(self._process, began + _START_TIMEOUT_S)
        self._on_start()
        log.info("%s serves after %.2f s", self.server.name, monotonic() - began)

    async def keep(self) -> None:
        """Runs until cancelled."""
        pause_s = _FIRST_PAUSE_S
        while True:
            if self._process is not None:
                code = await self._process.wait()
                log.warning("%s ended with %s; it is started again", self.server.name, code)
            try:
                await self.start()
                pause_s = _FIRST_PAUSE_S
            except ServerFailedError as error:
                log.warning("%s", error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def stop(self) -> None:
        """Returns when the process is gone."""
        if self._process is None or self._process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(self.server.stop_signal)
        try:
            async with asyncio.timeout(_STOP_GRACE_S):
                await self._process.wait()
        except TimeoutError:
            log.warning("%s is killed", self.server.name)
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def _ready(self, process: Process, deadline: float) -> None:
        while not self.server.is_ready(process.pid):
            if process.returncode is not None or monotonic() > deadline:
                await self.stop()
                raise ServerFailedError(
                    f"The embedded {self.server.name} did not start: {self._last_words()}"
                )
            await asyncio.sleep(_POLL_S)  # a server that starts gives no other sign

    def _last_words(self) -> str:
        lines = self.server.log.read_text(errors="replace").strip().splitlines()
        return f"{lines[-1].strip() if lines else 'it said nothing'} ({self.server.log})"
