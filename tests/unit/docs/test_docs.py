"""The documents say what is there: links, settings, dependencies, commands, files, words."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from actors.core.errors import ParleyError
from actors.core.events import Event
from actors.core.frames import TYPES
from actors.core.messages import Context
from actors.gateway import http_api
from actors.gateway.services import welcome
from config.loading import load
from config.settings import Box, Settings
from launcher.screen import ready_screen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.gateway.services import Services

ROOT = Path(__file__).parents[3]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "web/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
_LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
_PATH = re.compile(r"`([\w.-]+/[\w./-]+\.(?:py|sql|lua|yaml|md|toml|js)|[\w-]+\.(?:py|md|toml))`")
_ROW = re.compile(r"^\| `([^`]+)` \| .*? \| (required|`[^`]*`) \|", re.MULTILINE)
_DEPENDENCY = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)


def page(name: str) -> str:
    return (ROOT / name).read_text()


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(markdown: str) -> set[str]:
    """The fragments of the headings, as forges make them."""
    prose = re.sub(r"```.*?```", "", markdown, flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h).strip().lower().replace(" ", "-") for h in headings}


@pytest.mark.parametrize("file", PAGES, ids=named)
def test_every_link_leads_somewhere(file: Path) -> None:
    for target in _LINK.findall(file.read_text()):
        if target.startswith("https://"):
            continue
        path, _, fragment = target.partition("#")
        linked = (file.parent / path) if path else file
        assert linked.exists(), target
        if fragment:
            assert fragment in anchors(linked.read_text()), target


@pytest.mark.parametrize("file", PAGES, ids=named)
def test_every_file_that_is_named_exists(file: Path) -> None:
    for name in _PATH.findall(file.read_text()):
        if "NNNN" in name:
            continue
        found = [ROOT / name, file.parent / name, *(ROOT.glob(f"*/{name}"))]
        found += ROOT.glob(f"actors/*/{name}")
        assert any(candidate.exists() for candidate in found), name


@pytest.mark.parametrize("file", PAGES, ids=named)
def test_every_command_of_make_that_is_named_exists(file: Path) -> None:
    targets = set(re.findall(r"^(\w+):", page("Makefile"), re.MULTILINE))
    code = re.findall(r"```sh\n(.*?)```|`([^`\n]+)`", file.read_text(), re.DOTALL)
    told = {word for pair in code for text in pair for word in re.findall(r"\bmake (\w+)", text)}
    assert told <= targets


def settings_rows() -> Iterator[tuple[str, str]]:
    """Every setting's path and default, as its row in docs/configuration.md gives them."""
    seen: set[str] = set()
    for path, default in _fields(Settings, ""):
        if path not in seen:
            seen.add(path)
            yield path, default


def _fields(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        path = prefix + (field.alias or name)
        if field.annotation is Box:
            default = cast("Box", field.default).scaling
            yield path, f"`{default.min} to {default.max} replicas`"
            yield from _fields(Box, "boxes.<box>.")
            continue
        if inner := _section(field.annotation):
            yield from _fields(inner, f"{path}.")
            continue
        yield path, _default(field.default)
        for suffix, nested in _entries(field.annotation):
            yield from _fields(nested, f"{path}{suffix}.")


def _section(annotation: Any) -> type[BaseModel] | None:
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation if is_model else None


def _entries(annotation: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    suffix = {dict: ".<name>", tuple: "[]"}.get(cast("Any", get_origin(annotation)))
    for argument in get_args(annotation):
        if suffix and (model := _section(argument)):
            yield suffix, model


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    if value == "":
        return '`""`'
    if isinstance(value, str):
        return f"`{value}`"
    plain = list(value) if isinstance(value, tuple) else value
    return f"`{yaml.safe_dump(plain, default_flow_style=True).splitlines()[0]}`"


def test_every_setting_is_told_with_its_default() -> None:
    told = dict(_ROW.findall(page("docs/configuration.md")))

    assert told == dict(settings_rows())


def test_examples_of_the_configuration_are_valid(tmp_path: Path) -> None:
    for name in ("README.md", "CONTRIBUTING.md", "docs/configuration.md"):
        for example in re.findall(r"```yaml\n(.*?)```", page(name), re.DOTALL):
            file = tmp_path / "example.yaml"
            file.write_text(example)
            load({"PARLEY_CONFIG": str(file)})


def test_the_example_of_an_agent_with_a_behaviour_of_its_own_works() -> None:
    code = re.findall(r"```python\n(.*?)```", page("CONTRIBUTING.md"), re.DOTALL)[0]
    names: dict[str, Any] = {}
    exec(code, names)
    agent = names["Stylist"]("stylist", load({}).agents["gemini"], None)
    context = Context(profile={}, messages=(), metadata={"style": "terse"})

    assert agent.system(context).endswith("Style: terse.")


def test_every_direct_dependency_has_its_reason_and_nothing_else_has() -> None:
    project = tomllib.loads(page("pyproject.toml"))["project"]
    requirements = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    packages = {cast("re.Match[str]", re.match(r"[\w.-]+", r))[0] for r in requirements}
    vendored = {file.stem for file in (ROOT / "web/vendor").glob("*.js")}

    assert set(_DEPENDENCY.findall(page("docs/dependencies.md"))) == packages | vendored


def test_the_readme_shows_the_ready_screen() -> None:
    settings = load({})
    screen = ready_screen(
        settings, simulated=settings.simulated_providers, proxy="HAProxy", dashboard=None
    )

    assert screen.strip() in page("README.md")


def test_every_frame_and_event_is_in_the_protocol() -> None:
    types = {event.__dataclass_fields__["type"].default for event in get_args(Event)}
    told = set(re.findall(r'"type":"([\w.]+)"', page("docs/protocol.md")))

    assert types | TYPES | {"welcome", "accepted", "attached", "error", "snapshot"} <= told


def test_the_welcome_has_the_fields_of_the_protocol() -> None:
    settings = load({})
    fields = yaml.safe_load(welcome(settings))["agents"][0]
    told = re.search(r'"agents":\[\{(.*?)\}\]', page("docs/protocol.md"))

    assert told is not None
    assert set(re.findall(r'"(\w+)"', told[1])) == set(fields)


def test_every_error_code_is_in_the_protocol() -> None:
    def codes(kind: type[ParleyError]) -> set[str]:
        return {kind.code}.union(*(codes(sub) for sub in kind.__subclasses__()))

    listed = page("docs/protocol.md").split("Error codes: `")[1].split("`")[0]

    assert codes(ParleyError) <= set(re.split(r",\s+", listed))


def test_every_path_of_the_http_interface_is_in_the_protocol() -> None:
    routes = http_api.router(cast("Services", None)).routes
    paths = {cast("Any", route).path for route in routes}
    told = page("docs/protocol.md")

    assert not {path for path in paths if path not in told}
