"""The figures of a measurement, computed from what was recorded."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bench.load_order import Turn
    from bench.processes import Part, Usage
    from bench.provider import Served


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number of one subject. `has_ratio`: it is compared with the baseline's."""

    name: str
    unit: str
    value: float
    has_ratio: bool = True


@dataclass(slots=True, kw_only=True)
class Section:
    """What one scenario measured under one heading: figures by subject."""

    title: str
    columns: dict[str, tuple[Figure, ...]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "subjects": {
                subject: {f"{each.name} ({each.unit})": each.value for each in figures}
                for subject, figures in self.columns.items()
            },
        }


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest rank: a value that occurred. Not a number where there is none."""
    if not values:
        return math.nan
    rank = math.ceil(len(values) * percent / 100)
    return sorted(values)[max(rank, 1) - 1]


def per(amount: float, count: float) -> float:
    """Not a number where nothing was counted."""
    return amount / count if count else math.nan


def latency_figures(turns: Iterable[Turn], served: Mapping[str, Served]) -> list[Figure]:
    """Times to the first delta without the provider's own, and its way there and back.

    A turn that the provider has no record of is left out.
    """
    pairs = [(turn, served[turn.text]) for turn in turns if turn.text in served and turn.deltas]
    inbound = [1e3 * (s.received_at - t.sent_at) for t, s in pairs]
    outbound = [1e3 * (t.first_delta_at - s.first_byte_at) for t, s in pairs]
    added = [a + b for a, b in zip(inbound, outbound, strict=True)]
    accepted = [1e3 * (t.accepted_at - t.sent_at) for t, _ in pairs]
    name = "first delta, added"
    return [
        *(
            Figure(name=f"{name}, p{p}", unit="ms", value=percentile(added, p))
            for p in (50, 95, 99)
        ),
        Figure(name="  of that, to the provider, p50", unit="ms", value=percentile(inbound, 50)),
        Figure(name="  of that, back, p50", unit="ms", value=percentile(outbound, 50)),
        Figure(name="accepted, p50", unit="ms", value=percentile(accepted, 50)),
        Figure(name="accepted, p99", unit="ms", value=percentile(accepted, 99)),
    ]


def throughput_figures(turns: Sequence[Turn], *, tokens: int, wall_s: float) -> list[Figure]:
    deltas = sum(turn.deltas for turn in turns)
    return [
        Figure(name="turns", unit="", value=len(turns), has_ratio=False),
        Figure(name="turns/s", unit="1/s", value=per(len(turns), wall_s)),
        Figure(name="deltas/s", unit="1/s", value=per(deltas, wall_s)),
        Figure(name="tokens/s", unit="1/s", value=per(tokens, wall_s)),
        Figure(name="failed turns", unit="", value=sum(t.failed for t in turns), has_ratio=False),
    ]


def cost_figures(turns: Sequence[Turn], used: Usage, *, tokens: int, wall_s: float) -> list[Figure]:
    """Serving is what a message passes through; Ray's own processes are told apart."""
    count, deltas = len(turns), sum(turn.deltas for turn in turns)
    serving = used.of("serving")
    return [
        Figure(name="CPU, serving", unit="ms/turn", value=per(serving * 1e3, count)),
        Figure(name="CPU, serving", unit="µs/delta", value=per(serving * 1e6, deltas)),
        Figure(name="CPU, serving", unit="µs/token", value=per(serving * 1e6, tokens)),
        Figure(name="CPU, serving", unit="cores", value=per(serving, wall_s)),
        *part_figures(used, scale=per(1e3, count), unit="ms/turn"),
    ]


def part_figures(
    used: Usage, *, scale: float, unit: str, is_detailed: bool = False
) -> list[Figure]:
    """CPU by part, the greatest first; Ray and the launcher as one each, unless detailed."""
    amounts = {part.name: s for part, s in used.cpu_s.items() if part.group == "serving"}
    amounts = dict(sorted(amounts.items(), key=lambda item: -item[1]))
    for group in ("ray", "launcher"):
        parts = {part: s for part, s in used.cpu_s.items() if part.group == group}
        if parts:
            amounts[group] = sum(parts.values())
        if is_detailed:
            amounts |= {f"  {group}: {part.name}": s for part, s in parts.items()}
    return [
        Figure(name=f"  {name}", unit=unit, value=seconds * scale, has_ratio=False)
        for name, seconds in amounts.items()
    ]


def memory_figures(held: Mapping[Part, int]) -> list[Figure]:
    """PSS, whole and by part."""
    figures = [
        Figure(name="memory, all", unit="MB", value=sum(held.values()) / 1e6),
        Figure(
            name="memory, serving",
            unit="MB",
            value=sum(v for part, v in held.items() if part.group == "serving") / 1e6,
        ),
    ]
    for part, size in sorted(held.items(), key=lambda item: (item[0].group != "serving", -item[1])):
        name = part.name if part.group == "serving" else f"{part.group}: {part.name}"
        figures.append(Figure(name=f"  {name}", unit="MB", value=size / 1e6, has_ratio=False))
    return figures
