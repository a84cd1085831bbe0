"""Joins a new attempt at an answer to what readers already have of it.

An attempt that begins as the earlier one did is not sent again. Where it differs, readers drop all
that they have: those who began with a snapshot know no boundary between deltas to go back to.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is to be told: `rewind` first drops all that readers have, then comes `text`."""

    text: str = ""
    rewind: bool = False


class Stitcher:
    """`held`: what readers have. With nothing held, everything passes through."""

    def __init__(self, held: str) -> None:
        self._held = held
        self._matched = 0
        self._joined = not held

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
        self._joined = True
        return Step(text=self._held[: self._matched] + rest, rewind=True)


def _common_length(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginnings."""
    pairs = enumerate(zip(one, other, strict=False))
    shorter = min(len(one), len(other))
    return next((at for at, (left, right) in pairs if left != right), shorter)
