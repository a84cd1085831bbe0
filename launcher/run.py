"""`python serve_app.py`: all of Parley on one machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import traceback
from typing import TYPE_CHECKING, NoReturn
from uuid import uuid4

from config.loading import ConfigurationError, load
from launcher import embedded, instance, ports, ray_flags, ray_local
from launcher.background import Background
from launcher.instance import MARKER
from launcher.screen import Progress, complain, page_of, ready_screen
from launcher.server import ServerFailedError
from launcher.sweep import family, sweep

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ray.serve import Application

    from config.settings import Settings
    from launcher.instance import Instance

_SUPERVISOR_CHECK_S = 1.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class CannotStartError(Exception):
    """Parley does not start; the message is one sentence for the person who tried."""


def run(build: Callable[[Settings], Application], arguments: list[str] | None = None) -> NoReturn:
    """Starts everything, says that it is ready, waits for Ctrl-C or SIGTERM, ends everything.

    Exits with 2 when the configuration cannot be used, 1 when something else prevented the start
    or Parley broke down.
    """
    parser = argparse.ArgumentParser(description="Parley, all of it on this machine.")
    parser.add_argument("--dashboard", action="store_true", help="Ray's dashboard and jobs, too")
    given = parser.parse_args(arguments)
    for number in _SIGNALS:
        signal.signal(number, signal.default_int_handler)
    status = 0
    try:
        _run(build, load(), dashboard=given.dashboard)
    except ConfigurationError as error:
        complain(str(error))
        status = 2
    except (CannotStartError, ServerFailedError, ray_local.RayFailedError) as error:
        complain(str(error))
        status = 1
    except KeyboardInterrupt:
        status = 130
    except Exception:  # noqa: BLE001 - whatever it was, all is ended and the exit is bounded
        traceback.print_exc()
        status = 1
    _leave(status)


def _run(build: Callable[[Settings], Application], settings: Settings, *, dashboard: bool) -> None:
    progress = Progress()
    state_dir = embedded.state_directory(settings)
    _refuse_second(instance.read(state_dir))
    _refuse_taken_port(settings)
    kinds = embedded.needed(settings)
    instance_id = os.environ.setdefault(MARKER, str(uuid4()))
    running = embedded.started(
        state_dir, kinds, os.getpid(), instance_id=instance_id, page=page_of(settings)
    )
    _refuse_second(running)
    if kinds:
        progress.tell(f"{', '.join(kinds)}: embedded, up")

    def start() -> None:
        address = ray_local.start(settings, progress, dashboard=dashboard)
        ray_local.deploy(build(settings), settings, progress)
        print(_screen(settings, address), flush=True)

    try:
        Background(start).wait()
        _wait(running)
    except KeyboardInterrupt:
        print("\nStopping.", flush=True)
    finally:
        _end(running, state_dir)
        progress.tell("stopped")


def _refuse_second(found: Instance | None) -> None:
    if found is not None and found.is_wanted and found.watched.pid != os.getpid():
        raise CannotStartError(
            f"Parley already runs here: {found.page or 'no page yet'} (pid {found.watched.pid}); "
            "stop it first, or choose another PARLEY__STATE_DIR and PORT."
        )


def _refuse_taken_port(settings: Settings) -> None:
    host, port = settings.http.host, settings.http.port
    if not ports.is_free(port, host):
        raise CannotStartError(
            f"Port {port} of {host} is taken: stop what listens there, or choose another "
            f"(PORT={port + 1} make run)."
        )


def _screen(settings: Settings, dashboard: str | None) -> str:
    has_haproxy = ray_flags.uses_haproxy(os.environ)
    return ready_screen(
        settings,
        simulated=settings.simulated_providers,
        proxy="HAProxy" if has_haproxy else "Ray Serve's own (no haproxy here: slower)",
        dashboard=dashboard,
    )


def _wait(running: Instance) -> None:
    """Until a signal.

    Raises:
        CannotStartError: the supervisor died, and the embedded servers are no longer looked after.
    """
    pause = threading.Event()
    while running.is_supervised:
        pause.wait(_SUPERVISOR_CHECK_S)
    raise CannotStartError("The supervisor of the embedded servers has died: Parley stops.")


def _end(running: Instance, state_dir: Path) -> None:
    """Serve, Ray, what either left, then the embedded servers; a second Ctrl-C hurries it.

    The times add up to less than fifteen seconds.
    """
    try:
        is_orderly = ray_local.stop()
    except KeyboardInterrupt:
        is_orderly = False
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    now = instance.read(state_dir) or running
    spare = family((now.supervisor, *now.servers))
    sweep(running.id, spare=spare, grace_s=2 if is_orderly else 0.5)
    embedded.stop(running, grace_s=4)
    sweep(running.id, grace_s=1)
    instance.forget(state_dir)


def _leave(status: int) -> NoReturn:
    """Without Python's own end when Ray was left behind in a thread: that might never return."""
    sys.stdout.flush()
    if Background.is_any_busy() or ray_local.is_up():
        os._exit(status)
    sys.exit(status)
