"""Work that may neither be interrupted nor ever end, kept off the main thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_WAIT_S = 0.2


class Background:
    """An action in a thread that no one has to wait for.

    Ray ignores a KeyboardInterrupt raised in one of its callbacks, and replaces signal handlers
    when it is started from the main thread. A main thread that only waits hears every signal.
    The thread stays after its action: when the thread that started them ends, the kernel kills
    Ray's processes (prctl(2), PR_SET_PDEATHSIG).
    """

    BUSY, PARKED = "background-busy", "background-parked"

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action
        self._error: BaseException | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._run, name=self.BUSY, daemon=True).start()

    @classmethod
    def is_any_busy(cls) -> bool:
        """Whether an action of this process still goes on."""
        return any(thread.name == cls.BUSY for thread in threading.enumerate())

    def wait(self) -> None:
        """Until it has ended; raises what it raised."""
        while not self._ended.wait(_WAIT_S):
            pass
        if self._error is not None:
            raise self._error

    def ends_within(self, seconds: float) -> bool:
        """Whether it ended in time, well or not; if not it is left behind."""
        return self._ended.wait(seconds)

    def _run(self) -> None:
        try:
            self._action()
        except BaseException as error:  # noqa: BLE001 - it is raised by wait
            self._error = error
        threading.current_thread().name = self.PARKED
        self._ended.set()
        threading.Event().wait()
