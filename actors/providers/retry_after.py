"""When a provider says that it may be asked again."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_LIMITS = ("requests", "tokens")
_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_TERM = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_DURATION = re.compile(rf"(?:{_TERM.pattern})+")


def retry_after_s(headers: Mapping[str, str], *, now: float) -> float | None:
    """Seconds to wait, never negative; None where the headers do not say.

    Reads `retry-after-ms`, `Retry-After` (seconds or a date, RFC 9110 10.2.3), then the resets of
    those of OpenAI's `x-ratelimit-*` limits that are used up. `now` is Unix time;
    `headers` ignore case.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    said = headers.get("retry-after")
    if said is not None:
        seconds = _number(said)
        return seconds if seconds is not None else _until(said, now)
    resets = [duration_s(reset) for reset in _resets_of_exhausted_limits(headers)]
    return max((reset for reset in resets if reset is not None), default=None)


def duration_s(written: str) -> float | None:
    """Seconds of `1h2m3.5s`, `120ms` or a plain number; None for anything else."""
    if not _DURATION.fullmatch(written):
        return _number(written)
    return sum(float(amount) * _UNITS_S[unit] for amount, unit in _TERM.findall(written))


def _resets_of_exhausted_limits(headers: Mapping[str, str]) -> list[str]:
    return [
        headers[f"x-ratelimit-reset-{limit}"]
        for limit in _LIMITS
        if headers.get(f"x-ratelimit-remaining-{limit}") == "0"
        and f"x-ratelimit-reset-{limit}" in headers
    ]


def _number(written: str | None) -> float | None:
    return float(written) if written and re.fullmatch(r"\d+(\.\d+)?", written) else None


def _until(date: str, now: float) -> float | None:
    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - now)
    except ValueError:
        return None
