"""Time that passes only while nothing else happens: no test here waits for a clock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from actors.background import Background

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping


class TimeTravelLoop(asyncio.SelectorEventLoop):
    """An event loop without I/O: where all tasks wait, its time is that of the next timer.

    Where there is none either, they would wait for ever, and the test fails.
    """

    _now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        inner: Any = self
        timers = [timer.when() for timer in inner._scheduled if not timer.cancelled()]
        if not inner._ready and not inner._stopping:
            if not timers:
                raise RuntimeError("everything waits, and nothing will ever happen")
            self._now = max(self._now, min(timers))
        super()._run_once()  # type: ignore[misc]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"time travel": TimeTravelLoop}


@pytest.fixture
async def background() -> AsyncIterator[Background]:
    async with Background() as owner:
        yield owner
