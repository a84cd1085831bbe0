"""Cursors are read as they were written, and nothing else is."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.cursors import Cursor
from actors.core.errors import InvalidRequest

GENERATIONS = st.integers(0, 9_999_999_999)
NUMBERS = st.integers(0, 10**18 - 1)


@given(GENERATIONS, NUMBERS)
def test_a_cursor_is_read_as_it_was_written(generation: int, n: int) -> None:
    cursor = Cursor(generation, n)

    assert Cursor.parse(str(cursor)) == cursor


@given(GENERATIONS, NUMBERS, NUMBERS)
def test_cursors_are_ordered_by_generation_before_all_else(generation: int, a: int, b: int) -> None:
    assert Cursor(generation, a) < Cursor(generation + 1, b)


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "1.", ".1", "1.1.1", "-1.0", "1.-1", "01.1", "1.01", "1.1\n", " 1.1", "a.b"),
        *("1,1", "\N{ARABIC-INDIC DIGIT ONE}.1", "1.1e3", "12345678901.0", "1.1234567890123456789"),
    ],
)
def test_a_malformed_cursor_is_an_invalid_request(text: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        Cursor.parse(text)


@given(st.text())
def test_no_text_makes_parsing_fail_otherwise(text: str) -> None:
    with suppress(InvalidRequest):
        assert str(Cursor.parse(text)) == text
