"""The simulator as the bench's provider: a process of its own, and its record of requests."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import orjson

from simulator.cost import TokenCost, measure_token_cost

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "bench"
_REQUESTS_KEPT = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One request as the provider saw it: Unix times of its arrival and of its first byte."""

    received_at: float
    first_byte_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How the model answers: after how long, how quickly, how much."""

    first_token_s: float
    tokens_per_s: float
    length: int

    @property
    def turn_s(self) -> float:
        return self.first_token_s + self.length / self.tokens_per_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    cpu_s: float
    tokens: int


class Provider:
    """The simulator at `url`, whose one model is `MODEL`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def behave(self, pace: Pace) -> None:
        """Forgets what was recorded, and answers at this pace from now on."""
        self._ask("POST", "reset")
        setting = {
            "first_token_s": pace.first_token_s,
            "tokens_per_s": pace.tokens_per_s,
            "length": pace.length,
        }
        self._ask("PUT", f"models/{MODEL}", setting)

    def served(self) -> dict[str, Served]:
        """By the text of the message that was answered; the last request, where it was repeated."""
        records = self._ask("GET", f"requests?model={MODEL}")["data"]
        return {
            record["user_messages"][-1]: Served(
                received_at=record["received_at"],
                first_byte_at=record["received_at"] + record["first_byte_s"],
            )
            for record in records
            if record["first_byte_s"] is not None
        }

    def spent(self) -> Spent:
        stats = self._ask("GET", "stats")
        return Spent(cpu_s=stats["cpu_s"], tokens=stats["tokens"])

    def token_cost(self) -> TokenCost:
        """Of the simulator alone, read by a client that does nothing with it."""
        measured = measure_token_cost(self.url, streams=20, tokens_per_s=50, length=50)
        return asyncio.run(measured)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else orjson.dumps(body)
        request = Request(f"{self.url}/_sim/{path}", data=data, method=method)  # noqa: S310 - our own
        with urlopen(request, timeout=10) as answer:  # noqa: S310 - our own
            received = answer.read()
        return orjson.loads(received) if received else None


@contextmanager
def running_provider() -> Iterator[Provider]:
    """The simulator on a free port, until the block ends."""
    command = [sys.executable, "-m", "simulator", "--kept", str(_REQUESTS_KEPT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            if process.stdout is None or not (said := process.stdout.readline()):
                raise RuntimeError("The simulator did not start.")
            yield Provider(said.split()[-1])
        finally:
            process.terminate()
