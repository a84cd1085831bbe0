"""OpenAI's Responses, selected by `api: responses`.

Shapes: https://platform.openai.com/docs/api-reference/responses-streaming.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from actors.core.completion import Finish, Usage
from actors.core.errors import ContentFiltered, ProviderError, ProviderRejected, Truncated
from actors.providers import openai_sdk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.core.completion import Chunk, CompletionRequest, FinishReason
    from config import settings

_FINISH_REASONS: dict[str, FinishReason] = {"completed": "stop", "max_output_tokens": "length"}


class OpenAIResponses:
    """The adapter of the Responses API, which knows no stop sequences: it rejects them.

    Nothing is stored at the provider.
    """

    def __init__(self, name: str, provider: settings.Provider) -> None:
        self._name = name
        self._client = openai_sdk.connect(provider)

    def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        answer = ResponsesAnswer(self._name)
        return openai_sdk.stream_answer(self._name, partial(self._open, request), answer)

    def _open(self, request: CompletionRequest) -> openai_sdk.Opening:
        if request.parameters.stop:
            raise ProviderRejected(f"{self._name}: the Responses API has no stop sequences")
        return self._client.responses.with_streaming_response.create(**responses_body(request))

    async def aclose(self) -> None:
        await self._client.close()


def responses_body(request: CompletionRequest) -> dict[str, Any]:
    parameters = request.parameters
    optional = {
        "instructions": request.system or None,
        "temperature": parameters.temperature,
        "top_p": parameters.top_p,
        "max_output_tokens": parameters.max_output_tokens,
    }
    return {
        "model": request.model,
        "input": [{"role": turn.role, "content": turn.text} for turn in request.turns],
        "stream": True,
        "store": False,
        **{key: value for key, value in optional.items() if value is not None},
    }


class ResponsesAnswer:
    """A response's events, up to the one that ends it."""

    def __init__(self, source: str) -> None:
        self.ended = False
        self._source = source
        self._reason: str | None = None
        self._usage = Usage()

    def take(self, data: bytes) -> str:
        event = orjson.loads(data)
        match event["type"]:
            case "response.output_text.delta" | "response.refusal.delta":
                return str(event["delta"])
            case "response.completed" | "response.incomplete":
                self._end(event["response"])
            case "response.failed":
                raise openai_sdk.reported(self._source, event["response"].get("error") or {})
            case "error":
                raise openai_sdk.reported(self._source, event.get("error") or event)
        return ""

    def _end(self, response: dict[str, Any]) -> None:
        self.ended = True
        details = response.get("incomplete_details") or {}
        self._reason = details.get("reason") or response["status"]
        usage = response.get("usage") or {}
        self._usage = Usage(
            input_tokens=usage.get("input_tokens") or 0,
            output_tokens=usage.get("output_tokens") or 0,
        )

    def finish(self) -> Finish:
        if self._reason is None:
            raise Truncated(f"{self._source} ended its answer without completing it")
        if self._reason == "content_filter":
            raise ContentFiltered(f"{self._source} filtered its answer: {self._reason}")
        reason = _FINISH_REASONS.get(self._reason)
        if reason is None:
            raise ProviderError(f"{self._source} ended its answer with {self._reason!r}")
        return Finish(reason=reason, usage=self._usage)
