"""The report as text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bench.figures import Figure, Section

_RATIO_OF = ("Parley", "baseline")
_NAME_WIDTH, _WIDTH = 44, 15


def table(section: Section) -> str:
    """A row a figure, a column a subject, and what the first is to the baseline."""
    columns = list(section.columns)
    has_ratio = set(_RATIO_OF) <= set(columns)
    heads = [*columns, "ratio"] if has_ratio else columns
    lines = ["", section.title, "-" * len(section.title)]
    lines.append(" " * _NAME_WIDTH + "".join(each.rjust(_WIDTH) for each in heads))
    by_row = {c: {_row(f): f for f in figures} for c, figures in section.columns.items()}
    for row in _rows(section.columns.values()):
        cells = [_number(by_row[column].get(row)) for column in columns]
        if has_ratio:
            cells.append(_ratio(*(by_row[name].get(row) for name in _RATIO_OF)))
        lines.append(row.ljust(_NAME_WIDTH) + "".join(cell.rjust(_WIDTH) for cell in cells))
    return "\n".join(lines)


def header(facts: Mapping[str, str]) -> str:
    width = max(map(len, facts))
    return "\n".join(f"{name.ljust(width)}  {fact}" for name, fact in facts.items())


def _row(figure: Figure) -> str:
    return f"{figure.name}, {figure.unit}" if figure.unit else figure.name


def _rows(columns: Iterable[Sequence[Figure]]) -> list[str]:
    """Every row once; what only a later subject has comes behind the row it follows there."""
    rows: list[str] = []
    for figures in columns:
        at = 0
        for figure in figures:
            row = _row(figure)
            if row in rows:
                at = rows.index(row) + 1
            else:
                rows.insert(at, row)
                at += 1
    return rows


def _number(figure: Figure | None) -> str:
    if figure is None or math.isnan(figure.value):
        return "-"
    value = figure.value
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _ratio(one: Figure | None, other: Figure | None) -> str:
    if one is None or other is None or not one.has_ratio or not other.value:
        return ""
    ratio = one.value / other.value
    return "-" if math.isnan(ratio) else f"{ratio:.2f}"
