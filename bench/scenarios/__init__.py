"""The scenarios: each module here has a `SCENARIO`, and is found by being here."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.figures import Figure
    from bench.provider import Provider
    from bench.subject import Subject


class Scenario(Protocol):
    """Something worth measuring on every subject."""

    @property
    def name(self) -> str: ...

    @property
    def explanation(self) -> str:
        """What is done, with its numbers, for the head of the report."""
        ...

    def measure(self, subject: Subject, provider: Provider) -> Mapping[str, Sequence[Figure]]:
        """The figures under each heading; a subject that cannot do it has none."""
        ...


def all_scenarios() -> dict[str, Scenario]:
    """By name, in the order of their files' names."""
    found = [
        import_module(f"{__name__}.{module.name}").SCENARIO for module in iter_modules(__path__)
    ]
    return {scenario.name: scenario for scenario in found}
