"""Ends the processes of an instance, found by the marker in their environment."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

import psutil

from launcher.instance import MARKER

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from launcher.instance import Birth


def find(instance_id: str, *, spare: Collection[int] = ()) -> set[psutil.Process]:
    """The living processes that carry the instance's marker, and those that they started.

    Never this process itself, nor the spared pids.
    """
    spare = {*spare, os.getpid()}
    marked = [
        process
        for process in psutil.process_iter()
        if process.pid not in spare and _marker_of(process) == instance_id
    ]
    return {
        process
        for parent in marked
        for process in [parent, *_descendants(parent)]
        if process.pid not in spare and is_alive(process)
    }


def family(births: Iterable[Birth]) -> set[int]:
    """The pids of those that still live, and of all that they started."""
    living = [process for birth in births if (process := birth.process()) is not None]
    return {member.pid for process in living for member in [process, *_descendants(process)]}


def end(processes: Iterable[psutil.Process], *, grace_s: float) -> None:
    """Asks each to end, and kills what still lives after the grace; returns when all are gone."""
    rest = {process for process in processes if is_alive(process)}
    for process in rest:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(_polite_signal(process))
    if not wait_until(lambda: not any(map(is_alive, rest)), timeout_s=grace_s):
        for process in rest:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        wait_until(lambda: not any(map(is_alive, rest)), timeout_s=2)


def sweep(instance_id: str, *, spare: Collection[int] = (), grace_s: float = 3) -> None:
    """Ends every process with the marker, also those born while it sweeps."""
    for _ in range(3):
        found = find(instance_id, spare=spare)
        if not found:
            return
        end(found, grace_s=grace_s)


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs; a zombie does not."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def wait_until(condition: Callable[[], bool], *, timeout_s: float, every_s: float = 0.05) -> bool:
    """Blocks until the condition holds; False when it did not within the time."""
    deadline = monotonic() + timeout_s
    pause = threading.Event()
    while not condition():
        if monotonic() >= deadline:
            return False
        pause.wait(every_s)
    return True


def _marker_of(process: psutil.Process) -> str | None:
    with suppress(psutil.Error, OSError):
        return process.environ().get(MARKER)
    return None


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return process.children(recursive=True)
    return []


def _polite_signal(process: psutil.Process) -> signal.Signals:
    """Postgres takes SIGTERM as: wait until the last client has gone."""
    return signal.SIGINT if process.name() == "postgres" else signal.SIGTERM
