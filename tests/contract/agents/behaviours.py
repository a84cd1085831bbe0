"""A behaviour of its own, as somebody would add one: a subclass, named in the agent's entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.agents.base import Agent

if TYPE_CHECKING:
    from actors.core.messages import Context


class Counting(Agent):
    """Tells its model how many messages there were."""

    def system(self, context: Context) -> str:
        return f"{super().system(context)}\nMessages so far: {len(context.messages)}."
