"""Events are found whatever the pieces in which their bytes arrive."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.providers.sse import MAX_EVENT_BYTES, EventDecoder

STREAM = (
    b": a comment\n\n"
    b"event: named\r\ndata: one\r\n\r\n"
    b"data:two\n\n"
    b"id: 3\nretry: 5\n\n"
    b"data: three\ndata: and more\n\n"
    b"data: line\xe2\x80\xa8separator\n\n"
)
EVENTS = [b"one", b"two", b"three\nand more", b"line\xe2\x80\xa8separator"]


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_events_do_not_depend_on_where_the_bytes_are_cut(cuts):
    edges = [0, *sorted(cuts), len(STREAM)]
    decoder = EventDecoder()
    found = []
    for start, end in pairwise(edges):
        found += decoder.feed(STREAM[start:end])
    assert found == EVENTS


def test_an_event_without_its_empty_line_is_not_given():
    assert EventDecoder().feed(b"data: cut short\n") == []


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 65_536, b"data: " + b"x" * 65_529 + b"\n"])
def test_an_event_without_end_is_refused_before_it_fills_the_memory(piece):
    decoder = EventDecoder()
    fed = MAX_EVENT_BYTES // len(piece)
    assert not any(decoder.feed(piece) for _ in range(fed // 2))
    with pytest.raises(ValueError, match="too large"):
        [decoder.feed(piece) for _ in range(fed + 1)]
