"""A feed knows a conversation's newest events, or that it does not know them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.core.cursors import Cursor
from actors.gateway.feed import CHUNK, Feed, Watch


def event(n: int) -> bytes:
    return b'{"n":%d}' % n


def feed_of(*spans: tuple[int, int, int]) -> Feed:
    """A feed that was told (generation, first, last) spans of events."""
    feed = Feed("c")
    for generation, first, last in spans:
        feed.add(generation, first, [event(n) for n in range(first, last + 1)])
    return feed


def told(feed: Feed, after: Cursor) -> list[int] | None:
    frames = feed.after(after)
    return None if frames is None else [frame.cursor.n for frame in frames]


def test_the_frames_after_a_cursor_carry_theirs() -> None:
    frames = feed_of((7, 1, 3)).after(Cursor(7, 1))

    assert frames is not None
    assert [frame.text for frame in frames] == [
        b'{"n":2,"cursor":"7.2"}',
        b'{"n":3,"cursor":"7.3"}',
    ]
    assert [frame.cursor for frame in frames] == [Cursor(7, 2), Cursor(7, 3)]


def test_nothing_comes_after_the_newest() -> None:
    assert told(feed_of((1, 1, 3)), Cursor(1, 3)) == []


def test_events_are_known_once() -> None:
    feed = feed_of((1, 1, 4), (1, 3, 6), (1, 1, 2))

    assert told(feed, Cursor(1, 0)) == [1, 2, 3, 4, 5, 6]


def test_what_memory_does_not_reach_back_to_is_not_guessed() -> None:
    feed = feed_of((1, 5, 8))

    assert told(feed, Cursor(1, 4)) == [5, 6, 7, 8]
    assert told(feed, Cursor(1, 3)) is None


def test_a_gap_forgets_what_came_before_it() -> None:
    feed = feed_of((1, 1, 4), (1, 7, 8))

    assert told(feed, Cursor(1, 4)) is None
    assert told(feed, Cursor(1, 6)) == [7, 8]


def test_a_later_generation_replaces_and_an_earlier_one_is_passed_over() -> None:
    feed = feed_of((1, 1, 4), (2, 1, 2), (1, 5, 9))

    assert feed.last == Cursor(2, 2)
    assert told(feed, Cursor(1, 4)) is None
    assert told(feed, Cursor(2, 0)) == [1, 2]


def test_events_that_only_the_log_holds_are_known_to_be_there() -> None:
    feed = feed_of((1, 1, 4))
    feed.reach(Cursor(1, 9))
    feed.reach(Cursor(1, 2))

    assert feed.last == Cursor(1, 9)
    assert told(feed, Cursor(1, 4)) is None
    assert told(feed, Cursor(1, 9)) == []


def test_a_watch_that_is_ahead_waits() -> None:
    """It has read from the log what the channel is yet to tell."""
    assert told(feed_of((1, 1, 4)), Cursor(1, 6)) == []


def test_frames_come_in_chunks() -> None:
    feed = feed_of((1, 1, 2 * CHUNK))

    assert told(feed, Cursor(1, 0)) == list(range(1, CHUNK + 1))


def test_memory_is_bounded_in_events_and_in_bytes() -> None:
    many = feed_of((1, 1, 5_000))
    large = Feed("c")
    for n in range(1, 101):
        large.add(1, n, [b'{"text":"%s"}' % (b"x" * 10_000)])

    assert len(many.recent) <= 512
    assert sum(len(frame.text) for frame in large.recent) <= 262_144
    assert large.recent_bytes == sum(len(frame.text) for frame in large.recent)
    assert told(large, Cursor(1, 99)) == [100]


def test_an_event_that_is_larger_than_memory_is_left_to_the_log() -> None:
    feed = Feed("c")
    feed.add(1, 1, [b'{"text":"%s"}' % (b"x" * 300_000)])

    assert told(feed, Cursor(1, 0)) is None
    assert feed.last == Cursor(1, 1)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(0, 5)), max_size=9))
def test_what_is_told_is_gapless_and_of_one_generation(spans: list[tuple[int, int, int]]) -> None:
    feed = feed_of(*((generation, first, first + more) for generation, first, more in spans))

    for n in range(16):
        frames = feed.after(Cursor(feed.last.generation, n))
        for expected, frame in enumerate(frames or (), start=n + 1):
            assert frame.cursor == Cursor(feed.last.generation, expected)
            assert frame.text.startswith(b'{"n":%d,' % expected)


def test_a_feed_wakes_whoever_watches() -> None:
    feed, woken = Feed("c"), []
    watch = Watch(feed=feed, principal=None, wake=woken.append)  # type: ignore[arg-type]
    feed.watches[watch] = None
    feed.wake()

    assert woken == [watch]
    assert watch.live
