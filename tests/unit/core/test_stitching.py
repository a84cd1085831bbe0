"""A new attempt, joined to what readers already have."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.core.stitching import Stitcher

pieces = st.lists(st.text("abc ", min_size=1, max_size=4), max_size=8).map(tuple)


@given(held=pieces, attempt=pieces)
def test_readers_end_with_exactly_the_new_attempt(
    held: tuple[str, ...], attempt: tuple[str, ...]
) -> None:
    stitcher = Stitcher(held)
    deltas = list(held)

    for step in [*(stitcher.feed(text) for text in attempt), stitcher.end()]:
        if step.rewind_to is not None:
            del deltas[step.rewind_to :]
        if step.text:
            deltas.append(step.text)

    assert "".join(deltas) == "".join(attempt)
    assert stitcher.joined


@given(held=pieces, rest=pieces)
def test_an_attempt_that_repeats_what_readers_have_never_rewinds(
    held: tuple[str, ...], rest: tuple[str, ...]
) -> None:
    stitcher = Stitcher(held)
    whole = "".join(held + rest)

    steps = [stitcher.feed(character) for character in whole]

    assert all(step.rewind_to is None for step in steps)
    assert "".join(step.text for step in steps) == "".join(rest)


def test_a_rewind_keeps_the_deltas_on_which_both_agree() -> None:
    stitcher = Stitcher(("one ", "two ", "three"))

    step = stitcher.feed("one two four")

    assert (step.rewind_to, step.text) == (2, "four")


def test_text_between_two_boundaries_is_told_again() -> None:
    stitcher = Stitcher(("one ", "two "))

    step = stitcher.feed("one twice")

    assert (step.rewind_to, step.text) == (1, "twice")


def test_an_attempt_that_is_shorter_takes_back_what_readers_have_beyond_it() -> None:
    stitcher = Stitcher(("one ", "two"))
    assert (stitcher.feed("one ").rewind_to, stitcher.joined) == (None, False)

    step = stitcher.end()

    assert (step.rewind_to, step.text) == (1, "")


def test_an_attempt_that_has_nothing_in_common_takes_all_back() -> None:
    step = Stitcher(("one ", "two")).feed("Zero")

    assert (step.rewind_to, step.text) == (0, "Zero")
