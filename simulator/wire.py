"""What every wire format offers to the rest of the simulator."""

from dataclasses import dataclass
from typing import Any, Literal, NoReturn, Protocol, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from simulator.prompt import Prompt

Finish = Literal["stop", "length", "content_filter"]
Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    input_tokens: int
    output_tokens: int

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a request is refused or fails; each wire gives it its own shape."""

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    retry_after_s: float | None = None


class ProblemError(Exception):
    """A request is refused."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """A request for one answer, read from any wire. `model` is as the client wrote it."""

    model: str
    prompt: Prompt
    stream: bool
    max_tokens: int | None
    include_usage: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What an answer says of itself."""

    number: int
    created: int
    model: str
    include_usage: bool


class Encoder(Protocol):
    """Bytes of one answer; the calls come in the order in which they stand here."""

    def opening(self) -> bytes:
        """Frames that precede the first token."""
        ...

    def token(self, text: str) -> bytes:
        """One frame that carries one token."""
        ...

    def closing(self, text: str, finish: Finish, usage: Usage) -> bytes:
        """Frames that end a complete stream; `text` is all that was sent."""
        ...

    def failure(self, problem: Problem) -> bytes:
        """Frames that tell of an error in a begun stream."""
        ...

    def whole(self, text: str, finish: Finish | None, usage: Usage) -> bytes:
        """The body of an answer that is not streamed; no finish: without an end marker."""
        ...


class Wire(Protocol):
    """One wire format."""

    name: str

    def error_body(self, problem: Problem) -> bytes: ...

    def error_headers(self, problem: Problem) -> dict[str, str]: ...

    def encoder(self, identity: Identity) -> Encoder: ...

    def model_list(self, names: list[str]) -> bytes: ...

    def model_card(self, name: str) -> bytes: ...

    def violation(self, field: str, reason: str, *, missing: bool) -> Problem:
        """The refusal of a body whose field is missing or wrong."""
        ...

    def not_json(self, reason: str) -> Problem: ...


def dump(value: Any) -> bytes:
    return orjson.dumps(value)


def read_body(wire: Wire, model: type[Body], raw: bytes) -> Body:
    """Validate a request's body. Raises ProblemError in the words of the wire."""
    try:
        return model.model_validate(orjson.loads(raw))
    except orjson.JSONDecodeError as error:
        raise ProblemError(wire.not_json(str(error))) from error
    except ValidationError as error:
        _refuse(wire, error)


def _refuse(wire: Wire, error: ValidationError) -> NoReturn:
    first = error.errors(include_url=False, include_context=False)[0]
    field = ".".join(str(step) for step in first["loc"]) or "body"
    missing = first["type"] in {"missing", "too_short"}
    raise ProblemError(wire.violation(field, first["msg"], missing=missing)) from error
