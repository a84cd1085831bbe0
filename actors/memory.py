"""The memory: messages and profiles, from the hot copy where there is one, else from Postgres."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from actors.core.messages import Context
from actors.core.transcripts import up_to
from actors.stores.context_cache import KEPT_MESSAGES, ContextCache
from actors.stores.redis import unless_down

if TYPE_CHECKING:
    from actors.core.messages import Json, Principal, StoredMessage
    from actors.stores.conversations import Conversations
    from actors.stores.run_records import Claim


class Memory:
    """Redis being down costs speed here, never an answer: the hot copy is then passed over."""

    def __init__(self, conversations: Conversations, cache: ContextCache) -> None:
        self._conversations = conversations
        self._cache = cache

    async def context(self, claim: Claim) -> Context:
        """What the run's agent is given: all up to the message that the run answers."""
        messages, profile = await asyncio.gather(
            self._messages(claim), self.profile(claim.principal)
        )
        return Context(
            profile=profile,
            messages=up_to([stored.message for stored in messages], claim.message),
            metadata=claim.metadata,
            summary=claim.summary,
        )

    async def _messages(self, claim: Claim) -> tuple[StoredMessage, ...]:
        held = await unless_down(self._cache.messages(claim.conversation))
        if held is not None and held[0] >= claim.last_seq:
            return held[1]
        history = await self._conversations.history(
            claim.principal, claim.conversation, KEPT_MESSAGES
        )
        await unless_down(self._cache.replace(claim.conversation, history.messages))
        return history.messages

    async def profile(self, principal: Principal) -> Json:
        """The user's profile."""
        held = await unless_down(self._cache.profile(principal.user_id))
        if held is not None:
            return held
        profile = await self._conversations.profile(principal)
        await unless_down(self._cache.put_profile(principal.user_id, profile, fresh=False))
        return profile

    async def merge_profile(self, principal: Principal, changes: Json) -> Json:
        """Sets the keys given, in both places; a null removes its key."""
        profile = await self._conversations.merge_profile(principal, changes)
        await unless_down(self._cache.put_profile(principal.user_id, profile, fresh=True))
        return profile

    async def remember(self, conversation: str, stored: StoredMessage) -> None:
        """Adds a message that was committed to the hot copy."""
        await unless_down(self._cache.remember(conversation, [stored]))

    async def forget(self, conversation: str) -> None:
        await unless_down(self._cache.forget(conversation))
