"""When the tokens of an answer are due."""

from dataclasses import dataclass

# With more tokens a second than ticks, those of one tick share a write.
_TICK_S = 0.01
_UNPACED_BATCH = 64


def until_tick(now_s: float, wait_s: float) -> float:
    """How long to wait so that all streams' timers fall on common ticks, and share a wake-up."""
    return -(-(now_s + wait_s) // _TICK_S) * _TICK_S - now_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The first token after `first_token_s`, then `tokens_per_s`; 0 is as fast as possible."""

    first_token_s: float
    tokens_per_s: float

    def due(self, elapsed_s: float, sent: int) -> int:
        """How many tokens are to be sent by now; more than were sent only if some are due."""
        if elapsed_s < self.first_token_s:
            return 0
        if self.tokens_per_s == 0:
            return sent + _UNPACED_BATCH
        # A timer may fire a rounding error early.
        return int((elapsed_s - self.first_token_s) * self.tokens_per_s + 1e-6) + 1

    def wait_s(self, elapsed_s: float, sent: int) -> float:
        """How long until the next token is due, at least a tick between paced writes."""
        if sent == 0:
            return max(self.first_token_s - elapsed_s, 0.0)
        if self.tokens_per_s == 0:
            return 0.0
        return max(self.first_token_s + sent / self.tokens_per_s - elapsed_s, _TICK_S)

    def whole_s(self, tokens: int) -> float:
        """How long an answer of so many tokens takes."""
        spacing = 1 / self.tokens_per_s if self.tokens_per_s else 0.0
        return self.first_token_s + max(tokens - 1, 0) * spacing
