"""What a client may say on a socket, and how it is read."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, Literal, NoReturn
from uuid import UUID

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from actors.core.errors import InvalidRequest

MAX_DEPTH = 32


class BadFrame(InvalidRequest):
    """The frame is not one of the protocol's."""


def storable(value: Any, depth: int = 0) -> Any:
    """Refuses what UTF-8, JSON or Postgres does not take: lone surrogates, NUL, endless nesting."""
    if depth > MAX_DEPTH:
        raise ValueError(f"is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("contains a NUL character")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("contains half a surrogate pair") from None
    elif isinstance(value, dict):
        for key, item in value.items():
            storable(key, depth + 1)
            storable(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            storable(item, depth + 1)
    elif isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError("contains a number beyond 64 bits")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("contains a number that JSON does not have")
    return value


def _spoken(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


def _uuid(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("is not a UUID")  # noqa: TRY004 - pydantic turns ValueError into its own
    return str(UUID(value))


Id = Annotated[str, BeforeValidator(_uuid)]
ClientMessageId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
Text = Annotated[str, BeforeValidator(storable), AfterValidator(_spoken)]
Name = Annotated[str, BeforeValidator(storable), StringConstraints(max_length=64)]
JsonObject = Annotated[dict[str, Any], BeforeValidator(storable)]
Echo = Annotated[Any, BeforeValidator(storable)]


class _Frame(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class Attachment(_Frame):
    conversation: Id
    after: str | None = None


class Hello(_Frame):
    type: Literal["hello"]
    token: str | None = None
    ticket: str | None = None
    attach: list[Any] = []
    """To be read one by one, with `read_attachment`: a bad one leaves the others."""


class Send(_Frame):
    type: Literal["send"]
    id: ClientMessageId
    conversation: Id | None = None
    text: Text
    agent: Name | None = None
    metadata: JsonObject = {}


class Attach(Attachment):
    type: Literal["attach"]


class Detach(_Frame):
    type: Literal["detach"]
    conversation: Id


class Stop(_Frame):
    type: Literal["stop"]
    run: Id


class Ping(_Frame):
    type: Literal["ping"]
    t: Echo = None


class Pong(_Frame):
    type: Literal["pong"]
    t: Echo = None


Frame = Hello | Send | Attach | Detach | Stop | Ping | Pong
_FRAME: TypeAdapter[Frame] = TypeAdapter(Annotated[Frame, Field(discriminator="type")])
TYPES = frozenset({"hello", "send", "attach", "detach", "stop", "ping", "pong"})


def decode(text: str) -> dict[str, Any]:
    """The frame's JSON object, of a known type, its fields yet to be read.

    Raises:
        BadFrame: it is no JSON object, or of no or an unknown type.
        InvalidRequest: it is nested deeper than any field may be.
    """
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError:
        # orjson also refuses lone surrogates, which are a field's fault, not the frame's.
        fields = _decode_surrogates(text)
    if not isinstance(fields, dict):
        raise BadFrame("A frame is a JSON object.")
    if not isinstance(fields.get("type"), str) or fields["type"] not in TYPES:
        raise BadFrame("The frame's type is missing or unknown.")
    return fields


def read(fields: dict[str, Any]) -> Frame:
    """The frame.

    Raises:
        InvalidRequest: a field is missing or bad; the message names it.
    """
    try:
        return _FRAME.validate_python(fields)
    except ValidationError as error:
        raise InvalidRequest(describe(error)) from None


def read_attachment(fields: Any) -> Attachment:
    """One entry of a hello's `attach`.

    Raises:
        InvalidRequest: a field is missing or bad; the message names it.
    """
    try:
        return Attachment.model_validate(fields)
    except ValidationError as error:
        raise InvalidRequest(f"attach: {describe(error)}") from None


def describe(error: ValidationError) -> str:
    """One sentence for the first thing wrong, naming the field."""
    first = error.errors(include_url=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"] if part not in TYPES)
    return f"{field or 'The request'}: {first['msg'].removeprefix('Value error, ')}."


def _decode_surrogates(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise InvalidRequest(f"The frame is nested more than {MAX_DEPTH} levels deep.") from None
    except ValueError:
        raise BadFrame("The frame is not JSON.") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)
