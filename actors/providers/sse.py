"""Server-Sent Events, of which only the data is of interest.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

MAX_EVENT_BYTES = 1024 * 1024


class EventDecoder:
    """Bytes as they arrive, to the data of whole events. An event cut short yields nothing.

    Lines end with LF or CRLF: no provider ends them with a lone CR.
    """

    def __init__(self) -> None:
        self._pending = b""
        self._data: list[bytes] = []

    def feed(self, received: bytes) -> list[bytes]:
        """The data of each event that these bytes complete.

        Raises:
            ValueError: an event is larger than `MAX_EVENT_BYTES`.
        """
        *lines, self._pending = (self._pending + received).split(b"\n")
        events = []
        for line in lines:
            content = line.removesuffix(b"\r")
            if content.startswith(b"data:"):
                self._data.append(content[5:].removeprefix(b" "))
            elif not content and self._data:
                events.append(b"\n".join(self._data))
                self._data.clear()
        if len(self._pending) + sum(map(len, self._data)) > MAX_EVENT_BYTES:
            raise ValueError("an event is too large")
        return events
