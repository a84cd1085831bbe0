"""The environment that Ray is started with."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from launcher import ray_flags
from launcher.instance import MARKER

if TYPE_CHECKING:
    from pathlib import Path

NO_HAPROXY = {"RAY_SERVE_HAPROXY_BINARY_PATH": "/no/such/haproxy"}
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="HAProxy mode is Linux's")


@pytest.fixture
def haproxy(tmp_path: Path) -> dict[str, str]:
    binary = tmp_path / "haproxy"
    binary.touch(mode=0o755)
    return {"RAY_SERVE_HAPROXY_BINARY_PATH": str(binary)}


@linux
def test_with_a_haproxy_serve_uses_it_with_the_throughput_flags(haproxy: dict[str, str]) -> None:
    flags = ray_flags.flags(haproxy)
    assert flags["RAY_SERVE_ENABLE_HA_PROXY"] == "1"
    assert flags["RAY_SERVE_THROUGHPUT_OPTIMIZED"] == "1"
    assert flags["RAY_SERVE_HAPROXY_NBTHREAD"] == "1"


def test_without_a_haproxy_serve_keeps_its_own_proxy() -> None:
    assert "RAY_SERVE_ENABLE_HA_PROXY" not in ray_flags.flags(NO_HAPROXY)


@linux
def test_the_wheel_of_haproxy_is_found() -> None:
    assert ray_flags.has_haproxy({})


def test_only_development_stops_without_draining() -> None:
    draining = "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S"
    assert ray_flags.flags(NO_HAPROXY)[draining] == "0"
    assert draining not in ray_flags.flags(NO_HAPROXY | {"PARLEY_ENV": "production"})


def test_what_the_operator_set_is_kept() -> None:
    environ = NO_HAPROXY | {"RAY_USAGE_STATS_ENABLED": "1"}
    ray_flags.apply(environ)
    assert environ["RAY_USAGE_STATS_ENABLED"] == "1"


def test_every_instance_has_a_marker_of_its_own() -> None:
    environ = NO_HAPROXY | {MARKER: "that of the Parley that started this process"}
    ray_flags.apply(environ)
    first = environ[MARKER]
    ray_flags.apply(environ)
    assert len({first, environ[MARKER], "that of the Parley that started this process"}) == 3


def test_slots_share_no_port() -> None:
    def held(slot: ray_flags.Slot) -> set[int]:
        at = slot.ports
        first = at["RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT"]
        last = at["RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT"]
        return {*at.values(), *range(first, last + 1)}

    assert not held(ray_flags.Slot(0)) & held(ray_flags.Slot(1))


def test_a_socket_of_the_scratch_folder_fits_into_a_unix_address() -> None:
    assert len(str(ray_flags.scratch("0" * 36) / ("n" * 56) / "metrics.sock")) < 107
