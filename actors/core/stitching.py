"""Joins a new attempt at an answer to what readers already have of it.

An attempt that begins as the earlier one did is not sent again; from where it differs, readers
are told to rewind. A rewind goes to a delta's boundary: the last at which both still agree.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is to be told: first drop the deltas from `rewind_to` on, if given, then `text`."""

    text: str = ""
    rewind_to: int | None = None


class Stitcher:
    """`deltas`: what readers have, in order. With none, everything passes through."""

    def __init__(self, deltas: tuple[str, ...]) -> None:
        self._deltas = deltas
        self._held = "".join(deltas)
        self._matched = 0
        self._joined = not self._held

    @property
    def joined(self) -> bool:
        """Readers have all of the new attempt so far and nothing else."""
        return self._joined

    def feed(self, text: str) -> Step:
        """What to tell of the attempt's next text."""
        if self._joined:
            return Step(text=text)
        expected = self._held[self._matched : self._matched + len(text)]
        agreeing = _common_length(expected, text)
        self._matched += agreeing
        if self._matched == len(self._held):
            self._joined = True
            return Step(text=text[agreeing:])
        if agreeing == len(text):
            return Step()
        return self._diverge(text[agreeing:])

    def end(self) -> Step:
        """What to tell when the attempt is over: it may be shorter than what readers have."""
        return Step() if self._joined else self._diverge("")

    def _diverge(self, rest: str) -> Step:
        kept_deltas, kept_chars = 0, 0
        while kept_chars + len(self._deltas[kept_deltas]) <= self._matched:
            kept_chars += len(self._deltas[kept_deltas])
            kept_deltas += 1
        self._joined = True
        return Step(text=self._held[kept_chars : self._matched] + rest, rewind_to=kept_deltas)


def _common_length(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginnings."""
    for position, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return position
    return min(len(one), len(other))
