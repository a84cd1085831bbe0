"""What the person who starts Parley reads."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from config.settings import DEVELOPMENT_KEY

if TYPE_CHECKING:
    from config.settings import Settings


@dataclass(frozen=True, slots=True)
class Progress:
    """One line a step, with the seconds since the start."""

    began: float = field(default_factory=monotonic)

    def tell(self, text: str) -> None:
        print(f"[{self.elapsed_s:5.1f} s] {text}", flush=True)

    @property
    def elapsed_s(self) -> float:
        return monotonic() - self.began


def complain(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def ready_screen(
    settings: Settings, *, simulated: tuple[str, ...], proxy: str, dashboard: str | None
) -> str:
    """Where to go, with which key, who answers, how to stop."""
    page = page_of(settings)
    lines = {
        "page": page,
        "WebSocket": f"{page.replace('http', 'ws', 1)}v1/ws",
        "API key": _key(settings),
        "agents": ", ".join(_agent(settings, name, simulated) for name in settings.agents),
        "proxy": proxy,
    }
    if dashboard:
        lines["Ray dashboard"] = f"http://{dashboard}/"
    rows = [f"  {name + ':':<15}{value}" for name, value in lines.items()]
    if simulated:
        rows.append(
            f"  No key for {', '.join(simulated)}: simulated, nothing leaves this machine. "
            "Set the key in the environment to talk to the real one."
        )
    return "\n".join(["", "Parley is ready.", *rows, "  Ctrl-C stops all of it.", ""])


def page_of(settings: Settings) -> str:
    """The address of the console, as a browser on this machine reaches it."""
    return f"http://{_reachable(settings.http.host)}:{settings.http.port}/"


def _reachable(host: str) -> str:
    if host in {"0.0.0.0", "::"}:
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _key(settings: Settings) -> str:
    key = settings.auth.bootstrap_key
    if key is None:
        return "none was configured (PARLEY_BOOTSTRAP_KEY)"
    if key.get_secret_value() == DEVELOPMENT_KEY:
        return DEVELOPMENT_KEY
    return "the one in PARLEY_BOOTSTRAP_KEY"


def _agent(settings: Settings, name: str, simulated: tuple[str, ...]) -> str:
    agent = settings.agents[name]
    return f"{name} ({agent.model}{', simulated' if agent.provider in simulated else ''})"
