"""Which agent answers a message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from config.settings import Agent

Reason = Literal["requested", "sticky", "default"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The agents to ask, in order, and why the first of them."""

    agents: tuple[str, ...]
    reason: Reason


def choose(
    *,
    requested: str | None,
    sticky: str | None,
    default: str,
    agents: Mapping[str, Agent],
) -> Route:
    """Explicit agent, else the one that answered last, else the default; then its fallbacks.

    An agent that the configuration no longer has is passed over.
    """
    candidates: tuple[tuple[str | None, Reason], ...] = (
        (requested, "requested"),
        (sticky, "sticky"),
        (default, "default"),
    )
    for name, reason in candidates:
        if name is not None and name in agents:
            return Route(agents=(name, *agents[name].fallbacks), reason=reason)
    raise ValueError(f"the default agent {default!r} is not configured")
