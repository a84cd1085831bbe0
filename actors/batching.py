"""Natural batching: while one call is in flight, the next one's items gather."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from actors.core.errors import Internal, Overloaded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from actors.background import Background

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Hands items to `commit` in batches. A lone item never waits; a batch's results are in its
    order. Where a batch fails as Internal, its items are tried one by one, so that a bad one
    fails alone.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        background: Background,
        *,
        name: str,
        max_batch: int = 64,
        max_waiting: int = 4096,
    ) -> None:
        self._commit = commit
        self._background = background
        self._name = name
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._running = False

    async def submit(self, item: Item) -> Result:
        """Raises what `commit` raises, or Overloaded where too many wait."""
        if len(self._waiting) >= self._max_waiting:
            raise Overloaded(retry_after_s=1.0)
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if not self._running:
            self._running = True
            self._background.start(self._drain(), name=self._name)
        return await future

    async def _drain(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[: self._max_batch]
                del self._waiting[: self._max_batch]
                await self._settle(batch)
        finally:
            self._running = False

    async def _settle(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._commit([item for item, _ in batch])
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Internal as error:
            if len(batch) == 1:
                _fail(batch, error)
                return
            for one in batch:
                await self._settle([one])
        except Exception as error:  # noqa: BLE001 - each caller gets it
            _fail(batch, error)
        else:
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)


def _fail(batch: Sequence[tuple[object, asyncio.Future[Result]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
