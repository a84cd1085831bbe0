"""Where Redis, Postgres and the providers are: as configured, or embedded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from pydantic import SecretStr

from launcher import instance
from launcher.instance import MARKER, Instance
from launcher.server import ServerFailedError
from launcher.simulator_server import PROJECT
from launcher.sweep import end, find, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from config.settings import Provider, Settings

_END_S = 15.0
_SHELL = '"$@" &'
"""Ray ends the children of a worker with it: the supervisor is no one's child."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Settings in which every address is filled in, and the providers that are simulated."""

    settings: Settings
    simulated: tuple[str, ...]


def ensure(settings: Settings, watch_pid: int | None = None) -> Endpoints:
    """The endpoints of these settings; starts the embedded servers unless they run already.

    They live as long as the watched process. None watches the raylet when this is a worker of
    Ray, this process otherwise.

    Raises:
        ServerFailedError: one did not start, or the state directory cannot be used.
    """
    kinds = needed(settings)
    if not kinds:
        return Endpoints(settings, ())
    state_dir = state_directory(settings)
    watch_pid = watch_pid or int(os.environ.get("RAY_RAYLET_PID", os.getpid()))
    running = started(state_dir, kinds, watch_pid)
    return Endpoints(addressed(settings, running.urls), settings.simulated_providers)


def needed(settings: Settings) -> tuple[str, ...]:
    """The kinds of embedded servers that these settings leave to us."""
    wanted = {
        "redis": settings.redis.url is None,
        "postgres": settings.database.url is None,
        "simulator": bool(settings.simulated_providers),
    }
    return tuple(kind for kind, is_wanted in wanted.items() if is_wanted)


def state_directory(settings: Settings) -> Path:
    """Made when missing, only for its owner to enter.

    Raises:
        ServerFailedError: it cannot be made or written to.
    """
    folder = Path(settings.state_dir).absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "lock").touch(mode=0o600)
    except OSError as error:
        raise ServerFailedError(f"{folder} cannot be used: {error.strerror}.") from None
    return folder


def started(
    state_dir: Path,
    kinds: Sequence[str],
    watch_pid: int,
    *,
    instance_id: str | None = None,
    page: str = "",
) -> Instance:
    """The running instance of a state directory; started when there is none.

    What is left of one that was killed is swept first. The id, one of its own unless given, marks
    what ends with the instance.

    Raises:
        ServerFailedError: a server did not start, or other ones run already.
    """
    with instance.exclusive(state_dir):
        running = living(state_dir)
        if running is None:
            arguments = ["--watch-pid", str(watch_pid), "--servers", ",".join(kinds)]
            _launch(state_dir, instance_id or str(uuid4()), *arguments, "--page", page)
            running = instance.read(state_dir)
        if running is None:
            raise ServerFailedError(f"The supervisor ended at once (see {state_dir}).")
        if missing := set(kinds) - set(running.urls):
            raise ServerFailedError(
                f"The Parley of {state_dir} runs without {', '.join(sorted(missing))}: "
                f"stop it first (pid {running.watched.pid})."
            )
        return running


def living(state_dir: Path) -> Instance | None:
    """The instance here that is whole; one that ends is waited for, a broken one is swept."""
    found = instance.read(state_dir)
    if found is None or (found.is_supervised and found.is_wanted):
        return found
    wait_until(lambda: not (found.is_supervised or found.is_wanted), timeout_s=_END_S)
    known = [found.supervisor, *found.servers]
    orphans = {process for birth in known if (process := birth.process()) is not None}
    if not found.is_wanted:
        orphans |= find(found.id)
    end(orphans, grace_s=3)
    instance.forget(state_dir)
    return None


def _launch(state_dir: Path, instance_id: str, *arguments: str) -> None:
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "launcher.supervisor", "--state-dir", str(state_dir)]
    command += [*arguments, "--ready-fd", str(writing)]
    with (state_dir / "supervisor.log").open("wb") as output, os.fdopen(reading) as pipe:
        shell = subprocess.Popen(
            ["/bin/sh", "-c", _SHELL, "sh", *command],
            pass_fds=(writing,),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=PROJECT,
            env={**os.environ, MARKER: instance_id},
        )
        os.close(writing)
        shell.wait()
        answer = pipe.read()
    told = json.loads(answer) if answer else {"ready": False}
    if not told["ready"]:
        reason = told.get("reason", f"The supervisor ended (see {state_dir / 'supervisor.log'}).")
        raise ServerFailedError(reason)


def addressed(settings: Settings, urls: Mapping[str, str]) -> Settings:
    """The settings with the embedded servers' URLs (by kind) where they have none."""
    redis, database, providers = settings.redis, settings.database, dict(settings.providers)
    if redis.url is None:
        redis = redis.model_copy(update={"url": SecretStr(urls["redis"])})
    if database.url is None:
        database = database.model_copy(update={"url": SecretStr(urls["postgres"])})
    for name in settings.simulated_providers:
        providers[name] = _simulated(name, providers[name], urls["simulator"])
    return settings.model_copy(
        update={"redis": redis, "database": database, "providers": providers}
    )


def _simulated(name: str, provider: Provider, url: str) -> Provider:
    base_url = f"{url}/{name}/v1" if provider.kind == "openai" else f"{url}/{name}"
    return provider.model_copy(update={"base_url": base_url, "api_key": SecretStr("simulated")})


@contextmanager
def embedded_servers(
    state_dir: Path, kinds: Sequence[str] = ("redis", "postgres")
) -> Iterator[Mapping[str, str]]:
    """Servers for as long as the block runs: their URLs by kind (redis, postgres, simulator)."""
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    running = started(state_dir, kinds, os.getpid())
    try:
        yield running.urls
    finally:
        stop(running)


def stop(running: Instance, *, grace_s: float = _END_S) -> None:
    """Ends the supervisor and its servers; returns when they are gone."""
    supervisor = running.supervisor.process()
    if supervisor is not None:
        end([supervisor], grace_s=grace_s)
    end({p for birth in running.servers if (p := birth.process()) is not None}, grace_s=2)
