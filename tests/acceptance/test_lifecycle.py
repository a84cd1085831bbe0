"""`python serve_app.py` from outside: it comes up, and however it ends, nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from launcher import instance, ports, sweep

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psutil

PROJECT = Path(__file__).resolve().parents[2]
END_S = 15


class Launcher:
    """One `python serve_app.py`."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.port = ports.pick_free(1)[0]
        self.said: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "serve_app.py"],
            cwd=PROJECT,
            env={
                **os.environ,
                "PARLEY__STATE_DIR": str(state_dir),
                "PARLEY__HTTP__PORT": str(self.port),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def wait_for(self, text: str) -> None:
        """Reads on until a line has the text; fails when the output ends before."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if text in line:
                return
        pytest.fail(f"no {text!r} in:\n{''.join(self.said)}")

    @property
    def instance_id(self) -> str:
        found = instance.read(self.state_dir)
        assert found is not None
        return found.id

    def end(self) -> None:
        """After a test that failed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=2 * END_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all these tests: each start is also the next start after another end."""
    return tmp_path_factory.mktemp("lifecycle")


@pytest.fixture
def launcher(state_dir: Path) -> Iterator[Launcher]:
    started = Launcher(state_dir)
    yield started
    started.end()


def names(instance_id: str) -> set[str]:
    return {process.name() for process in sweep.find(instance_id)}


def left_after(seconds: float, instance_id: str) -> set[psutil.Process]:
    sweep.wait_until(lambda: not sweep.find(instance_id), timeout_s=seconds)
    return sweep.find(instance_id)


def test_ctrl_c_ends_all_of_it_in_time(launcher: Launcher, state_dir: Path) -> None:
    launcher.wait_for("Ctrl-C stops all of it")
    instance_id = launcher.instance_id
    assert {"raylet", "gcs_server", "redis-server", "postgres"} <= names(instance_id)

    second = subprocess.run(
        [sys.executable, "serve_app.py"],
        cwd=PROJECT,
        env={**os.environ, "PARLEY__STATE_DIR": str(state_dir), "PARLEY__HTTP__PORT": "1024"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert f":{launcher.port}/ (pid {launcher.process.pid})" in second.stderr
    assert second.stderr.count("\n") == 1

    began = monotonic()
    launcher.process.send_signal(signal.SIGINT)
    assert launcher.process.wait(timeout=END_S) == 0
    assert left_after(began + END_S - monotonic(), instance_id) == set()
    assert instance.read(state_dir) is None


def test_a_killed_launcher_leaves_nothing(launcher: Launcher, state_dir: Path) -> None:
    launcher.wait_for("Ctrl-C stops all of it")
    instance_id = launcher.instance_id
    launcher.process.kill()
    launcher.process.wait()
    assert left_after(END_S, instance_id) == set()
    assert sweep.wait_until(lambda: instance.read(state_dir) is None, timeout_s=5)


def test_ctrl_c_while_it_starts_leaves_nothing(launcher: Launcher) -> None:
    launcher.wait_for("embedded, up")
    instance_id = launcher.instance_id
    launcher.process.send_signal(signal.SIGINT)
    assert launcher.process.wait(timeout=END_S) in {0, 130}
    assert left_after(END_S, instance_id) == set()


def test_a_taken_port_is_said_in_one_sentence(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        refused = subprocess.run(
            [sys.executable, "serve_app.py"],
            cwd=PROJECT,
            env={
                **os.environ,
                "PARLEY__STATE_DIR": str(tmp_path),
                "PARLEY__HTTP__PORT": str(port),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"Port {port} of 127.0.0.1 is taken")
    assert refused.stderr.count("\n") == 1


def test_a_configuration_that_cannot_be_used_is_said_in_one_sentence() -> None:
    refused = subprocess.run(
        [sys.executable, "serve_app.py"],
        cwd=PROJECT,
        env={**os.environ, "PARLEY__HTTP__PROT": "8000"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 2
    assert refused.stderr == "the environment: http.prot: is not a known setting\n"
