"""A new attempt, joined to what readers already have."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.core.stitching import Step, Stitcher

texts = st.text("abc ", max_size=24)
pieces = st.lists(st.text("abc ", min_size=1, max_size=4), max_size=8)


@given(held=texts, attempt=pieces)
def test_readers_end_with_exactly_the_new_attempt(held: str, attempt: list[str]) -> None:
    stitcher = Stitcher(held)
    text = held

    for step in [*(stitcher.feed(piece) for piece in attempt), stitcher.end()]:
        text = ("" if step.rewind else text) + step.text

    assert text == "".join(attempt)
    assert stitcher.joined


@given(held=texts, rest=texts)
def test_an_attempt_that_repeats_what_readers_have_never_rewinds(held: str, rest: str) -> None:
    stitcher = Stitcher(held)

    steps = [stitcher.feed(character) for character in held + rest]

    assert not any(step.rewind for step in steps)
    assert "".join(step.text for step in steps) == rest


def test_where_it_differs_readers_drop_all_and_get_what_was_agreed_again() -> None:
    stitcher = Stitcher("one two three")

    assert stitcher.feed("one ") == Step()
    assert not stitcher.joined
    assert stitcher.feed("two four") == Step(text="one two four", rewind=True)
    assert stitcher.feed("!") == Step(text="!")


def test_an_attempt_that_is_shorter_is_told_anew() -> None:
    stitcher = Stitcher("one two")
    stitcher.feed("one")

    assert stitcher.end() == Step(text="one", rewind=True)


def test_an_empty_attempt_takes_everything_back() -> None:
    assert Stitcher("one").end() == Step(rewind=True)


def test_with_nothing_held_everything_passes() -> None:
    stitcher = Stitcher("")

    assert (stitcher.feed("one"), stitcher.end()) == (Step(text="one"), Step())
