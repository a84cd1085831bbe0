"""`python serve_app.py`: all of Parley on one machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from config.loading import ConfigurationError, load
from launcher import embedded, instance, ports, ray_flags, ray_local
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


def run(build: Callable[[Settings], Application], arguments: list[str] | None = None) -> None:
    """Starts everything, says that it is ready, waits for Ctrl-C or SIGTERM, ends everything.

    Exits with 2 when the configuration cannot be used, 1 when something else prevented the start
    or Parley broke down.
    """
    parser = argparse.ArgumentParser(description="Parley, all of it on this machine.")
    parser.add_argument("--dashboard", action="store_true", help="Ray's dashboard and jobs, too")
    given = parser.parse_args(arguments)
    try:
        settings = load()
    except ConfigurationError as error:
        complain(str(error))
        sys.exit(2)
    catch_signals()
    try:
        _run(build, settings, dashboard=given.dashboard)
    except (CannotStartError, ServerFailedError, ray_local.RayFailedError) as error:
        complain(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _run(build: Callable[[Settings], Application], settings: Settings, *, dashboard: bool) -> None:
    progress = Progress()
    state_dir = embedded.state_directory(settings)
    _refuse_second(instance.read(state_dir))
    _refuse_taken_port(settings)
    kinds = embedded.needed(settings)
    running = embedded.started(state_dir, kinds, os.getpid(), page=page_of(settings))
    _refuse_second(running)
    try:
        if kinds:
            progress.tell(f"{', '.join(kinds)}: embedded, up")
        address = ray_local.start(settings, progress, dashboard=dashboard)
        catch_signals()
        ray_local.deploy(build(settings), settings, progress)
        print(_screen(settings, address), flush=True)
        _wait(running)
    except (KeyboardInterrupt, SystemExit):
        print("\nStopping.", flush=True)
    finally:
        _end(running, state_dir, progress)


def catch_signals() -> None:
    """Ray, when it starts, puts its own handler in place of the one for SIGTERM."""
    for number in _SIGNALS:
        signal.signal(number, signal.default_int_handler)


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


def _end(running: Instance, state_dir: Path, progress: Progress) -> None:
    """Serve, Ray, what either left, then the embedded servers; a second Ctrl-C hurries it."""
    now = instance.read(state_dir) or running
    spare = family((now.supervisor, *now.servers))
    try:
        ray_local.stop()
        sweep(running.id, spare=spare)
    except (KeyboardInterrupt, SystemExit):
        sweep(running.id, spare=spare, grace_s=0)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    embedded.stop(running)
    sweep(running.id, grace_s=1)
    instance.forget(state_dir)
    progress.tell("stopped")
