"""Tasks that a replica owns: they outlive the request that began them."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any, Self, TypeVar

import structlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

log = structlog.get_logger()
T = TypeVar("T")


class Background:
    """An owner of tasks.

    Each task begins in an empty `contextvars.Context`: Serve cancels what inherits a request's.
    A failure is logged; closing cancels what still runs and waits for it.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, coroutine: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        loop = asyncio.get_running_loop()
        task = loop.create_task(coroutine, name=name, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task failed", task=task.get_name(), exc_info=error)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def forever(step: Callable[[], Awaitable[object]], *, interval_s: float, what: str) -> None:
    """Supervises a periodic step: a failure is logged, and the next one comes all the same."""
    while True:
        try:
            await step()
        except Exception as error:  # noqa: BLE001 - nothing may end a supervision loop
            log.warning("step failed", step=what, error=str(error))
        await asyncio.sleep(interval_s)
