"""Work off the main thread."""

from __future__ import annotations

import threading

import pytest

from launcher.background import Background


def test_waiting_raises_what_the_action_raised() -> None:
    def fail() -> None:
        raise LookupError("no luck")

    with pytest.raises(LookupError, match="no luck"):
        Background(fail).wait()


def test_the_thread_outlives_its_action_since_rays_processes_die_with_it() -> None:
    threads = []
    Background(lambda: threads.append(threading.current_thread())).wait()
    assert threads[0].is_alive()


def test_an_action_that_does_not_end_in_time_is_left_behind_and_known() -> None:
    go = threading.Event()

    def wait() -> None:
        go.wait()

    stuck = Background(wait)
    assert not stuck.ends_within(0)
    assert Background.is_any_busy()
    go.set()
    assert stuck.ends_within(5)
    assert not Background.is_any_busy()
