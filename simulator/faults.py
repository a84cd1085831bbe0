"""What can go wrong with a simulated provider, and how one answer is to go wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from simulator.wire import Finish, Problem

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]


class _Fault(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Status(_Fault):
    """An HTTP error instead of an answer."""

    type: Literal["status"] = "status"
    code: Annotated[int, Field(ge=300, le=599)]
    retry_after_s: Seconds | None = None
    message: str | None = None


class ResetBeforeHeaders(_Fault):
    """The socket is reset before any byte of an answer."""

    type: Literal["reset_before_headers"] = "reset_before_headers"


class Silence(_Fault):
    """The request is accepted and never answered."""

    type: Literal["silence"] = "silence"


class CutAfter(_Fault):
    """The socket is reset after so many tokens."""

    type: Literal["cut_after"] = "cut_after"
    tokens: Count


class StallAfter(_Fault):
    """Nothing more comes after so many tokens; the socket stays open."""

    type: Literal["stall_after"] = "stall_after"
    tokens: Count


class MalformedAfter(_Fault):
    """After so many tokens comes a frame that is no JSON, then a clean end."""

    type: Literal["malformed_after"] = "malformed_after"
    tokens: Count


class EofAfter(_Fault):
    """A clean end of the body after so many tokens, without an end marker."""

    type: Literal["eof_after"] = "eof_after"
    tokens: Count


class NoEndMarker(_Fault):
    """All tokens, then a clean end of the body without finish reason or [DONE]."""

    type: Literal["no_end_marker"] = "no_end_marker"


class ErrorInStreamAfter(_Fault):
    """After so many tokens the stream itself reports an error, with this HTTP code."""

    type: Literal["error_in_stream_after"] = "error_in_stream_after"
    tokens: Count
    code: Annotated[int, Field(ge=400, le=599)] = 503


class ContentFilter(_Fault):
    """The provider's filter ends the answer after so many tokens."""

    type: Literal["content_filter"] = "content_filter"
    tokens: Count = 0


class ContextTooLong(_Fault):
    """Prompts of more tokens than the limit are refused as too long."""

    type: Literal["context_too_long"] = "context_too_long"
    limit: Count = 0


class RefusePrefill(_Fault):
    """A last message of the assistant is refused."""

    type: Literal["refuse_prefill"] = "refuse_prefill"


class WrongContentType(_Fault):
    """A page of HTML with status 200, as a captive proxy gives."""

    type: Literal["wrong_content_type"] = "wrong_content_type"


Fault = Annotated[
    Status
    | ResetBeforeHeaders
    | Silence
    | CutAfter
    | StallAfter
    | MalformedAfter
    | EofAfter
    | NoEndMarker
    | ErrorInStreamAfter
    | ContentFilter
    | ContextTooLong
    | RefusePrefill
    | WrongContentType,
    Field(discriminator="type"),
]

Opening = Literal["answer", "reset", "silence", "page"]
Ending = Literal["complete", "unmarked", "malformed", "cut", "stall", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one answer goes: its beginning, the tokens that are sent, its end."""

    opening: Opening
    tokens: tuple[str, ...]
    finish: Finish
    ending: Ending
    problem: Problem | None = None
    fault: str | None = None


def refusal(faults: Sequence[Fault], *, input_tokens: int, prefilled: bool) -> Problem | None:
    """The HTTP error that the first applicable fault answers with, if any."""
    for fault in faults:
        match fault:
            case Status(code=code, retry_after_s=retry_after_s, message=message):
                said = message or f"The simulated provider answers with status {code}."
                return Problem(status=code, message=said, retry_after_s=retry_after_s)
            case ContextTooLong(limit=limit) if input_tokens > limit:
                return _too_long(input_tokens, limit)
            case RefusePrefill() if prefilled:
                return Problem(
                    status=400,
                    message="This model does not support assistant message prefill. "
                    "The conversation must end with a user message.",
                )
            case _:
                pass
    return None


def plan(faults: Sequence[Fault], tokens: Sequence[str], finish: Finish) -> Plan:
    """Apply the first fault that concerns a begun answer; none of them: a complete one."""
    whole = tuple(tokens)
    for fault in faults:
        match fault:
            case ResetBeforeHeaders():
                return _spoilt(fault, "cut", whole[:0], finish, opening="reset")
            case Silence():
                return _spoilt(fault, "stall", whole[:0], finish, opening="silence")
            case WrongContentType():
                return _spoilt(fault, "unmarked", whole[:0], finish, opening="page")
            case CutAfter(tokens=kept):
                return _spoilt(fault, "cut", whole[:kept], finish)
            case StallAfter(tokens=kept):
                return _spoilt(fault, "stall", whole[:kept], finish)
            case MalformedAfter(tokens=kept):
                return _spoilt(fault, "malformed", whole[:kept], finish)
            case EofAfter(tokens=kept):
                return _spoilt(fault, "unmarked", whole[:kept], finish)
            case NoEndMarker():
                return _spoilt(fault, "unmarked", whole, finish)
            case ContentFilter(tokens=kept):
                return _spoilt(fault, "complete", whole[:kept], "content_filter")
            case ErrorInStreamAfter(tokens=kept, code=code):
                said = Problem(status=code, message="The simulated provider failed midway.")
                return _spoilt(fault, "error", whole[:kept], finish, problem=said)
            case _:
                pass
    return Plan(opening="answer", tokens=whole, finish=finish, ending="complete")


def _spoilt(
    fault: Fault,
    ending: Ending,
    tokens: tuple[str, ...],
    finish: Finish,
    *,
    opening: Opening = "answer",
    problem: Problem | None = None,
) -> Plan:
    return Plan(
        opening=opening,
        tokens=tokens,
        finish=finish,
        ending=ending,
        problem=problem,
        fault=fault.type,
    )


def _too_long(input_tokens: int, limit: int) -> Problem:
    return Problem(
        status=400,
        message=f"This model's maximum context length is {limit} tokens. "
        f"The input token count ({input_tokens}) exceeds it.",
        code="context_length_exceeded",
        param="messages",
    )
