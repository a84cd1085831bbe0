"""What the load generator is asked, and what it reports: JSON lines over its pipes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """`sockets` clients, each holding `conversations` one after another, of `turns` turns.

    A client begins at its share of `spread_s`, so that turns come evenly rather than all at once.
    Whatever happens, the generator ends after `deadline_s`.
    """

    url: str
    key: str
    agent: str | None
    sockets: int
    conversations: int
    turns: int
    spread_s: float
    deadline_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message and its answer, in Unix times. `text` is the message, different for each turn."""

    text: str
    sent_at: float
    accepted_at: float
    first_delta_at: float
    ended_at: float
    deltas: int
    failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`wall_s` is from the first message to the last answer's end; `cpu_s` the generator's own."""

    turns: tuple[Turn, ...]
    wall_s: float
    cpu_s: float
