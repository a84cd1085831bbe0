"""Every way in which providers say when to come again."""

from __future__ import annotations

import pytest

from actors.providers.retry_after import duration_s, retry_after_s

NOW = 1_784_110_000.0
DATE = "Wed, 15 Jul 2026 10:07:10 GMT"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": DATE}, 30.0),
        ({"retry-after": "Wed, 15 Jul 2020 10:07:10 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"x-ratelimit-reset-requests": "20s"}, None),
        ({"x-ratelimit-remaining-requests": "0"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20s"}, 20.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "nonsense"}, None),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "20s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "6m0s",
            },
            360.0,
        ),
    ],
)
def test_headers_say_when_to_come_again(headers, expected):
    assert retry_after_s(headers, now=NOW) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [("1h2m3.5s", 3723.5), ("120ms", 0.12), ("34.074824224s", 34.074824224), ("5", 5.0)],
)
def test_a_duration_is_read(written, expected):
    assert duration_s(written) == pytest.approx(expected)


@pytest.mark.parametrize("written", ["", "s", "5 s", "1d", "-1s"])
def test_what_is_no_duration_is_none(written):
    assert duration_s(written) is None
