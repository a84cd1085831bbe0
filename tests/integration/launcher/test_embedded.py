"""The embedded servers: real processes, started, killed, restarted and ended."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest
from redis import Redis
from redis.exceptions import AuthenticationError

from config.loading import load
from launcher import embedded, instance
from launcher.embedded import embedded_servers
from launcher.instance import MARKER, Birth
from launcher.server import ServerFailedError
from launcher.sweep import find, sweep, wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from launcher.instance import Instance

WATCHED = "import sys; sys.stdin.read()"


@pytest.fixture
def watched(spawn: Callable[..., subprocess.Popen[str]]) -> subprocess.Popen[str]:
    return spawn(WATCHED)


@contextmanager
def running(state_dir: Path, *kinds: str, watch_pid: int) -> Iterator[Instance]:
    state_dir.mkdir(exist_ok=True)
    started = embedded.started(state_dir, kinds, watch_pid)
    try:
        yield started
    finally:
        embedded.stop(started)


def is_gone(*births: Birth) -> bool:
    return not any(birth.process() for birth in births)


def server_named(state_dir: Path, name: str) -> psutil.Process:
    found = instance.read(state_dir)
    assert found is not None
    processes = [process for birth in found.servers if (process := birth.process())]
    return next(process for process in processes if name in process.name())


def test_redis_answers_only_with_its_password(state_dir: Path) -> None:
    with embedded_servers(state_dir, ["redis"]) as urls:
        with Redis.from_url(urls["redis"]) as client:
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert client.config_get("save") == {"save": ""}
            port = client.config_get("port")["port"]
        with Redis(port=int(port)) as stranger, pytest.raises(AuthenticationError):
            stranger.ping()


def test_the_role_of_postgres_may_create_tables_and_roles(state_dir: Path) -> None:
    with (
        embedded_servers(state_dir, ["postgres"]) as urls,
        psycopg.connect(urls["postgres"]) as connection,
    ):
        connection.execute("CREATE ROLE app NOLOGIN")
        connection.execute("CREATE TABLE t (x int)")
        connection.execute("SET ROLE app")
        assert connection.execute("SELECT current_user").fetchone() == ("app",)


def test_postgres_refuses_a_wrong_password(state_dir: Path) -> None:
    with (
        embedded_servers(state_dir, ["postgres"]) as urls,
        pytest.raises(psycopg.OperationalError, match="password authentication failed"),
    ):
        psycopg.connect(urls["postgres"], password="wrong")


def test_servers_listen_on_this_machine_only(state_dir: Path) -> None:
    with embedded_servers(state_dir, ["redis", "postgres", "simulator"]):
        found = instance.read(state_dir)
        assert found is not None
        listening = [
            connection.laddr.ip
            for birth in found.servers
            for connection in psutil.Process(birth.pid).net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
    assert set(listening) == {"127.0.0.1"}
    assert len(listening) == 3


def test_data_survives_a_restart_of_all(state_dir: Path) -> None:
    with (
        embedded_servers(state_dir, ["postgres"]) as urls,
        psycopg.connect(urls["postgres"]) as connection,
    ):
        connection.execute("CREATE TABLE t AS SELECT 42 AS x")
    with (
        embedded_servers(state_dir, ["postgres"]) as urls,
        psycopg.connect(urls["postgres"]) as connection,
    ):
        assert connection.execute("SELECT x FROM t").fetchone() == (42,)


def test_a_killed_postgres_is_back_at_the_same_address_with_what_was_committed(
    state_dir: Path,
) -> None:
    with embedded_servers(state_dir, ["postgres"]) as urls:
        with psycopg.connect(urls["postgres"]) as connection:
            connection.execute("CREATE TABLE t AS SELECT 42 AS x")
        server_named(state_dir, "postgres").kill()

        def answer() -> tuple[object, ...] | None:
            try:
                with psycopg.connect(urls["postgres"]) as again:
                    return again.execute("SELECT x FROM t").fetchone()
            except psycopg.OperationalError:
                return None

        assert wait_until(lambda: answer() == (42,), timeout_s=20)


def test_a_killed_redis_is_back_empty(state_dir: Path) -> None:
    with embedded_servers(state_dir, ["redis"]) as urls, Redis.from_url(urls["redis"]) as client:
        client.set("k", "v")
        before = server_named(state_dir, "redis")
        before.kill()
        assert wait_until(lambda: _restarted(state_dir, before), timeout_s=20)
        assert client.get("k") is None


def _restarted(state_dir: Path, before: psutil.Process) -> bool:
    found = instance.read(state_dir)
    assert found is not None
    return before.pid not in {b.pid for b in found.servers} and not is_gone(*found.servers)


def test_all_are_gone_when_the_block_ends(state_dir: Path) -> None:
    with embedded_servers(state_dir, ["redis", "postgres", "simulator"]):
        found = instance.read(state_dir)
    assert found is not None
    assert len(found.servers) == 3
    assert is_gone(found.supervisor, *found.servers)
    assert instance.read(state_dir) is None


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_all_are_gone_when_the_watched_process_is(
    state_dir: Path, watched: subprocess.Popen[str], end: signal.Signals
) -> None:
    with running(state_dir, "redis", "postgres", watch_pid=watched.pid) as started:
        watched.send_signal(end)
        assert wait_until(lambda: is_gone(started.supervisor, *started.servers), timeout_s=15)


def test_what_carries_the_marker_is_gone_with_the_watched_process(
    state_dir: Path,
    watched: subprocess.Popen[str],
    spawn: Callable[..., subprocess.Popen[str]],
) -> None:
    with running(state_dir, watch_pid=watched.pid) as started:
        marked = spawn(WATCHED, env={**os.environ, MARKER: started.id})
        stranger = spawn(WATCHED, env={**os.environ, MARKER: "another Parley"})
        watched.kill()
        assert marked.wait(timeout=15) != 0
        assert stranger.poll() is None


def test_a_second_start_finds_the_first(state_dir: Path, watched: subprocess.Popen[str]) -> None:
    with running(state_dir, "redis", watch_pid=watched.pid) as first:
        again = embedded.started(state_dir, ["redis"], watched.pid)
        assert (again.id, again.urls) == (first.id, first.urls)


def test_a_start_that_needs_other_servers_is_refused(
    state_dir: Path, watched: subprocess.Popen[str]
) -> None:
    with (
        running(state_dir, "redis", watch_pid=watched.pid),
        pytest.raises(ServerFailedError, match=f"without simulator.*pid {watched.pid}"),
    ):
        embedded.started(state_dir, ["simulator"], watched.pid)


def test_a_start_sweeps_what_a_killed_instance_left(
    state_dir: Path, spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    first_watched, second_watched = spawn(WATCHED), spawn(WATCHED)
    with running(state_dir, "redis", "postgres", watch_pid=first_watched.pid) as first:
        marked = spawn(WATCHED, env={**os.environ, MARKER: first.id})
        psutil.Process(first.supervisor.pid).kill()
        first_watched.kill()
        first_watched.wait()
        with running(state_dir, "redis", "postgres", watch_pid=second_watched.pid) as second:
            assert second.id != first.id
            assert is_gone(*first.servers)
            assert marked.wait(timeout=1) != 0
            assert not is_gone(*second.servers)


def test_an_instance_that_has_lost_its_supervisor_keeps_what_it_runs_for(
    state_dir: Path, watched: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_END_S", 0.1)
    with running(state_dir, "redis", watch_pid=watched.pid) as first:
        psutil.Process(first.supervisor.pid).kill()
        with running(state_dir, "redis", watch_pid=watched.pid) as second:
            assert is_gone(*first.servers)
            assert watched.poll() is None
            assert second.watched == first.watched


def test_a_server_that_cannot_start_is_named_with_its_log(
    state_dir: Path, watched: subprocess.Popen[str]
) -> None:
    state_dir.mkdir()
    (state_dir / "postgres").mkdir()
    (state_dir / "postgres" / "PG_VERSION").write_text("9")
    if os.geteuid() == 0:
        os.chown(state_dir / "postgres", 65534, 65534)
    with pytest.raises(ServerFailedError, match=r"postgres did not start: .*postgres\.log"):
        embedded.started(state_dir, ["redis", "postgres"], watched.pid)
    assert instance.read(state_dir) is None


def test_an_interrupted_creation_of_the_cluster_is_begun_again(state_dir: Path) -> None:
    (state_dir / "postgres.new").mkdir(parents=True)
    (state_dir / "postgres.new" / "PG_VERSION").write_text("18")
    with (
        embedded_servers(state_dir, ["postgres"]) as urls,
        psycopg.connect(urls["postgres"]) as connection,
    ):
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_lock_whose_pid_is_now_another_programs_does_not_stop_postgres(state_dir: Path) -> None:
    with embedded_servers(state_dir, ["postgres"]):
        lock = (state_dir / "postgres" / "postmaster.pid").read_text().splitlines()
    lock[0] = str(os.getppid())
    (state_dir / "postgres" / "postmaster.pid").write_text("\n".join(lock) + "\n")
    with (
        embedded_servers(state_dir, ["postgres"]) as urls,
        psycopg.connect(urls["postgres"]) as connection,
    ):
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_state_directory_that_cannot_be_made_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = load({"PARLEY__STATE_DIR": str(tmp_path / "file" / "state")})
    with pytest.raises(ServerFailedError, match="cannot be used: Not a directory"):
        embedded.ensure(settings)


def test_ensure_gives_settings_whose_every_server_answers(state_dir: Path) -> None:
    settings = load({"PARLEY__STATE_DIR": str(state_dir)})
    endpoints = embedded.ensure(settings)
    started = instance.read(state_dir)
    assert started is not None
    try:
        assert endpoints.simulated == ("gemini", "openai")
        assert endpoints.settings.simulated_providers == ()
        url = endpoints.settings.redis.url
        assert url is not None
        with Redis.from_url(url.get_secret_value()) as client:
            assert client.ping()
        assert started.watched.pid == os.getpid()
    finally:
        embedded.stop(started)


def test_the_sweep_kills_what_does_not_listen(
    spawn: Callable[..., subprocess.Popen[str]],
) -> None:
    deaf = spawn(
        "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('deaf', flush=True); sys.stdin.read()",
        env={**os.environ, MARKER: "deaf"},
    )
    assert deaf.stdout is not None
    deaf.stdout.readline()
    assert {process.pid for process in find("deaf")} == {deaf.pid}
    assert find("deaf", spare={deaf.pid}) == set()
    sweep("deaf", grace_s=0.2)
    assert deaf.wait(timeout=5) == -signal.SIGKILL


def test_servers_of_one_process_end_each_on_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MARKER, "of the launcher that runs this")
    with embedded_servers(tmp_path / "a", ["redis"]) as first:
        with embedded_servers(tmp_path / "b", ["redis"]):
            pass
        with Redis.from_url(first["redis"]) as client:
            assert client.ping()
