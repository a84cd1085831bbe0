"""How a simulated model behaves: speed, length, faults; where that is written."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, get_args
from urllib.parse import parse_qsl, unquote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from simulator.faults import Fault, Seconds

_FAULTS: dict[str, type[BaseModel]] = {
    kind.model_fields["type"].default: kind for kind in get_args(get_args(Fault)[0])
}


class Behaviour(BaseModel):
    """Tokens are counted in word pieces; a `tokens_per_s` of 0 is as fast as possible.

    `vary_attempts` makes the answers to repeated identical requests differ.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    first_token_s: Seconds = 0.0
    tokens_per_s: Seconds = 0.0
    length: Annotated[int, Field(ge=0, le=1_000_000)] = 60
    quote_system: bool = False
    vary_attempts: bool = False
    faults: tuple[Fault, ...] = ()

    def overlaid(self, other: "Behaviour") -> "Behaviour":
        """This behaviour, changed in what the other one says explicitly."""
        return self.model_copy(
            update={name: getattr(other, name) for name in other.model_fields_set}
        )


class Script(BaseModel):
    """Behaviours consumed one a request, then one that stays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    script: tuple[Behaviour, ...]
    then: Behaviour = Behaviour()


Setting = TypeVar("Setting", Behaviour, Script)


class BehaviourError(ValueError):
    """A behaviour is not understood."""


def parse_setting(value: Any) -> Behaviour | Script:
    """Read what an operator sets for a model. Raises BehaviourError naming the field."""
    if isinstance(value, dict) and "script" in value:
        return _validated(Script, value)
    return _validated(Behaviour, value)


def split_model(written: str) -> tuple[str, Behaviour]:
    """Split `name?length=9&cut_after=3` into the name and what follows it.

    `;` serves as well as `?` and `&`, since google-genai refuses those in a model's name;
    a name that arrives percent-encoded is decoded. A fault is written by its type, with
    its number if it has one: `status=503&retry_after_s=2`, `silence`, `cut_after=3`.
    Raises BehaviourError for a word that means nothing.
    """
    name, _, suffix = unquote(written).replace(";", "?", 1).partition("?")
    pairs = parse_qsl(suffix.replace(";", "&"), keep_blank_values=True)
    settings: dict[str, Any] = {}
    faults: list[dict[str, Any]] = []
    for key, value in pairs:
        if key in _FAULTS:
            faults.append(_fault(key, value))
        elif key == "retry_after_s" and faults:
            faults[-1][key] = value
        else:
            settings[key] = value
    if faults:
        settings["faults"] = faults
    return name, _validated(Behaviour, settings)


def _fault(kind: str, value: str) -> dict[str, Any]:
    fields = [field for field in _FAULTS[kind].model_fields if field != "type"]
    if not value:
        return {"type": kind}
    if not fields:
        raise BehaviourError(f"{kind} takes no value")
    return {"type": kind, fields[0]: value}


def _validated(kind: type[Setting], value: Any) -> Setting:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "behaviour"
        raise BehaviourError(f"{where}: {first['msg']}") from error


class BehaviourBook:
    """The behaviour of every model: defaults, what is set for a model, what a request says.

    A setting's name is a model, `provider/model`, `provider/*` or `*`; the closest one counts.
    """

    def __init__(self, defaults: Behaviour) -> None:
        self._defaults = defaults
        self._settings: dict[str, Behaviour | Script] = {}
        self._consumed: dict[str, int] = {}

    @property
    def settings(self) -> Mapping[str, Behaviour | Script]:
        return dict(self._settings)

    def put(self, name: str, setting: Behaviour | Script) -> None:
        self._settings[name] = setting
        self._consumed[name] = 0

    def remove(self, name: str) -> bool:
        self._consumed.pop(name, None)
        return self._settings.pop(name, None) is not None

    def clear(self) -> None:
        self._settings.clear()
        self._consumed.clear()

    def take(self, provider: str, written: str) -> tuple[str, Behaviour]:
        """The model's plain name and its behaviour for one request, which uses up one of a
        script's entries. Raises BehaviourError.
        """
        name, spoken = split_model(written)
        for key in (f"{provider}/{name}", name, f"{provider}/*", "*"):
            if key in self._settings:
                return name, self._defaults.overlaid(self._next(key)).overlaid(spoken)
        return name, self._defaults.overlaid(spoken)

    def _next(self, key: str) -> Behaviour:
        setting = self._settings[key]
        if isinstance(setting, Behaviour):
            return setting
        consumed = self._consumed[key]
        self._consumed[key] = consumed + 1
        return setting.script[consumed] if consumed < len(setting.script) else setting.then
