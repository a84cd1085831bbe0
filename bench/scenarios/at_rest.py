"""Nothing to do: what a server takes while no one talks to it."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING

from bench.figures import Figure, part_figures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.provider import Provider
    from bench.subject import Subject

_REST_S = 8.0


class AtRest:
    name = "at_rest"
    explanation = f"The processor time of {_REST_S:g} s without any client."

    def measure(self, subject: Subject, provider: Provider) -> Mapping[str, Sequence[Figure]]:  # noqa: ARG002 - a scenario may use it
        if not subject.is_compared:
            return {}
        began, before = monotonic(), subject.processes.usage()
        threading.Event().wait(_REST_S)
        rested_s = monotonic() - began
        used = subject.processes.usage().since(before)
        scale = 1e3 / rested_s
        whole = Figure(name="CPU, all", unit="ms/s", value=sum(used.cpu_s.values()) * scale)
        return {"At rest": [whole, *part_figures(used, scale=scale, unit="ms/s", is_detailed=True)]}


SCENARIO = AtRest()
