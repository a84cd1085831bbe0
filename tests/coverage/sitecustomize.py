"""Saves a measured process's coverage as it grows.

On the PYTHONPATH of `make test`, so that every Python process of a test runs it at its start. Ray
ends its workers without letting Python finish, and tests kill processes: what coverage saves at
exit would be lost.
"""

import os

_EVERY_S = 0.5


def _save_for_ever() -> None:
    import threading

    from coverage import Coverage

    pause = threading.Event()
    while True:
        pause.wait(_EVERY_S)
        measuring = Coverage.current()
        if measuring is not None:
            measuring.save()


if "COVERAGE_PROCESS_CONFIG" in os.environ:
    from threading import Thread

    Thread(target=_save_for_ever, name="coverage", daemon=True).start()
