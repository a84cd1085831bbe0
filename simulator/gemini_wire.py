"""Gemini's generateContent wire: requests, chunks, errors.

Shapes: https://ai.google.dev/api/generate-content; errors are google.rpc.Status.
"""

from typing import Annotated, Any

from pydantic import AliasGenerator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

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

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_FINISHES: dict[Finish, str] = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}
_RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
_INPUT_TOKEN_LIMIT = 1_048_576
_OUTPUT_TOKEN_LIMIT = 65_536


class _Wire(BaseModel):
    """Keys come in camelCase from REST clients and in snake_case from some SDK calls."""

    model_config = ConfigDict(
        alias_generator=AliasGenerator(validation_alias=to_camel), populate_by_name=True
    )


class _Part(_Wire):
    text: str = ""


class _Content(_Wire):
    role: str | None = None
    parts: list[_Part] = []

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts)


class _GenerationConfig(_Wire):
    max_output_tokens: Annotated[int | None, Field(ge=1)] = None


class _GeminiBody(_Wire):
    contents: Annotated[list[_Content], Field(min_length=1)]
    system_instruction: _Content | None = None
    generation_config: _GenerationConfig | None = None


class GeminiEncoder:
    """Chunks and bodies of one GenerateContentResponse."""

    def __init__(self, identity: Identity) -> None:
        self._named = {"modelVersion": identity.model, "responseId": f"sim-{identity.number}"}
        head, _, tail = self._chunk("\0").partition(b'"\\u0000"')
        self._head, self._tail = head, tail

    def opening(self) -> bytes:
        return b""

    def token(self, text: str) -> bytes:
        return self._head + dump(text) + self._tail

    def closing(self, text: str, finish: Finish, usage: Usage) -> bytes:
        if finish == "content_filter" and not text:
            return _frame(self._blocked(usage))
        return self._chunk("", _FINISHES[finish], usageMetadata=_usage(usage))

    def failure(self, problem: Problem) -> bytes:
        return _frame({"error": _error_object(problem)})

    def whole(self, text: str, finish: Finish | None, usage: Usage) -> bytes:
        if finish == "content_filter" and not text:
            return dump(self._blocked(usage))
        reason = _FINISHES[finish] if finish else None
        return dump(self._answer(text, reason, usageMetadata=_usage(usage)))

    def _blocked(self, usage: Usage) -> dict[str, Any]:
        refused = {"promptFeedback": {"blockReason": "SAFETY"}}
        return {**refused, "usageMetadata": _usage(usage), **self._named}

    def _answer(self, text: str, reason: str | None, **fields: Any) -> dict[str, Any]:
        candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
        if reason:
            candidate["finishReason"] = reason
        return {"candidates": [candidate], **fields, **self._named}

    def _chunk(self, text: str, reason: str | None = None, **fields: Any) -> bytes:
        return _frame(self._answer(text, reason, **fields))


class GeminiWire:
    name = "gemini"

    def error_body(self, problem: Problem) -> bytes:
        return dump({"error": _error_object(problem)})

    def error_headers(self, problem: Problem) -> dict[str, str]:  # noqa: ARG002 - RetryInfo says it
        return {}

    def model_list(self, names: list[str]) -> bytes:
        return dump({"models": [_model(name) for name in names]})

    def model_card(self, name: str) -> bytes:
        return dump(_model(name))

    def violation(self, field: str, reason: str, *, missing: bool) -> Problem:
        said = f"{field} is not specified" if missing else f"Invalid value at '{field}': {reason}"
        return Problem(status=400, message=f"* GenerateContentRequest.{said}\n")

    def not_json(self, reason: str) -> Problem:
        return Problem(status=400, message=f"Invalid JSON payload received. {reason}.")

    def encoder(self, identity: Identity) -> Encoder:
        return GeminiEncoder(identity)

    def read(self, raw: bytes, *, model: str, stream: bool) -> GenerationRequest:
        """Raises ProblemError."""
        body = read_body(self, _GeminiBody, raw)
        config = body.generation_config
        return GenerationRequest(
            model=model,
            prompt=_prompt(body),
            stream=stream,
            max_tokens=config.max_output_tokens if config else None,
            include_usage=True,
        )


def _model(name: str) -> dict[str, Any]:
    return {
        "name": f"models/{name}",
        "version": "simulator",
        "displayName": name,
        "inputTokenLimit": _INPUT_TOKEN_LIMIT,
        "outputTokenLimit": _OUTPUT_TOKEN_LIMIT,
        "supportedGenerationMethods": ["generateContent"],
    }


def _prompt(body: _GeminiBody) -> Prompt:
    system = body.system_instruction.text if body.system_instruction else ""
    turns = tuple(
        Turn(role="assistant" if content.role == "model" else "user", text=content.text)
        for content in body.contents
    )
    return Prompt(system=system or None, turns=turns)


def _error_object(problem: Problem) -> dict[str, Any]:
    fallback = "INTERNAL" if problem.status >= 500 else "INVALID_ARGUMENT"
    error: dict[str, Any] = {
        "code": problem.status,
        "message": problem.message,
        "status": _STATUSES.get(problem.status, fallback),
    }
    if problem.retry_after_s is not None:
        delay = f"{problem.retry_after_s:g}s"
        error["details"] = [{"@type": _RETRY_INFO, "retryDelay": delay}]
    return error


def _frame(value: dict[str, Any]) -> bytes:
    return b"data: " + dump(value) + b"\r\n\r\n"


def _usage(usage: Usage) -> dict[str, Any]:
    counts = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens,
        "totalTokenCount": usage.total_tokens,
    }
    return {name: count for name, count in counts.items() if count}
