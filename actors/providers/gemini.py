"""Google's Gemini through google-genai.

Shapes: https://ai.google.dev/api/generate-content; errors are google.rpc.Status.
"""

from __future__ import annotations

import contextlib
import ssl
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import aiohttp
import certifi
from google import genai
from google.genai import errors, types

from actors.core.completion import Finish, TextChunk, Usage
from actors.core.errors import ContentFiltered, ProviderError, ProviderRejected, Truncated
from actors.providers.refusals import Refusal
from actors.providers.retry_after import duration_s, retry_after_s

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from types import SimpleNamespace

    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

    from actors.core.completion import Chunk, CompletionRequest, FinishReason
    from config.settings import Provider

CONNECT_TIMEOUT_S = 10.0
KEEPALIVE_S = 30.0
READ_BUFFER_BYTES = 64 * 1024

_FINISH_REASONS: dict[str, FinishReason] = {"STOP": "stop", "MAX_TOKENS": "length"}
_FILTER_REASONS = {
    "BLOCKLIST",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_SAFETY",
    "LANGUAGE",
    "MODEL_ARMOR",
    "PROHIBITED_CONTENT",
    "RECITATION",
    "SAFETY",
    "SPII",
}
_ROLES = {"user": "user", "assistant": "model"}
_RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"

_TRANSPORT_FAILURES = (aiohttp.ClientError, OSError)
_SHAPE_FAILURES = (ValueError, LookupError, TypeError, AttributeError)
_FAILURES = (errors.APIError, *_TRANSPORT_FAILURES, *_SHAPE_FAILURES)


# The SDK keeps a stream's HTTP response to itself, in a reference cycle: when the stream is left
# between two chunks, only the garbage collector would close it. A request is sent within the
# step that asks for the first chunk, so that its response finds its stream by the context.
_responses: ContextVar[list[aiohttp.ClientResponse]] = ContextVar("responses")


async def _note_response(
    _session: aiohttp.ClientSession,
    _context: SimpleNamespace,
    params: aiohttp.TraceRequestEndParams,
) -> None:
    _responses.get().append(params.response)


class Gemini:
    """The adapter of generateContent. Made on the event loop that uses it."""

    def __init__(self, name: str, provider: Provider) -> None:
        self._name = name
        tracing = aiohttp.TraceConfig()
        tracing.on_request_end.append(_note_response)
        self._session = aiohttp.ClientSession(
            connector=_Connector(limit=provider.max_connections, keepalive_timeout=KEEPALIVE_S),
            trust_env=True,
            read_bufsize=READ_BUFFER_BYTES,
            trace_configs=[tracing],
        )
        self._client = _connect(provider, self._session)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        answer = GeminiAnswer(self._name)
        responses: list[aiohttp.ClientResponse] = []
        _responses.set(responses)
        try:
            chunks: Any = await self._client.aio.models.generate_content_stream(
                model=request.model,
                contents=contents(request),
                config=generation_config(request),
            )
            async with contextlib.aclosing(chunks):
                async for chunk in chunks:
                    if text := answer.take(chunk):
                        yield TextChunk(text)
        except _FAILURES as error:
            raise translated(self._name, error, now=time.time()) from error
        finally:
            for response in responses:
                response.close()
        yield answer.finish()

    async def aclose(self) -> None:
        await self._client.aio.aclose()
        self._client.close()
        await self._session.close()


class _Connector(aiohttp.TCPConnector):
    """Bounds the time to connect, for which the SDK has no setting but an answer's whole time."""

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ARG002, ASYNC109 - the interface is aiohttp's
    ) -> Connection:
        bounded = aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT_S)
        return await super().connect(req, traces, bounded)


def _connect(provider: Provider, session: aiohttp.ClientSession) -> genai.Client:
    """One client; its transports share a TLS context, which is most of what it weighs."""
    tls = ssl.create_default_context()
    tls.load_verify_locations(certifi.where())
    return genai.Client(
        enterprise=False,
        api_key=provider.api_key.get_secret_value() if provider.api_key else "none",
        http_options=types.HttpOptions(
            base_url=provider.base_url,
            aiohttp_client=session,
            client_args={"verify": tls},
            async_client_args={"verify": tls, "ssl": tls},
            retry_options=types.HttpRetryOptions(attempts=1),
        ),
    )


def contents(request: CompletionRequest) -> list[types.Content]:
    return [
        types.Content(role=_ROLES[turn.role], parts=[types.Part(text=turn.text)])
        for turn in request.turns
    ]


def generation_config(request: CompletionRequest) -> types.GenerateContentConfig:
    parameters = request.parameters
    return types.GenerateContentConfig(
        system_instruction=request.system or None,
        temperature=parameters.temperature,
        top_p=parameters.top_p,
        max_output_tokens=parameters.max_output_tokens,
        stop_sequences=list(parameters.stop) or None,
        automatic_continuation=False,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )


class GeminiAnswer:
    """One answer, read chunk by chunk. Only a finish reason ends it: the wire has no end marker."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._reason: str | None = None
        self._usage = Usage()

    def take(self, chunk: types.GenerateContentResponse) -> str:
        """The text that a chunk adds, often none; a model's thoughts are none of it.

        Raises:
            ContentFiltered: the prompt is blocked; such an answer has no candidate.
        """
        feedback = chunk.prompt_feedback
        if feedback is not None and feedback.block_reason is not None:
            raise ContentFiltered(
                f"{self._source} blocked the prompt: {feedback.block_reason.value}"
            )
        if chunk.usage_metadata is not None:
            self._usage = _usage(chunk.usage_metadata)
        if not chunk.candidates:
            return ""
        candidate = chunk.candidates[0]
        if candidate.finish_reason is not None:
            self._reason = candidate.finish_reason.value
        parts = candidate.content.parts if candidate.content else None
        return "".join(part.text for part in parts or () if part.text and not part.thought)

    def finish(self) -> Finish:
        """Raises Truncated or ContentFiltered where what was taken is no whole answer."""
        if self._reason is None:
            raise Truncated(f"{self._source} ended its answer without a finish reason")
        if self._reason in _FILTER_REASONS:
            raise ContentFiltered(f"{self._source} filtered its answer: {self._reason}")
        reason = _FINISH_REASONS.get(self._reason)
        if reason is None:
            raise ProviderError(f"{self._source} ended its answer with {self._reason!r}")
        return Finish(reason=reason, usage=self._usage)


def _usage(counts: types.GenerateContentResponseUsageMetadata) -> Usage:
    answered, thought = counts.candidates_token_count or 0, counts.thoughts_token_count or 0
    return Usage(input_tokens=counts.prompt_token_count or 0, output_tokens=answered + thought)


def translated(source: str, error: Exception, *, now: float) -> ProviderError:
    """Our error for one of the SDK's or of the transport below it. `now` is Unix time."""
    if isinstance(error, errors.APIError):
        return Refusal(
            source=source,
            message=error.message or "no reason given",
            status=error.code,
            codes=frozenset([error.status] if error.status else []),
            retry_after_s=_wait_s(error, now),
        ).as_error()
    if isinstance(error, _TRANSPORT_FAILURES):
        said = f"{type(error).__name__} {error}".strip()
        return ProviderError(f"{source} cannot be reached: {said}", retryable=True)
    if type(error) is ValueError:
        return ProviderRejected(f"{source}: the SDK refuses the request: {error}")
    return ProviderError(f"{source} sent a malformed chunk: {error}", retryable=True)


def _wait_s(error: errors.APIError, now: float) -> float | None:
    """From RetryInfo in the error's details, else from the response's headers."""
    for detail in _details(error.details):
        if detail.get("@type") == _RETRY_INFO:
            return duration_s(str(detail.get("retryDelay", "")))
    headers: Mapping[str, str] = getattr(error.response, "headers", None) or {}
    return retry_after_s(headers, now=now)


def _details(body: Any) -> list[dict[str, Any]]:
    said = body.get("error", body) if isinstance(body, dict) else {}
    details = said.get("details") if isinstance(said, dict) else None
    return [detail for detail in details or () if isinstance(detail, dict)]
