"""Agents as the configuration has them, each before its provider, simulated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from config.loading import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from config.settings import Settings
    from simulator import RunningSimulator
    from simulator.journal import RequestRecord


@pytest.fixture
def settings_with(
    settings: Settings, simulator: RunningSimulator, tmp_path: Path
) -> Callable[[str], Settings]:
    """Function: the settings of a test with a YAML file more, as an operator would add it.

    `SIMULATOR` in the file is where providers are.
    """

    def read(text: str) -> Settings:
        file = tmp_path / "more.yaml"
        file.write_text(text.replace("SIMULATOR", simulator.url))
        more = load({"PARLEY_CONFIG": str(file)})
        providers: dict[str, Any] = {**more.providers, **settings.providers}
        return settings.model_copy(
            update={"agents": more.agents, "providers": providers, "routing": more.routing}
        )

    return read


@pytest.fixture
def last_request(simulator: RunningSimulator) -> Callable[[], RequestRecord]:
    """Function: what a provider was asked last."""
    return lambda: simulator.journal.records[-1]
