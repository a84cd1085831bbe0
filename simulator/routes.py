"""Which wire and which resource a path means."""

from dataclasses import dataclass
from typing import Literal

from simulator.gemini_wire import GeminiWire
from simulator.openai_wire import ChatWire
from simulator.responses_wire import ResponsesWire
from simulator.wire import GenerationRequest, Problem, ProblemError

_CHAT = ChatWire()
_RESPONSES = ResponsesWire()
_GEMINI = GeminiWire()
_VERSIONS = {"v1", "v1beta"}
_STREAMED = "streamGenerateContent"
_METHODS = {"generateContent", _STREAMED}

AnyWire = ChatWire | ResponsesWire | GeminiWire


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`name` is a model's, as the path writes it; empty if the path names none."""

    kind: Literal["generation", "model_list", "model_card"]
    provider: str
    name: str = ""
    streamed: bool = False


def find_wire(path: str, *, google: bool) -> AnyWire:
    """The wire that a path is spoken to in; `google`: the request carries Google's key."""
    if google or "/v1beta/" in path or path.endswith(tuple(f":{name}" for name in _METHODS)):
        return _GEMINI
    return _RESPONSES if path.endswith("/responses") else _CHAT


def find_route(method: str, path: str, *, alt: str | None) -> Route:
    """Raises ProblemError for a path that no provider has."""
    provider, _, rest = path.removeprefix("/").partition("/")
    version, _, resource = rest.partition("/")
    name = resource.removeprefix("models/")
    if not provider or version not in _VERSIONS:
        raise _unknown(method, path)
    match method, resource:
        case "POST", "chat/completions" | "responses" if version == "v1":
            return Route(kind="generation", provider=provider)
        case "POST", _ if name != resource:
            return _gemini_generation(method, path, provider, name, alt)
        case "GET", "models":
            return Route(kind="model_list", provider=provider)
        case "GET", _ if name != resource:
            return Route(kind="model_card", provider=provider, name=name)
        case _:
            raise _unknown(method, path)


def read_generation(wire: AnyWire, route: Route, raw: bytes) -> GenerationRequest:
    """Raises ProblemError."""
    if isinstance(wire, GeminiWire):
        return wire.read(raw, model=route.name, stream=route.streamed)
    return wire.read(raw)


def _gemini_generation(
    method: str, path: str, provider: str, target: str, alt: str | None
) -> Route:
    name, _, action = target.rpartition(":")
    if action not in _METHODS:
        raise _unknown(method, path)
    streamed = action == _STREAMED
    if streamed and alt != "sse":
        raise ProblemError(Problem(status=400, message="Streams are served with alt=sse only."))
    return Route(kind="generation", provider=provider, name=name, streamed=streamed)


def _unknown(method: str, path: str) -> ProblemError:
    said = f"Invalid URL ({method} {path})"
    return ProblemError(Problem(status=404, message=said, code="unknown_url"))
