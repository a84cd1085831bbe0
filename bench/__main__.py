"""`python -m bench`: measures, prints the table, writes `bench/results/latest.json`."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import monotonic, strftime
from typing import TYPE_CHECKING

import orjson

from bench.baseline_server import running_baseline
from bench.figures import Section
from bench.level import warm_up
from bench.parley import running_parley
from bench.provider import Provider, running_provider
from bench.scenarios import Scenario, all_scenarios
from bench.table import header, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from bench.subject import Subject

    Start = Callable[[Provider, Path], AbstractContextManager[Sequence[Subject]]]

_RESULTS = Path(__file__).parent / "results" / "latest.json"


def main() -> None:
    options = _options()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    began = monotonic()
    scenarios = [all_scenarios()[name] for name in options.scenarios]
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder, running_provider() as it:
        facts = _facts(it, scenarios, options)
        print(header(facts), flush=True)
        sections: dict[str, Section] = {}
        for name, start in _servers(options).items():
            if name in options.only:
                _measure(start, it, Path(folder), scenarios, sections, began)
    facts["took"] = f"{monotonic() - began:.0f} s"
    for section in sections.values():
        print(table(section))
    print(f"\nThe whole bench took {facts['took']}.")
    _write(facts, sections)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    scenarios, servers = list(all_scenarios()), ["baseline", "parley"]
    parser.add_argument("--scenarios", nargs="+", choices=scenarios, default=scenarios)
    parser.add_argument("--only", nargs="+", choices=servers, default=servers, help="which servers")
    parser.add_argument(
        "--transport",
        choices=("httpx", "aiohttp"),
        default="httpx",
        help="what the baseline's SDK client speaks HTTP with; httpx is the SDK's default",
    )
    return parser.parse_args()


def _servers(options: argparse.Namespace) -> dict[str, Start]:
    return {
        "parley": running_parley,
        "baseline": partial(running_baseline, transport=options.transport),
    }


def _measure(
    start: Start,
    provider: Provider,
    folder: Path,
    scenarios: Sequence[Scenario],
    sections: dict[str, Section],
    began: float,
) -> None:
    with start(provider, folder) as subjects:
        for subject in subjects:
            warm_up(subject, provider)
            for scenario in scenarios:
                print(f"[{monotonic() - began:5.1f} s] {subject.name}: {scenario.name}", flush=True)
                for title, figures in scenario.measure(subject, provider).items():
                    section = sections.setdefault(title, Section(title=title))
                    section.columns[subject.name] = tuple(figures)


def _facts(
    provider: Provider, scenarios: Sequence[Scenario], options: argparse.Namespace
) -> dict[str, str]:
    cost = provider.token_cost()
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    packages = ("ray", "uvicorn", "openai", "google-genai", "websockets")
    return {
        "when": strftime("%Y-%m-%d %H:%M"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, load {load} before the start",
        "versions": ", ".join(
            [f"Python {platform.python_version()}", *(f"{p} {version(p)}" for p in packages)]
        ),
        "simulator": f"{cost.cpu_us_per_token:.0f} µs of CPU a token, read by an idle client",
        "baseline": f"one process: FastAPI, uvicorn, openai SDK over {options.transport}, psycopg",
        **{scenario.name: scenario.explanation for scenario in scenarios},
    }


def _write(facts: dict[str, str], sections: dict[str, Section]) -> None:
    _RESULTS.parent.mkdir(exist_ok=True)
    whole = {"facts": facts, "sections": [section.as_json() for section in sections.values()]}
    _RESULTS.write_bytes(orjson.dumps(whole, option=orjson.OPT_INDENT_2))
    print(f"Written to {_RESULTS.relative_to(Path.cwd())}.")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
