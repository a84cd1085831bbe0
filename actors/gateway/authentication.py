"""Who is asking: API keys and tickets, remembered for a while."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from actors.calls import ask
from actors.core.errors import Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from actors.core.messages import Principal

_REMEMBERED_S = 30.0
_MAX_REMEMBERED = 10_000
_MAX_CREDENTIAL_CHARS = 512


class Authentication:
    """Asks the context actor, and remembers good keys for half a minute."""

    def __init__(self, context: Any, clock: Callable[[], float]) -> None:
        self._context = context
        self._clock = clock
        self._known: dict[bytes, tuple[float, Principal]] = {}

    async def by_key(self, key: str | None) -> Principal:
        """Raises Unauthenticated."""
        if not key:
            raise Unauthenticated("An API key is needed.")
        if not _decent(key):
            raise Unauthenticated("The API key is not known.")
        digest = hashlib.sha256(key.encode()).digest()
        known = self._known.get(digest)
        if known is not None and known[0] > self._clock():
            return known[1]
        principal: Principal | None = await ask(self._context, "principal_of_key", key)
        if principal is None:
            raise Unauthenticated("The API key is not known.")
        if len(self._known) >= _MAX_REMEMBERED:
            self._known.clear()
        self._known[digest] = (self._clock() + _REMEMBERED_S, principal)
        return principal

    async def by_ticket(self, ticket: str) -> Principal:
        """Raises Unauthenticated."""
        principal: Principal | None = None
        if _decent(ticket):
            principal = await ask(self._context, "redeem_ticket", ticket)
        if principal is None:
            raise Unauthenticated("The ticket is not valid, or no longer.")
        return principal


def _decent(credential: str) -> bool:
    """Whether it can be one of ours at all."""
    return 0 < len(credential) <= _MAX_CREDENTIAL_CHARS and credential.isascii()


def bearer(headers: Mapping[str, str]) -> str | None:
    """The credential of an Authorization header."""
    scheme, _, credential = headers.get("authorization", "").partition(" ")
    return credential.strip() or None if scheme.lower() == "bearer" else None


def origin_allowed(headers: Mapping[str, str], allowed: Sequence[str]) -> bool:
    """A page may open a socket to the host that served it, or where the settings say so.

    Programs send no Origin.
    """
    origin = headers.get("origin")
    if origin is None or origin in allowed:
        return True
    return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
