"""A server that is embedded: how it is started, known to be ready, and stopped."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


class ServerFailedError(Exception):
    """An embedded server did not start; the message is one sentence that names its log."""


def _nothing() -> None:
    return


@dataclass(frozen=True, slots=True)
class Server:
    """One process that is kept alive at one address, however often it must be started again."""

    name: str
    url: str
    command: tuple[str, ...]
    log: Path
    is_ready: Callable[[int], bool]
    """Answers within milliseconds whether the process of this pid serves clients."""
    prepare: Callable[[], None] = _nothing
    """Done before each start."""
    directory: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
