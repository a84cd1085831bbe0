"""What is computed from a measurement."""

from __future__ import annotations

import math

import pytest

from bench.figures import (
    Figure,
    cost_figures,
    latency_figures,
    memory_figures,
    part_figures,
    per,
    percentile,
    throughput_figures,
)
from bench.load_order import Turn
from bench.processes import Part, Usage
from bench.provider import Served

POOL = Part("serving", "pool")
RAYLET = Part("ray", "raylet")


def turn(text: str = "hello", *, deltas: int = 10, failed: bool = False) -> Turn:
    return Turn(
        text=text,
        sent_at=100.0,
        accepted_at=100.004,
        first_delta_at=100.26,
        ended_at=101.0,
        deltas=deltas,
        failed=failed,
    )


def values(figures: list[Figure]) -> dict[tuple[str, str], float]:
    return {(figure.name.strip(), figure.unit): figure.value for figure in figures}


def test_a_percentile_is_a_value_that_occurred() -> None:
    hundred = list(range(1, 101))
    assert [percentile(hundred, p) for p in (0, 50, 95, 99, 100)] == [1, 50, 95, 99, 100]
    assert percentile([3.0, 1.0], 50) == 1.0
    assert math.isnan(percentile([], 50))


def test_nothing_divided_by_nothing_is_no_number() -> None:
    assert per(3, 2) == 1.5
    assert math.isnan(per(3, 0))


def test_the_provider_s_own_time_is_not_the_server_s() -> None:
    served = {"hello": Served(received_at=100.01, first_byte_at=100.25)}

    found = values(latency_figures([turn()], served))

    assert found["first delta, added, p50", "ms"] == pytest.approx(20)
    assert found["of that, to the provider, p50", "ms"] == pytest.approx(10)
    assert found["of that, back, p50", "ms"] == pytest.approx(10)
    assert found["accepted, p99", "ms"] == pytest.approx(4)


def test_a_turn_unknown_to_the_provider_or_without_a_delta_has_no_latency() -> None:
    served = {"empty": Served(received_at=100.01, first_byte_at=100.25)}

    found = values(latency_figures([turn("lost"), turn("empty", deltas=0)], served))

    assert math.isnan(found["first delta, added, p50", "ms"])


def test_throughput_counts_what_clients_received_and_what_the_provider_sent() -> None:
    turns = [turn("a"), turn("b", failed=True)]

    found = values(throughput_figures(turns, tokens=40, wall_s=4))

    assert found["turns/s", "1/s"] == 0.5
    assert found["deltas/s", "1/s"] == 5
    assert found["tokens/s", "1/s"] == 10
    assert found["failed turns", ""] == 1


def test_serving_costs_leave_out_ray_which_is_told_apart() -> None:
    used = Usage({POOL: 0.2, RAYLET: 5.0})

    found = values(cost_figures([turn("a"), turn("b")], used, tokens=40, wall_s=4))

    assert found["CPU, serving", "ms/turn"] == pytest.approx(100)
    assert found["CPU, serving", "µs/delta"] == pytest.approx(10_000)
    assert found["CPU, serving", "µs/token"] == pytest.approx(5_000)
    assert found["CPU, serving", "cores"] == pytest.approx(0.05)
    assert found["ray", "ms/turn"] == pytest.approx(2_500)


def test_parts_are_told_by_falling_cost_and_ray_s_only_when_asked() -> None:
    used = Usage({Part("serving", "small"): 1, Part("serving", "great"): 2, RAYLET: 3})

    brief = [f.name.strip() for f in part_figures(used, scale=1, unit="s")]
    detailed = [f.name.strip() for f in part_figures(used, scale=1, unit="s", is_detailed=True)]

    assert brief == ["great", "small", "ray"]
    assert detailed == ["great", "small", "ray", "ray: raylet"]


def test_memory_is_told_whole_and_by_part() -> None:
    found = values(memory_figures({POOL: 2_000_000, RAYLET: 1_000_000}))

    assert found["memory, all", "MB"] == 3
    assert found["memory, serving", "MB"] == 2
    assert found["ray: raylet", "MB"] == 1
