"""Addresses of events: `generation.n`, opaque to clients."""

from __future__ import annotations

import re
from typing import NamedTuple

from actors.core.errors import InvalidRequest

_CURSOR = re.compile(r"(0|[1-9][0-9]{0,9})\.(0|[1-9][0-9]{0,17})")


class Cursor(NamedTuple):
    """The `n`th event of a generation of a conversation's log; 0 is before the first."""

    generation: int
    n: int

    def __str__(self) -> str:
        return f"{self.generation}.{self.n}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Raises InvalidRequest."""
        match = _CURSOR.fullmatch(text)
        if match is None:
            raise InvalidRequest("The cursor is malformed.")
        return cls(int(match[1]), int(match[2]))
