"""Tasks of a replica: owned, apart from the request that began them, ended with their owner."""

from __future__ import annotations

import asyncio
import contextvars

import pytest
from structlog.testing import capture_logs

from actors.background import Background, forever

REQUEST = contextvars.ContextVar("REQUEST", default="none")


async def test_a_task_begins_in_an_empty_context(background: Background) -> None:
    REQUEST.set("a request's")

    async def read() -> str:
        return REQUEST.get()

    assert await background.start(read(), name="read") == "none"


async def test_closing_cancels_what_still_runs_and_waits_for_its_clean_up() -> None:
    steps = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(5)
            steps.append("cleaned up")

    async with Background() as background:
        task = background.start(work(), name="work")
        await asyncio.sleep(0)

    assert task.cancelled()
    assert steps == ["cleaned up"]


async def test_a_task_that_is_done_is_no_longer_kept(background: Background) -> None:
    await background.start(asyncio.sleep(0), name="nap")
    await asyncio.sleep(0)

    assert not background._tasks


async def test_a_failure_is_logged_and_still_reaches_who_awaits_it(background: Background) -> None:
    async def fail() -> None:
        raise LookupError("nothing there")

    with capture_logs() as logs, pytest.raises(LookupError):
        await background.start(fail(), name="search")

    assert [(entry["event"], entry["task"]) for entry in logs] == [("task failed", "search")]


async def test_a_cancelled_task_is_no_failure(background: Background) -> None:
    with capture_logs() as logs:
        task = background.start(asyncio.Event().wait(), name="wait")
        task.cancel()
        await asyncio.wait([task])

    assert not logs


async def test_a_step_that_fails_is_followed_by_the_next_one(background: Background) -> None:
    begun: list[float] = []
    loop = asyncio.get_running_loop()

    async def step() -> None:
        begun.append(loop.time())
        if len(begun) == 1:
            raise LookupError("nothing there")

    with capture_logs() as logs:
        background.start(forever(step, interval_s=3, what="look"), name="look")
        await asyncio.sleep(7)

    assert begun == [0, 3, 6]
    assert [(entry["event"], entry["step"]) for entry in logs] == [("step failed", "look")]
