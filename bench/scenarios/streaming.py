"""Conversations that stream answers: what Parley adds to the provider's time, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from bench.figures import (
    Figure,
    cost_figures,
    latency_figures,
    memory_figures,
    per,
    throughput_figures,
)
from bench.level import Level
from bench.load_process import connected
from bench.provider import Pace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.provider import Provider
    from bench.subject import Subject


_ALONE = Level(
    sockets=1,
    conversations=5,
    turns=4,
    pace=Pace(first_token_s=0.2, tokens_per_s=50, length=60),
)
_MANY = Level(
    sockets=50,
    conversations=2,
    turns=4,
    pace=Pace(first_token_s=1.5, tokens_per_s=50, length=60),
)
_CROWD = Level(
    sockets=200,
    conversations=1,
    turns=3,
    pace=Pace(first_token_s=2, tokens_per_s=8, length=40),
)


class Streaming:
    """Levels of concurrency, each a fixed number of turns without a pause between them."""

    name = "streaming"
    explanation = (
        "Every client says the next thing as soon as its answer has ended; clients begin spread "
        "over one turn. At 50 and at 200 conversations the provider sends about 1,100 tokens/s in "
        "all, which server, simulator and load generator can carry on two cores. 'added' is the "
        "time to the first delta minus the provider's own time to its first byte, request by "
        "request. Times mean little where others on this machine took more than 0.1 cores."
    )

    def measure(self, subject: Subject, provider: Provider) -> Mapping[str, Sequence[Figure]]:
        levels = (_ALONE, _MANY, _CROWD) if subject.is_compared else (_MANY,)
        return {level.title: _measure(level, subject, provider) for level in levels}


def _measure(level: Level, subject: Subject, provider: Provider) -> list[Figure]:
    provider.behave(level.pace)
    with connected(level.order(subject)) as load:
        provided, busy_s = provider.spent(), _busy_s()
        before = subject.processes.usage()
        report = load.run()
        used = subject.processes.usage().since(before)
        busy_s = _busy_s() - busy_s
        spent = provider.spent()
        memory = memory_figures(subject.processes.memory_bytes())
    tokens = spent.tokens - provided.tokens
    provider_s = spent.cpu_s - provided.cpu_s
    others_s = busy_s - sum(used.cpu_s.values()) - provider_s - report.cpu_s
    deltas = sum(turn.deltas for turn in report.turns)
    return [
        *latency_figures(report.turns, provider.served()),
        *throughput_figures(report.turns, tokens=tokens, wall_s=report.wall_s),
        *cost_figures(report.turns, used, tokens=tokens, wall_s=report.wall_s),
        *memory,
        _aside("the simulator", "µs/token", per(provider_s * 1e6, tokens)),
        _aside("the load generator", "µs/delta", per(report.cpu_s * 1e6, deltas)),
        _aside("others on this machine", "cores", per(others_s, report.wall_s)),
    ]


def _aside(name: str, unit: str, value: float) -> Figure:
    return Figure(name=f"beside: {name}", unit=unit, value=value, has_ratio=False)


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait)


SCENARIO = Streaming()
