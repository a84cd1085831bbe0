"""What every connection and every request of a gateway works with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from actors.calls import ask
from actors.core.errors import NotFound, ParleyError, TooLarge, Unavailable
from actors.core.runs import Submission

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.background import Background
    from actors.core.messages import Principal
    from actors.core.runs import Accepted
    from actors.gateway.authentication import Authentication
    from actors.gateway.hub import Hub
    from config.settings import Settings

AUTOMATIC = "auto"
"""The agent's name that means: routed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The other boxes, and the gateway's own parts."""

    settings: Settings
    context: Any
    orchestrator: Any
    hub: Hub
    authentication: Authentication
    background: Background
    clock: Callable[[], float]
    simulated: tuple[str, ...]
    welcome: bytes

    def submission(
        self,
        principal: Principal,
        client_message_id: str,
        conversation: str | None,
        text: str,
        agent: str | None,
        metadata: dict[str, Any],
    ) -> Submission:
        """A user's message, within the limits and for an agent that there is.

        Raises:
            TooLarge: the text is over the limit.
            NotFound: there is no such agent.
        """
        if len(text) > self.settings.http.max_text_chars:
            limit = self.settings.http.max_text_chars
            raise TooLarge(f"The text is longer than {limit} characters.")
        if agent == AUTOMATIC:
            agent = None
        if agent is not None and agent not in self.settings.agents:
            raise NotFound(f"There is no agent {agent!r}.")
        return Submission(
            principal=principal,
            client_message_id=client_message_id,
            conversation=conversation,
            text=text,
            agent=agent,
            metadata=metadata,
        )

    async def accept(self, submission: Submission) -> Accepted:
        """Has a message committed and its run begun, even if the caller goes away meanwhile.

        Raises:
            ParleyError: as the context actor's `accept` does.
        """
        task = self.background.start(self._accept(submission), name="accept")
        accepted = await asyncio.shield(task)
        if isinstance(accepted, ParleyError):
            raise accepted
        return accepted

    async def stop(self, principal: Principal, run: str) -> None:
        """Stops a run even if the caller goes away meanwhile; one that has ended stays as it is.

        Raises:
            NotFound: the user has no such run.
        """
        task = self.background.start(self._stop(principal, run), name="stop")
        refused = await asyncio.shield(task)
        if refused is not None:
            raise refused

    async def _stop(self, principal: Principal, run: str) -> ParleyError | None:
        try:
            following: str | None = await ask(self.context, "stop", principal, run)
        except ParleyError as error:
            return error
        if following is not None:
            self._begin(following)
        return None

    async def _accept(self, submission: Submission) -> Accepted | ParleyError:
        try:
            accepted: Accepted = await ask(self.context, "accept", submission)
        except ParleyError as error:
            return error
        if accepted.ready:
            self._begin(accepted.run)
        return accepted

    def _begin(self, run: str) -> None:
        """Hands a run over. Should that fail, its lease runs out and a sweeper claims it."""
        self.background.start(self._see_to(run), name=f"hand over {run}")

    async def _see_to(self, run: str) -> None:
        """An orchestrator that dies with the run is noticed here first: another takes over."""
        try:
            await ask(self.orchestrator, "run", run)
        except Unavailable:
            await ask(self.orchestrator, "take_over", run)


def welcome(settings: Settings) -> bytes:
    """The `welcome` frame, the same for everybody."""
    return orjson.dumps(
        {
            "type": "welcome",
            "heartbeat_s": settings.http.heartbeat_s,
            "limits": {
                "max_text_chars": settings.http.max_text_chars,
                "max_frame_bytes": settings.http.max_frame_bytes,
            },
            "agents": [
                {"name": name, "description": agent.description, "provider": agent.provider}
                for name, agent in settings.agents.items()
            ],
        }
    )
