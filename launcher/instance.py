"""One running Parley of a state directory, as its file tells it."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

MARKER = "PARLEY_INSTANCE"
"""The environment variable that every process of an instance carries."""


@dataclass(frozen=True, slots=True)
class Birth:
    """A process that cannot be mistaken for a later one with the same pid."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> Birth:
        """Raises psutil.NoSuchProcess when there is none."""
        return cls(pid, _started(pid))

    def process(self) -> psutil.Process | None:
        """The process, unless it has ended."""
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            if process.status() != psutil.STATUS_ZOMBIE and _started(self.pid) == self.started:
                return process
        return None


def _started(pid: int) -> float:
    """On Linux in ticks since the boot, which no correction of the clock moves (proc(5), stat)."""
    try:
        return float(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return psutil.Process(pid).create_time()


@dataclass(frozen=True, slots=True)
class Instance:
    """A Parley: who watches over it, for whom, and the servers embedded in it."""

    id: str
    supervisor: Birth
    watched: Birth
    page: str = ""
    """Where a browser finds it; empty when the launcher did not start it."""
    urls: dict[str, str] = field(default_factory=dict)
    """By kind of server: redis, postgres, simulator. Passwords included."""
    servers: tuple[Birth, ...] = ()

    @property
    def is_supervised(self) -> bool:
        return self.supervisor.process() is not None

    @property
    def is_wanted(self) -> bool:
        """Whether the process that the instance runs for still lives."""
        return self.watched.process() is not None


def file_of(state_dir: Path) -> Path:
    return state_dir / "instance.json"


def read(state_dir: Path) -> Instance | None:
    """The instance that was last started here, alive or not; None after an orderly end."""
    try:
        saved = json.loads(file_of(state_dir).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return Instance(
        id=saved["id"],
        supervisor=Birth(**saved["supervisor"]),
        watched=Birth(**saved["watched"]),
        page=saved["page"],
        urls=saved["urls"],
        servers=tuple(Birth(**server) for server in saved["servers"]),
    )


def write(state_dir: Path, instance: Instance) -> None:
    """Replaces the file in one step; only its owner may read it."""
    new = file_of(state_dir).with_suffix(".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(instance), file)
    new.replace(file_of(state_dir))


def forget(state_dir: Path) -> None:
    file_of(state_dir).unlink(missing_ok=True)


@contextmanager
def exclusive(state_dir: Path) -> Iterator[None]:
    """One starter at a time; others wait."""
    with (state_dir / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
