"""Natural batching: a lone item never waits, and each gets its own answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from actors.background import Background
from actors.batching import Batcher
from actors.core.errors import Internal, Overloaded, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence


class Commits:
    """A commit that takes a second; `bad` items make their batch fail."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.bad: set[int] = set()
        self.error: Exception = Internal("a bad item")

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        await asyncio.sleep(1)
        if self.bad.intersection(items):
            raise self.error
        return [-item for item in items]


@pytest.fixture
def commits() -> Commits:
    return Commits()


async def submit_all(batcher: Batcher[int, int], items: Sequence[int]) -> list[int]:
    return await asyncio.gather(*(batcher.submit(item) for item in items))


async def test_a_lone_item_never_waits(background: Background, commits: Commits) -> None:
    batcher = Batcher(commits, background, name="commit")

    assert await batcher.submit(7) == -7
    assert asyncio.get_running_loop().time() == 1
    assert await batcher.submit(8) == -8
    assert commits.batches == [[7], [8]]


async def test_what_comes_during_a_call_goes_together_in_its_order(
    background: Background, commits: Commits
) -> None:
    batcher = Batcher(commits, background, name="commit")
    first = asyncio.create_task(batcher.submit(0))
    await asyncio.sleep(0.5)

    assert await submit_all(batcher, [3, 1, 2]) == [-3, -1, -2]
    assert await first == 0
    assert commits.batches == [[0], [3, 1, 2]]


async def test_a_batch_has_a_greatest_size(background: Background, commits: Commits) -> None:
    batcher = Batcher(commits, background, name="commit", max_batch=2)

    assert await submit_all(batcher, range(5)) == [0, -1, -2, -3, -4]
    assert [len(batch) for batch in commits.batches] == [2, 2, 1]


async def test_a_bad_item_fails_alone(background: Background, commits: Commits) -> None:
    batcher = Batcher(commits, background, name="commit")
    commits.bad = {2}

    answers = await asyncio.gather(
        *(batcher.submit(item) for item in (1, 2, 3)), return_exceptions=True
    )

    assert answers == [-1, commits.error, -3]
    assert commits.batches == [[1, 2, 3], [1], [2], [3]]


async def test_what_cannot_be_reached_fails_for_all_and_is_not_tried_again(
    background: Background, commits: Commits
) -> None:
    batcher = Batcher(commits, background, name="commit")
    commits.bad, commits.error = {2}, Unavailable()

    answers = await asyncio.gather(
        *(batcher.submit(item) for item in (1, 2, 3)), return_exceptions=True
    )

    assert answers == [commits.error] * 3
    assert commits.batches == [[1, 2, 3]]


async def test_after_a_failure_the_next_item_is_committed_as_ever(
    background: Background, commits: Commits
) -> None:
    batcher = Batcher(commits, background, name="commit")
    commits.bad, commits.error = {1}, LookupError("a defect")

    with pytest.raises(LookupError):
        await batcher.submit(1)

    assert await batcher.submit(2) == -2


@pytest.mark.parametrize("bad", [set(), {2}, {3}])
async def test_a_caller_that_went_away_costs_the_others_nothing(
    background: Background, commits: Commits, bad: set[int]
) -> None:
    batcher = Batcher(commits, background, name="commit")
    commits.bad = bad
    callers = [asyncio.create_task(batcher.submit(item)) for item in (1, 2, 3)]
    await asyncio.sleep(0.5)

    callers[1].cancel()

    assert await callers[0] == -1
    if 3 in bad:
        with pytest.raises(Internal):
            await callers[2]
    else:
        assert await callers[2] == -3
    assert callers[1].cancelled()
    assert await batcher.submit(4) == -4


async def test_too_many_waiting_items_are_refused_at_once(
    background: Background, commits: Commits
) -> None:
    batcher = Batcher(commits, background, name="commit", max_waiting=2)
    callers = [asyncio.create_task(batcher.submit(0))]
    await asyncio.sleep(0.5)
    callers += [asyncio.create_task(batcher.submit(item)) for item in (1, 2)]
    await asyncio.sleep(0)

    with pytest.raises(Overloaded) as refused:
        await batcher.submit(3)

    assert refused.value.retry_after_s == 1.0
    assert await asyncio.gather(*callers) == [0, -1, -2]


async def test_callers_of_a_call_that_is_cancelled_are_cancelled_with_it(commits: Commits) -> None:
    async with Background() as background:
        batcher = Batcher(commits, background, name="commit")
        caller = asyncio.create_task(batcher.submit(1))
        await asyncio.sleep(0.5)

    await asyncio.wait([caller])
    assert caller.cancelled()
