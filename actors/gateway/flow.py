"""How far a client keeps up with what it is sent, as its pongs tell."""

from __future__ import annotations

from typing import Any

PING_BYTES = 65_536
MAX_OUTSTANDING_BYTES = 262_144
MAX_REPLIED_BYTES = 1_048_576
"""Replies, which a client asks for, may go so much further than events."""


class Flow:
    """Counts bytes. A ping's `t` is how many were sent before it, so its pong answers for those.

    Times are seconds of one clock.
    """

    def __init__(self) -> None:
        self.sent_bytes = 0
        self.blocked_since: float | None = None
        """Since when events wait without any progress."""
        self._pinged_bytes = 0
        self._answered_bytes = 0

    @property
    def outstanding_bytes(self) -> int:
        return self.sent_bytes - self._answered_bytes

    @property
    def open(self) -> bool:
        """Whether events may be sent."""
        return self.outstanding_bytes <= MAX_OUTSTANDING_BYTES

    @property
    def open_for_replies(self) -> bool:
        return self.outstanding_bytes <= MAX_OUTSTANDING_BYTES + MAX_REPLIED_BYTES

    def sent(self, size: int, now: float) -> bool:
        """Counts a frame; answers whether a ping is due behind it."""
        self.sent_bytes += size
        if not self.open and self.blocked_since is None:
            self.blocked_since = now
        if self.sent_bytes - self._pinged_bytes < PING_BYTES:
            return False
        self._pinged_bytes = self.sent_bytes
        return True

    def answered(self, t: Any, now: float) -> None:
        """Counts a pong; one that answers no ping of ours, or an older one, changes nothing."""
        if isinstance(t, int) and self._answered_bytes < t <= self.sent_bytes:
            self._answered_bytes = t
            self.blocked_since = None if self.open else now
