"""Reads the configuration: YAML files and the environment, merged, validated once, frozen."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import SecretStr, ValidationError

from config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

DIRECTORY = Path(__file__).parent
_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
_SHORT_NAMES: dict[str, tuple[str, ...]] = {
    "REDIS_URL": ("redis", "url"),
    "DATABASE_URL": ("database", "url"),
    "PARLEY_BOOTSTRAP_KEY": ("auth", "bootstrap_key"),
}
_PREFIX = "PARLEY__"

Tree = dict[str, Any]


class ConfigurationError(Exception):
    """The configuration cannot be used; the message is one sentence that names the path."""


@dataclass(frozen=True, slots=True)
class _Layer:
    source: str
    tree: Tree


def load(environ: Mapping[str, str] | None = None, directory: Path = DIRECTORY) -> Settings:
    """The effective settings.

    Later layers win: base.yaml with agents.yaml and rules.yaml, <PARLEY_ENV>.yaml, the file named
    by PARLEY_CONFIG, the environment. Mappings merge, all else is replaced; a null in `providers`
    or `agents` removes that entry. `${NAME}` in a file is the variable's value, or null.

    Raises:
        ConfigurationError: a file is missing or no YAML, a key unknown, a value bad.
    """
    environ = os.environ if environ is None else environ
    layers = _layers(environ, directory)
    merged: Tree = {}
    for layer in layers:
        merged = _merge(merged, layer.tree)
    for section in ("providers", "agents"):
        entries = merged.get(section)
        if isinstance(entries, dict):
            merged[section] = {k: v for k, v in entries.items() if v is not None}
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        raise _blame(layers, path, _describe(first["type"], first["msg"])) from None
    for path, problem in settings.violations():
        raise _blame(layers, path, problem)
    return settings


def masked(settings: Settings) -> Tree:
    """The settings as plain data, secrets masked, passwords in URLs included."""
    return _plain(settings.model_dump(by_alias=True))  # type: ignore[no-any-return]


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return "********"
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _layers(environ: Mapping[str, str], directory: Path) -> list[_Layer]:
    environment = environ.get("PARLEY_ENV", "development")
    if environment not in {"development", "staging", "production"}:
        raise ConfigurationError(
            f"PARLEY_ENV is {environment!r}, not development, staging or production"
        )
    files = [directory / name for name in ("base.yaml", "agents.yaml", "rules.yaml")]
    files.append(directory / f"{environment}.yaml")
    if extra := environ.get("PARLEY_CONFIG"):
        files.append(Path(extra))
    layers = [_Layer(str(file), _read(file, environ)) for file in files]
    return [*layers, _Layer("the environment", _from_environment(environ, environment))]


def _read(file: Path, environ: Mapping[str, str]) -> Tree:
    try:
        tree = yaml.safe_load(file.read_text())
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: is not YAML: {' '.join(str(error).split())}") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigurationError(f"{file}: must hold a mapping of sections")
    return _interpolate(tree, environ)  # type: ignore[no-any-return]


def _interpolate(value: Any, environ: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _interpolate(item, environ) for key, item in value.items()}
    if isinstance(value, list):
        return [_interpolate(item, environ) for item in value]
    if not isinstance(value, str):
        return value
    if whole := _VARIABLE.fullmatch(value):
        return environ.get(whole[1]) or None
    return _VARIABLE.sub(lambda match: environ.get(match[1], ""), value)


def _from_environment(environ: Mapping[str, str], environment: str) -> Tree:
    tree: Tree = {"environment": environment}
    for name, path in _SHORT_NAMES.items():
        if value := environ.get(name):
            _put(tree, path, value)
    for name, value in sorted(environ.items()):
        if name.startswith(_PREFIX):
            path = tuple(part.lower() for part in name.removeprefix(_PREFIX).split("__"))
            try:
                _put(tree, path, yaml.safe_load(value))
            except (yaml.YAMLError, TypeError):
                raise ConfigurationError(f"{name}: cannot be set to {value!r}") from None
    return tree


def _put(tree: Tree, path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        tree = tree.setdefault(part, {})
    tree[path[-1]] = value


def _merge(under: Any, over: Any) -> Any:
    if isinstance(under, dict) and isinstance(over, dict):
        merged = dict(under)
        for key, value in over.items():
            merged[key] = _merge(under[key], value) if key in under else value
        return merged
    return over


def _describe(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "is not a known setting"
    return message.removeprefix("Value error, ")


def _blame(layers: list[_Layer], path: str, problem: str) -> ConfigurationError:
    """The error, naming the last layer that says anything about the path."""
    for layer in reversed(layers):
        node: Any = layer.tree
        for part in path.split("."):
            node = _member(node, part)
        if node is not None:
            return ConfigurationError(f"{layer.source}: {path}: {problem}")
    return ConfigurationError(f"{layers[0].source}: {path}: {problem}")


def _member(node: Any, part: str) -> Any:
    if isinstance(node, dict):
        return node.get(part)
    if isinstance(node, list) and part.isdecimal() and int(part) < len(node):
        return node[int(part)]
    return None
