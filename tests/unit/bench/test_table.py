"""The report as text."""

from __future__ import annotations

import math

from bench.figures import Figure, Section
from bench.table import header, table


def figure(name: str, value: float, *, has_ratio: bool = True) -> Figure:
    return Figure(name=name, unit="ms", value=value, has_ratio=has_ratio)


def rows(section: Section) -> dict[str, list[str]]:
    lines = table(section).splitlines()
    return {line[:44].strip(): line[44:].split() for line in lines[3:]}


def test_the_ratio_is_parley_s_to_the_baseline_s() -> None:
    section = Section(title="50 conversations")
    section.columns["Parley"] = (figure("added", 30), figure("part", 1, has_ratio=False))
    section.columns["baseline"] = (figure("added", 20), figure("part", 2, has_ratio=False))

    assert rows(section)["added, ms"] == ["30", "20", "1.50"]
    assert rows(section)["part, ms"] == ["1", "2"]


def test_without_a_baseline_there_is_no_ratio() -> None:
    section = Section(title="50 conversations", columns={"Parley": (figure("added", 12.345),)})

    assert rows(section)["added, ms"] == ["12.3"]


def test_what_one_subject_lacks_and_what_is_no_number_is_a_dash() -> None:
    section = Section(title="50 conversations")
    section.columns["Parley"] = (figure("first", 1), figure("last", math.nan))
    section.columns["baseline"] = (figure("first", 1), figure("between", 1234), figure("last", 2))

    found = rows(section)

    assert list(found)[-3:] == ["first, ms", "between, ms", "last, ms"]
    assert found["between, ms"] == ["-", "1,234"]
    assert found["last, ms"] == ["-", "2", "-"]


def test_a_section_is_json_by_subject_and_figure() -> None:
    section = Section(title="50 conversations", columns={"Parley": (figure("added", 12.5),)})

    assert section.as_json() == {
        "title": "50 conversations",
        "subjects": {"Parley": {"added (ms)": 12.5}},
    }


def test_the_head_aligns_its_facts() -> None:
    assert header({"when": "now", "machine": "2 cores"}) == "when     now\nmachine  2 cores"
