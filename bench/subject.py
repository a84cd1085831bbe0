"""A server under test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.processes import Processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """`name` heads its column. `agent` is whom conversations are with; None leaves it open.

    `is_compared`: it speaks the wire that the baseline speaks; another is only looked at.
    """

    name: str
    websocket_url: str
    key: str
    agent: str | None
    is_compared: bool = True
    processes: Processes
