"""cluster.yaml: valid for Ray, and the order of things on a node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parents[3]
STARTS = ("head_start_ray_commands", "worker_start_ray_commands")


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    return loaded


def test_ray_takes_it(cluster: dict[str, Any]) -> None:
    prepared = prepare_config(cluster)

    validate_config(prepared)
    assert prepared["available_node_types"]["head"]["max_workers"] == 0


def test_workers_are_autoscaled(cluster: dict[str, Any]) -> None:
    worker = cluster["available_node_types"]["worker"]

    assert 0 < worker["min_workers"] < worker["max_workers"] <= cluster["max_workers"]


@pytest.mark.parametrize("commands", STARTS)
def test_the_environment_comes_before_ray_on_every_node(
    cluster: dict[str, Any], commands: str
) -> None:
    start = cluster[commands][-1]

    assert (
        start.index(". ~/.parley.env")
        < start.index('eval "$(~/venv/bin/python -m launcher.ray_flags)"')
        < start.index("ray start")
    )
    assert "export PYTHONPATH=$HOME/parley" in start


@pytest.mark.parametrize("commands", STARTS)
def test_ray_leaves_the_port_of_redis_alone(cluster: dict[str, Any], commands: str) -> None:
    assert ":6379" not in cluster[commands][-1]
    assert "6380" in cluster[commands][-1]


def test_nodes_are_made_from_the_lock_file(cluster: dict[str, Any]) -> None:
    assert any("requirements.lock" in command for command in cluster["setup_commands"])
    assert cluster["file_mounts"]["~/parley"] == "."
    assert {".venv", ".parley", ".git"} <= set(cluster["rsync_exclude"])


def test_it_holds_no_secret(cluster: dict[str, Any]) -> None:
    text = yaml.safe_dump(cluster)

    assert not any(word in text for word in ("API_KEY", "TOKEN", "postgresql://", "redis://"))
