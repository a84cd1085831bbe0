"""OpenAI's Chat Completions, the wire that most other servers speak too.

Shapes: https://platform.openai.com/docs/api-reference/chat-streaming.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from actors.core.completion import Finish, Usage
from actors.core.errors import ContentFiltered, ProviderError, Truncated
from actors.providers import openai_sdk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.core.completion import Chunk, CompletionRequest, FinishReason
    from config import settings

_FINISH_REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length"}


class OpenAIChat:
    """The adapter of Chat Completions."""

    def __init__(self, name: str, provider: settings.Provider) -> None:
        self._name = name
        # OpenAI itself refuses `max_tokens` for its newer models; others know nothing else.
        self._limit_key = "max_tokens" if provider.base_url else "max_completion_tokens"
        self._client = openai_sdk.connect(provider)

    def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        answer = ChatAnswer(self._name)
        return openai_sdk.stream_answer(self._name, partial(self._open, request), answer)

    def _open(self, request: CompletionRequest) -> openai_sdk.Opening:
        body = chat_body(request, limit_key=self._limit_key)
        return self._client.chat.completions.with_streaming_response.create(**body)

    async def aclose(self) -> None:
        await self._client.close()


def chat_body(request: CompletionRequest, *, limit_key: str) -> dict[str, Any]:
    """What is asked; `limit_key` is the server's word for the most tokens of an answer."""
    messages = [{"role": turn.role, "content": turn.text} for turn in request.turns]
    if request.system:
        messages.insert(0, {"role": "system", "content": request.system})
    parameters = request.parameters
    optional = {
        "temperature": parameters.temperature,
        "top_p": parameters.top_p,
        limit_key: parameters.max_output_tokens,
        "stop": list(parameters.stop) or None,
    }
    return {
        "model": request.model,
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        **{key: value for key, value in optional.items() if value is not None},
    }


class ChatAnswer:
    """A chat completion's chunks, up to `[DONE]` or, without it, to a finish reason."""

    def __init__(self, source: str) -> None:
        self.ended = False
        self._source = source
        self._reason: str | None = None
        self._usage = Usage()

    def take(self, data: bytes) -> str:
        if data == b"[DONE]":
            self.ended = True
            return ""
        chunk = orjson.loads(data)
        if error := chunk.get("error"):
            raise openai_sdk.reported(self._source, error)
        if usage := chunk.get("usage"):
            self._usage = Usage(
                input_tokens=usage.get("prompt_tokens") or 0,
                output_tokens=usage.get("completion_tokens") or 0,
            )
        text = ""
        for choice in chunk.get("choices") or ():
            self._reason = choice.get("finish_reason") or self._reason
            delta = choice.get("delta") or {}
            text += delta.get("content") or delta.get("refusal") or ""
        return text

    def finish(self) -> Finish:
        if self._reason is None:
            raise Truncated(f"{self._source} ended its answer without a finish reason")
        if self._reason == "content_filter":
            raise ContentFiltered(f"{self._source} filtered its answer: {self._reason}")
        reason = _FINISH_REASONS.get(self._reason)
        if reason is None:
            raise ProviderError(f"{self._source} ended its answer with {self._reason!r}")
        return Finish(reason=reason, usage=self._usage)
