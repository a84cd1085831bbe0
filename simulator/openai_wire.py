"""OpenAI's Chat Completions wire: requests, chunks, errors.

Shapes: https://platform.openai.com/docs/api-reference/chat and /chat-streaming.
"""

from math import ceil
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from simulator.prompt import Prompt, Turn
from simulator.wire import (
    Encoder,
    Finish,
    GenerationRequest,
    Identity,
    Problem,
    Usage,
    dump,
    read_body,
)

_KINDS = {
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


class Part(BaseModel):
    text: str = ""


Content = str | list[Part] | None


class _Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Content = None


class _StreamOptions(BaseModel):
    include_usage: bool = False


class _ChatBody(BaseModel):
    model: str
    messages: Annotated[list[_Message], Field(min_length=1)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: Annotated[int | None, Field(ge=1)] = None
    max_completion_tokens: Annotated[int | None, Field(ge=1)] = None


def plain_text(content: Content) -> str:
    if isinstance(content, list):
        return "".join(part.text for part in content)
    return content or ""


def error_object(problem: Problem) -> dict[str, Any]:
    """The value of `error` in OpenAI's error body."""
    fallback = "server_error" if problem.status >= 500 else "invalid_request_error"
    kind, code = _KINDS.get(problem.status, (fallback, None))
    return {
        "message": problem.message,
        "type": kind,
        "param": problem.param,
        "code": problem.code or code,
    }


class OpenAIWire:
    """What both of OpenAI's wires share: refusals and the list of models."""

    def error_body(self, problem: Problem) -> bytes:
        return dump({"error": error_object(problem)})

    def error_headers(self, problem: Problem) -> dict[str, str]:
        if problem.retry_after_s is None:
            return {}
        return {
            "retry-after": str(ceil(problem.retry_after_s)),
            "retry-after-ms": str(round(problem.retry_after_s * 1000)),
        }

    def model_list(self, names: list[str]) -> bytes:
        return dump({"object": "list", "data": [_model(name) for name in names]})

    def model_card(self, name: str) -> bytes:
        return dump(_model(name))

    def violation(self, field: str, reason: str, *, missing: bool) -> Problem:
        if missing:
            said, code = f"Missing required parameter: '{field}'.", "missing_required_parameter"
        else:
            said, code = f"Invalid value for '{field}': {reason}.", "invalid_value"
        return Problem(status=400, message=said, code=code, param=field)

    def not_json(self, reason: str) -> Problem:
        said = f"We could not parse the JSON body of your request: {reason}."
        return Problem(status=400, message=said)


class ChatEncoder:
    """Chunks and bodies of one chat completion."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._base: dict[str, Any] = {
            "id": f"chatcmpl-{identity.number}",
            "object": "chat.completion.chunk",
            "created": identity.created,
            "model": identity.model,
            "service_tier": "default",
            "system_fingerprint": "fp_simulator",
        }
        head, _, tail = self._chunk({"content": "\0"}).partition(b'"\\u0000"')
        self._head, self._tail = head, tail

    def opening(self) -> bytes:
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def token(self, text: str) -> bytes:
        return self._head + dump(text) + self._tail

    def closing(self, text: str, finish: Finish, usage: Usage) -> bytes:  # noqa: ARG002 - of the interface
        frames = self._chunk({}, finish)
        if self._identity.include_usage:
            frames += _frame({**self._base, "choices": [], "usage": _usage(usage)})
        return frames + b"data: [DONE]\n\n"

    def failure(self, problem: Problem) -> bytes:
        return _frame({"error": error_object(problem)})

    def whole(self, text: str, finish: Finish | None, usage: Usage) -> bytes:
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        body = {**self._base, "choices": [choice], "usage": _usage(usage)}
        return dump({**body, "object": "chat.completion"})

    def _chunk(self, delta: dict[str, Any], finish: Finish | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = {**self._base, "choices": [choice]}
        if self._identity.include_usage:
            chunk["usage"] = None
        return _frame(chunk)


class ChatWire(OpenAIWire):
    name = "openai.chat"

    def encoder(self, identity: Identity) -> Encoder:
        return ChatEncoder(identity)

    def read(self, raw: bytes) -> GenerationRequest:
        """Raises ProblemError."""
        body = read_body(self, _ChatBody, raw)
        return GenerationRequest(
            model=body.model,
            prompt=prompt_of([(message.role, message.content) for message in body.messages]),
            stream=bool(body.stream),
            max_tokens=body.max_completion_tokens or body.max_tokens,
            include_usage=body.stream_options is not None and body.stream_options.include_usage,
        )


def prompt_of(messages: list[tuple[str, Content]], instructions: str | None = None) -> Prompt:
    """System texts are joined; what tools said is left out."""
    system = [instructions] if instructions else []
    turns: list[Turn] = []
    for role, content in messages:
        match role:
            case "system" | "developer":
                system.append(plain_text(content))
            case "user":
                turns.append(Turn(role="user", text=plain_text(content)))
            case "assistant":
                turns.append(Turn(role="assistant", text=plain_text(content)))
            case _:
                pass
    return Prompt(system="\n\n".join(system) or None, turns=tuple(turns))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_750_000_000, "owned_by": "simulator"}


def _frame(value: dict[str, Any]) -> bytes:
    return b"data: " + dump(value) + b"\n\n"


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }
