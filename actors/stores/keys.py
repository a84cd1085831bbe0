"""Every key and channel that Parley has in Redis."""

from __future__ import annotations

STOPS_CHANNEL = "parley:stops"
"""Ids of runs that were told to stop; every producer listens."""

BEGUN_CHANNEL = "parley:begun"
"""Ids of conversations whose log was begun; every gateway listens."""


def head(conversation: str) -> str:
    """Hash: a log's generation, last n, owner, trim mark, and the state of its runs."""
    return f"parley:head:{conversation}"


def log(conversation: str) -> str:
    """Stream: the events, their ids `generation-n`."""
    return f"parley:log:{conversation}"


def watchers(conversation: str) -> str:
    """Sorted set: gateways' channels by the second at which their registration ends."""
    return f"parley:watchers:{conversation}"


def gateway_channel(gateway: str) -> str:
    return f"parley:gateway:{gateway}"


def context_version(conversation: str) -> str:
    """String: the seq of the newest message in the hot copy."""
    return f"parley:context:{conversation}"


def context_messages(conversation: str) -> str:
    """List: the newest messages, oldest first."""
    return f"parley:messages:{conversation}"


def profile(user: str) -> str:
    """String: a user's profile, JSON."""
    return f"parley:profile:{user}"


def ticket(digest: str) -> str:
    """String: the principal that a one-time ticket stands for."""
    return f"parley:ticket:{digest}"
