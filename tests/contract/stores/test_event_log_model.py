"""Appends, takeovers, stops and resumptions in any order: the scripts against the model.

Two producers may believe that a run is theirs, appends are repeated, clients resume from where
they were. Whatever comes, Redis answers as the log in memory does, and a client that resumes has
heard every event once.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from pydantic import SecretStr

from actors.core.log_folding import fold
from actors.stores.event_log import EventLog
from actors.stores.redis import Redis
from config import settings as configuration
from tests.contract.stores.appends import GATEWAY, SOMEBODY, delta, end, message, opening
from tests.unit.actors.memory_log import MemoryLog

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from actors.core.cursors import Cursor
    from actors.stores.event_log import Append, Appended

RUNS = st.sampled_from(["r1", "r2", "r3"])


@dataclass
class Producer:
    """One owner's belief about a run: its epoch, and how far the log is."""

    run: str
    epoch: int
    index: int = 0
    last: Append | None = None


@dataclass
class Client:
    """What a client that keeps its cursor has heard."""

    cursor: Cursor | None = None
    heard: list[bytes] = field(default_factory=list)


class LogMachine(RuleBasedStateMachine):
    producers: Bundle[Producer] = Bundle("producers")
    clients: Bundle[Client] = Bundle("clients")

    def __init__(self, url: str) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.redis = Redis(configuration.Redis(url=SecretStr(url)))
        self.real = EventLog(self.redis, log_ttl_s=300)
        self.model = MemoryLog()
        self.conversation = str(uuid4())
        self.generation = 1
        self.epochs = {"r1": 0, "r2": 0, "r3": 0}

    def teardown(self) -> None:
        self.wait(self.redis.__aexit__())
        self.runner.close()

    def wait(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(coroutine)

    def place(self) -> dict[str, Any]:
        return {"conversation": self.conversation, "generation": self.generation}

    def append(self, *appends: Append) -> list[Appended]:
        """Both logs answer alike."""
        answers: list[Appended] = self.wait(self.real.append(appends))
        assert answers == self.wait(self.model.append(appends))
        return answers

    @initialize()
    def begin(self) -> None:
        for log in (self.real, self.model):
            assert self.wait(log.begin(self.conversation, SOMEBODY, 1)) == 1

    @rule(run=RUNS)
    def announce(self, run: str) -> None:
        self.append(message(run, **self.place()))

    @rule(target=producers, run=RUNS)
    def take_over(self, run: str) -> Producer:
        """The next epoch, opened with what the log holds."""
        self.epochs[run] += 1
        producer = Producer(run, self.epochs[run])
        held = fold(entry.event for entry in self.wait(self.real.held(self.conversation)))
        index = len(held[run].deltas) if run in held else 0
        producer.last = opening(run, epoch=producer.epoch, index=index, **self.place())
        self.append(producer.last)
        return producer

    @rule(producer=producers, count=st.integers(1, 3))
    def produce(self, producer: Producer, count: int) -> None:
        for _ in range(count):
            producer.last = delta(
                producer.index, "x", producer.run, epoch=producer.epoch, **self.place()
            )
            (answer,) = self.append(producer.last)
            if answer.held:
                producer.index += 1

    @rule(producer=producers, other=producers)
    def produce_together(self, producer: Producer, other: Producer) -> None:
        both = [
            delta(p.index, "y", p.run, epoch=p.epoch, **self.place()) for p in (producer, other)
        ]
        for one, answer in zip((producer, other), self.append(*both), strict=True):
            one.index += answer.held

    @rule(producer=producers)
    def repeat(self, producer: Producer) -> None:
        if producer.last is not None:
            self.append(producer.last)

    @rule(producer=producers)
    def finish(self, producer: Producer) -> None:
        producer.last = end(producer.run, epoch=producer.epoch, **self.place())
        self.append(producer.last)

    @rule(run=RUNS)
    def stop(self, run: str) -> None:
        for log in (self.real, self.model):
            self.wait(log.seal(self.conversation, run))

    @rule()
    def begin_again(self) -> None:
        self.generation += 1
        for log in (self.real, self.model):
            self.wait(log.begin(self.conversation, SOMEBODY, self.generation, ["r3"]))

    @rule(target=clients)
    def join(self) -> Client:
        return Client()

    @rule(client=clients)
    def resume(self, client: Client) -> None:
        asked = (self.conversation, SOMEBODY, GATEWAY, client.cursor)
        real, model = (self.wait(log.attach(*asked)) for log in (self.real, self.model))
        assert real == model
        events = [entry.event for entry in real.entries]
        client.heard = [*client.heard, *events] if real.gapless else events
        client.cursor = real.cursor
        assert client.heard == self.model.logs[self.conversation].events

    @invariant()
    def both_hold_the_same(self) -> None:
        real = self.wait(self.real.held(self.conversation))
        assert real == self.wait(self.model.held(self.conversation))

    @invariant()
    def no_delta_is_missing_or_repeated(self) -> None:
        told: dict[str, int] = defaultdict(int)
        for event in self.model.logs[self.conversation].events if self.model.logs else []:
            frame = orjson.loads(event)
            if frame["type"] == "delta":
                assert frame["index"] == told[frame["run"]]
                told[frame["run"]] += 1
            elif frame["type"] == "rewind":
                told[frame["run"]] = frame["index"]


def test_the_scripts_answer_as_the_model_does(redis_url: str) -> None:
    run_state_machine_as_test(
        lambda: LogMachine(redis_url),
        settings=settings(
            max_examples=20,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
