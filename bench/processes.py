"""What a server's processes take of the machine: processor time and memory."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from launcher.sweep import find

if TYPE_CHECKING:
    from collections.abc import Mapping

_REPLICA = "ray::ServeReplica:parley:"
_METHOD = re.compile(r"\.(initialize|handle|check|reconfigure|prepare|perform|record)_\w+$")
"""What a replica's title adds while one of Serve's own calls goes on."""
_SERVING = {"haproxy": "haproxy", "redis-server": "redis", "postgres": "postgres"}
_RAY = ("ray::", "raylet", "gcs_server", "/ray/")


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """A kind of process of a server. Groups: serving, ray, launcher."""

    group: str
    name: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds by part, between two readings or since the processes began."""

    cpu_s: Mapping[Part, float]

    def since(self, before: Usage) -> Usage:
        parts = self.cpu_s.keys() | before.cpu_s.keys()
        return Usage({p: self.cpu_s.get(p, 0.0) - before.cpu_s.get(p, 0.0) for p in parts})

    def of(self, group: str) -> float:
        return sum(seconds for part, seconds in self.cpu_s.items() if part.group == group)


def part_of(executable: str, command: str) -> Part:
    """What a process is, by its executable's name and its title or command line."""
    if command.startswith(_REPLICA):
        title = command.removeprefix(_REPLICA).split(maxsplit=1)[0]
        return Part("serving", _METHOD.sub("", title))
    if executable in _SERVING:
        return Part("serving", _SERVING[executable])
    if "bench.baseline" in command:
        return Part("serving", "baseline")
    if "launcher.supervisor" in command:
        return Part("launcher", "supervisor")
    if any(mark in command for mark in _RAY):
        return Part("ray", _ray_name(command))
    return Part("launcher", executable)


def _ray_name(command: str) -> str:
    """A title `ray::Name`, an executable of Ray's, or a script of Ray's that Python runs."""
    if command.startswith("ray::"):
        return command.removeprefix("ray::").split(maxsplit=1)[0].partition(".")[0]
    script = next((word for word in command.split() if word.endswith(".py")), command)
    return script.split(maxsplit=1)[0].rpartition("/")[2]


class Processes:
    """The processes of one instance: those with its marker, what they began, and `also`."""

    def __init__(self, instance: str, also: tuple[int, ...] = ()) -> None:
        self._instance = instance
        self._also = also

    def usage(self) -> Usage:
        """Each process with its ended children, so that nothing is lost when one ends.

        Of the kernel's clock ticks (10 ms): sums over a second or more.
        """
        spent: defaultdict[Part, float] = defaultdict(float)
        for part, process in self._living():
            with suppress(psutil.Error):
                times = process.cpu_times()
                spent[part] += times.user + times.system
                spent[part] += times.children_user + times.children_system
        return Usage(dict(spent))

    def memory_bytes(self) -> dict[Part, int]:
        """Proportional set sizes: memory shared by several is divided among them."""
        held: Counter[Part] = Counter()
        for part, process in self._living():
            with suppress(psutil.Error):
                held[part] += process.memory_full_info().pss
        return dict(held)

    def _living(self) -> list[tuple[Part, psutil.Process]]:
        found = find(self._instance)
        for pid in self._also:
            with suppress(psutil.NoSuchProcess):
                found.add(psutil.Process(pid))
        living = []
        for process in found:
            with suppress(psutil.Error):
                part = part_of(process.name(), " ".join(process.cmdline()))
                living.append((part, process))
        return living
