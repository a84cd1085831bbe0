"""The one process that owns the embedded servers of a Parley, and ends all that is left of it."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import shutil
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from launcher import instance, ports
from launcher.instance import MARKER, Birth, Instance
from launcher.keeper import Keeper
from launcher.postgres_server import postgres_server
from launcher.ray_flags import scratch
from launcher.redis_server import redis_server
from launcher.server import Server, ServerFailedError
from launcher.simulator_server import simulator_server
from launcher.sweep import family, sweep

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS: dict[str, Callable[[Path, int], Server]] = {
    "redis": redis_server,
    "postgres": postgres_server,
    "simulator": simulator_server,
}
_WATCH_S = 0.25

log = logging.getLogger("parley.supervisor")


@dataclass(frozen=True, slots=True)
class Order:
    """What a supervisor is started with."""

    state_dir: Path
    watched: Birth
    kinds: tuple[str, ...]
    page: str
    ready_fd: int


class Supervisor:
    def __init__(self, order: Order) -> None:
        self._order = order
        self._keepers: list[Keeper] = []
        self._instance = Instance(
            id=os.environ[MARKER],
            supervisor=Birth.of(os.getpid()),
            watched=order.watched,
            page=order.page,
        )

    async def run(self) -> None:
        """Returns when the watched process is gone, or on SIGTERM, and everything is ended.

        Raises:
            ServerFailedError: a server did not start; everything is ended then, too.
        """
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        try:
            await self._start()
            async with asyncio.TaskGroup() as tasks:
                keeping = [
                    tasks.create_task(keeper.keep(), name=keeper.server.name)
                    for keeper in self._keepers
                ]
                await self._until_unwanted(stopped)
                for task in keeping:
                    task.cancel()
        finally:
            await self._end()

    async def _start(self) -> None:
        """All servers at once; their addresses are then fixed for the instance's life."""
        kinds = self._order.kinds
        servers = await asyncio.gather(
            *(
                asyncio.to_thread(KINDS[kind], self._order.state_dir, port)
                for kind, port in zip(kinds, ports.pick_free(len(kinds)), strict=True)
            )
        )
        self._keepers = [Keeper(server, on_start=self._save) for server in servers]
        self._save()
        async with asyncio.TaskGroup() as starting:
            for keeper in self._keepers:
                starting.create_task(keeper.start(), name=keeper.server.name)

    async def _until_unwanted(self, stopped: asyncio.Event) -> None:
        _tell(self._order.ready_fd, {"ready": True})
        while not stopped.is_set() and self._instance.is_wanted:
            try:
                async with asyncio.timeout(_WATCH_S):
                    await stopped.wait()
            except TimeoutError:
                continue
        log.info("ends: %s", "asked to" if stopped.is_set() else "the watched process is gone")

    async def _end(self) -> None:
        """Users of the servers first, then the servers."""
        births = [birth for keeper in self._keepers if (birth := keeper.birth) is not None]
        spare = family(births) | {self._instance.watched.pid}
        await asyncio.to_thread(sweep, self._instance.id, spare=spare)
        await asyncio.gather(*(keeper.stop() for keeper in self._keepers))
        await asyncio.to_thread(
            sweep, self._instance.id, spare={self._instance.watched.pid}, grace_s=1
        )
        shutil.rmtree(scratch(self._instance.id), ignore_errors=True)
        instance.forget(self._order.state_dir)

    def _save(self) -> None:
        births = (keeper.birth for keeper in self._keepers)
        self._instance = replace(
            self._instance,
            urls={keeper.server.name: keeper.server.url for keeper in self._keepers},
            servers=tuple(birth for birth in births if birth is not None),
        )
        instance.write(self._order.state_dir, self._instance)


def _tell(descriptor: int, message: dict[str, object]) -> None:
    """One JSON line to the starter, who reads to the end of the pipe."""
    with os.fdopen(descriptor, "w") as pipe:
        json.dump(message, pipe)


def _parse(arguments: list[str]) -> Order:
    parser = argparse.ArgumentParser()
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--watch-pid", type=int, required=True)
    parser.add_argument("--servers", default="")
    parser.add_argument("--page", default="")
    parser.add_argument("--ready-fd", type=int, required=True)
    given = parser.parse_args(arguments)
    return Order(
        state_dir=given.state_dir,
        watched=Birth.of(given.watch_pid),
        kinds=tuple(kind for kind in given.servers.split(",") if kind),
        page=given.page,
        ready_fd=given.ready_fd,
    )


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    order = _parse(sys.argv[1:])
    try:
        asyncio.run(Supervisor(order).run())
    except* ServerFailedError as failures:
        _tell(order.ready_fd, {"ready": False, "reason": str(failures.exceptions[0])})
        sys.exit(1)


if __name__ == "__main__":
    main()
