"""A level of load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.load_order import Order
from bench.load_process import connected
from bench.provider import Pace

if TYPE_CHECKING:
    from bench.provider import Provider
    from bench.subject import Subject

_START_ALLOWANCE_S = 60.0
_SLOWER_AT_MOST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """So many clients at once, each with so many conversations in turn."""

    sockets: int
    conversations: int
    turns: int
    pace: Pace

    @property
    def title(self) -> str:
        pace = self.pace
        return (
            f"{self.sockets} conversation{'s' * (self.sockets > 1)} at once, "
            f"{self.sockets * self.conversations * self.turns} turns "
            f"({pace.length} tokens at {pace.tokens_per_s:g}/s after {pace.first_token_s:g} s)"
        )

    def order(self, subject: Subject) -> Order:
        whole_s = self.pace.turn_s * (self.conversations * self.turns + 1)
        return Order(
            url=subject.websocket_url,
            key=subject.key,
            agent=subject.agent,
            sockets=self.sockets,
            conversations=self.conversations,
            turns=self.turns,
            spread_s=self.pace.turn_s if self.sockets > 1 else 0.0,
            deadline_s=whole_s * _SLOWER_AT_MOST + _START_ALLOWANCE_S,
        )


_WARM_UP = Level(
    sockets=20,
    conversations=1,
    turns=3,
    pace=Pace(first_token_s=0.2, tokens_per_s=50, length=60),
)


def warm_up(subject: Subject, provider: Provider) -> None:
    """A few turns that are not measured."""
    provider.behave(_WARM_UP.pace)
    with connected(_WARM_UP.order(subject)) as load:
        load.run()
