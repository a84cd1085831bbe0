"""What the simulator saw and sent: a bounded record of requests, and counts."""

from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

_ATTEMPTS_KEPT = 10_000


@dataclass(slots=True, kw_only=True)
class RequestRecord:
    """One request and what was sent for it so far. Times: seconds since it was received.

    `finish` is null while it lasts, then stop, length, content_filter, refused, error, reset,
    malformed, unmarked (a clean end without end marker), page, or cancelled (the client left).
    """

    number: int
    provider: str
    wire: str
    model: str
    attempt: int
    streamed: bool
    system: str | None
    user_messages: tuple[str, ...]
    prefill: str | None
    connection: int
    peer_port: int
    received_at: float
    tokens: tuple[str, ...] = ()
    sent_tokens: int = 0
    status: int | None = None
    fault: str | None = None
    first_byte_s: float | None = None
    last_byte_s: float | None = None
    finish: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.tokens[: self.sent_tokens])

    def as_json(self) -> dict[str, Any]:
        hidden = {"tokens"}
        shown = {name: getattr(self, name) for name in self.__slots__ if name not in hidden}
        return {**shown, "text": self.text}


@dataclass(slots=True)
class Traffic:
    """Counts of one provider since the start or the last reset."""

    requests: int = 0
    in_progress: int = 0
    cancelled: int = 0
    tokens: int = 0
    connections_opened: int = 0


@dataclass(slots=True)
class Connection:
    number: int
    peer_port: int
    providers: set[str] = field(default_factory=set)


class Journal:
    """Keeps the newest `kept` requests. Counts of connections are of sockets; a provider's
    are of sockets that carried a request to it.
    """

    def __init__(self, kept: int) -> None:
        self.records: deque[RequestRecord] = deque(maxlen=kept)
        self.traffic: dict[str, Traffic] = {}
        self._connections: dict[Hashable, Connection] = {}
        self._connections_opened = 0
        self._connection_numbers = count(1)
        self._request_numbers = count(1)
        self._attempts: OrderedDict[Hashable, int] = OrderedDict()

    def next_number(self) -> int:
        return next(self._request_numbers)

    def connection_opened(self, key: Hashable, peer_port: int) -> None:
        self._connections[key] = Connection(next(self._connection_numbers), peer_port)
        self._connections_opened += 1

    def connection_closed(self, key: Hashable) -> None:
        self._connections.pop(key, None)

    def connection_used(self, key: Hashable, provider: str) -> Connection:
        connection = self._connections[key]
        traffic = self.traffic.setdefault(provider, Traffic())
        if provider not in connection.providers:
            connection.providers.add(provider)
            traffic.connections_opened += 1
        return connection

    def count_attempt(self, request: Hashable) -> int:
        """How many times this request has come, this time included."""
        seen = self._attempts.pop(request, 0) + 1
        self._attempts[request] = seen
        if len(self._attempts) > _ATTEMPTS_KEPT:
            self._attempts.popitem(last=False)
        return seen

    def add(self, record: RequestRecord) -> Traffic:
        self.records.append(record)
        traffic = self.traffic.setdefault(record.provider, Traffic())
        traffic.requests += 1
        return traffic

    def clear(self) -> None:
        """Forget everything but the open connections and the requests in progress."""
        self.records.clear()
        self._attempts.clear()
        self._connections_opened = 0
        for traffic in self.traffic.values():
            traffic.requests = traffic.cancelled = traffic.tokens = 0
            traffic.connections_opened = 0

    def as_json(self) -> dict[str, Any]:
        traffic = self.traffic
        return {
            "connections": {
                "opened": self._connections_opened,
                "open": len(self._connections),
            },
            "requests": sum(each.requests for each in traffic.values()),
            "in_progress": sum(each.in_progress for each in traffic.values()),
            "cancelled": sum(each.cancelled for each in traffic.values()),
            "tokens": sum(each.tokens for each in traffic.values()),
            "providers": {name: self._provider(name) for name in traffic},
        }

    def _provider(self, name: str) -> dict[str, Any]:
        traffic = self.traffic[name]
        return {
            "requests": traffic.requests,
            "in_progress": traffic.in_progress,
            "cancelled": traffic.cancelled,
            "tokens": traffic.tokens,
            "connections": {
                "opened": traffic.connections_opened,
                "open": sum(name in each.providers for each in self._connections.values()),
            },
        }
