"""Flow counts what a client has answered for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.gateway.flow import MAX_OUTSTANDING_BYTES, MAX_REPLIED_BYTES, PING_BYTES, Flow


def test_a_ping_is_due_after_every_so_many_bytes() -> None:
    flow = Flow()

    assert not flow.sent(PING_BYTES - 1, now=0)
    assert flow.sent(1, now=0)
    assert not flow.sent(PING_BYTES - 1, now=0)
    assert flow.sent(10 * PING_BYTES, now=0)


def test_events_wait_past_the_limit_until_a_pong_answers_for_enough() -> None:
    flow = Flow()
    flow.sent(MAX_OUTSTANDING_BYTES, now=1)
    assert flow.open
    assert flow.blocked_since is None

    flow.sent(1, now=2)
    assert not flow.open
    assert flow.open_for_replies
    assert flow.blocked_since == 2

    flow.answered(1, now=3)
    assert flow.open
    assert flow.blocked_since is None


def test_replies_wait_as_well_when_nothing_at_all_is_answered() -> None:
    flow = Flow()
    flow.sent(MAX_OUTSTANDING_BYTES + MAX_REPLIED_BYTES + 1, now=0)

    assert not flow.open_for_replies


def test_every_progress_prolongs_the_patience_with_a_slow_client() -> None:
    flow = Flow()
    flow.sent(3 * MAX_OUTSTANDING_BYTES, now=1)
    flow.sent(1, now=2)
    assert flow.blocked_since == 1

    flow.answered(MAX_OUTSTANDING_BYTES, now=5)
    assert flow.blocked_since == 5
    flow.answered(MAX_OUTSTANDING_BYTES, now=9)
    assert flow.blocked_since == 5


@pytest.mark.parametrize("t", [None, "7", 7.5, [7], -1, 0, 101])
def test_a_pong_that_answers_no_ping_changes_nothing(t: Any) -> None:
    flow = Flow()
    flow.sent(100, now=0)
    flow.answered(t, now=1)

    assert flow.outstanding_bytes == 100


@given(st.lists(st.integers(1, 200_000)))
def test_whoever_answers_every_ping_is_never_held_up(sizes: list[int]) -> None:
    flow = Flow()
    for size in sizes:
        if flow.sent(size, now=0):
            flow.answered(flow.sent_bytes, now=0)
        assert flow.open
