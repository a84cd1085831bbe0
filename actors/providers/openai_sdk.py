"""The OpenAI SDK as both of its adapters use it: the client, a streamed answer, its errors.

The SDK sends requests and decodes the transport; events are parsed here, since its own models
of them cost three times the processor time a chunk.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
import httpx2
import openai

from actors.core.completion import TextChunk
from actors.core.errors import ProviderError
from actors.providers.refusals import Refusal
from actors.providers.retry_after import retry_after_s
from actors.providers.sse import EventDecoder

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Mapping

    from openai import AsyncAPIResponse
    from openai._response import AsyncResponseContextManager

    from actors.core.completion import Chunk, Finish
    from config.settings import Provider

    Opening = AsyncResponseContextManager[AsyncAPIResponse[Any]]

CONNECT_TIMEOUT_S = 10.0
KEEPALIVE_S = 30.0
DRAIN_S = 0.25
NO_KEY = "none"

_TRANSPORT_FAILURES = (httpx2.HTTPError, httpx2.StreamError, aiohttp.ClientError, OSError)
_FAILURES = (openai.OpenAIError, *_TRANSPORT_FAILURES)
_SHAPE_FAILURES = (ValueError, LookupError, TypeError, AttributeError)


class Answer(Protocol):
    """One answer, read event by event."""

    @property
    def ended(self) -> bool:
        """No further event is going to matter."""
        ...

    def take(self, data: bytes) -> str:
        """The text that an event adds, often none. Raises ProviderError for a reported error."""
        ...

    def finish(self) -> Finish:
        """Raises Truncated or ContentFiltered where what was taken is no whole answer."""
        ...


def connect(provider: Provider) -> openai.AsyncOpenAI:
    """The one client of an adapter. It sets no limit to an answer's duration: its caller does."""
    timeout = openai.Timeout(None, connect=CONNECT_TIMEOUT_S)
    limits = httpx2.Limits(max_connections=provider.max_connections, keepalive_expiry=KEEPALIVE_S)
    return openai.AsyncOpenAI(
        api_key=provider.api_key.get_secret_value() if provider.api_key else NO_KEY,
        base_url=provider.base_url,
        max_retries=0,
        timeout=timeout,
        http_client=openai.DefaultAioHttpClient(timeout=timeout, limits=limits),
    )


async def stream_answer(
    source: str, open_response: Callable[[], Opening], answer: Answer
) -> AsyncGenerator[Chunk, None]:
    """The chunks of a response, which is requested at the first of them and closed before `Finish`.

    Raises:
        ProviderError: or a subclass of it.
    """
    decoder = EventDecoder()
    try:
        async with open_response() as response:
            _require_event_stream(source, response)
            async with contextlib.aclosing(response.http_response.aiter_bytes()) as pieces:
                async for piece in pieces:
                    for text in _texts(source, decoder, piece, answer):
                        yield TextChunk(text)
                    if answer.ended:
                        await _drain(pieces)
                        break
    except _FAILURES as error:
        raise translated(source, error, now=time.time()) from error
    yield answer.finish()


def _require_event_stream(source: str, response: AsyncAPIResponse[Any]) -> None:
    content_type = response.headers.get("content-type", "nothing")
    if not content_type.startswith("text/event-stream"):
        raise ProviderError(f"{source} sent {content_type} instead of an event stream")


def _texts(source: str, decoder: EventDecoder, piece: bytes, answer: Answer) -> Iterator[str]:
    try:
        for data in decoder.feed(piece):
            if text := answer.take(data):
                yield text
    except _SHAPE_FAILURES as error:
        raise ProviderError(f"{source} sent a malformed chunk: {error}") from error


async def _drain(pieces: AsyncGenerator[bytes, None]) -> None:
    """Reads the body's end, without which its connection could not be used again."""
    with contextlib.suppress(TimeoutError, *_TRANSPORT_FAILURES):
        async with asyncio.timeout(DRAIN_S):
            async for _ in pieces:
                pass


def translated(source: str, error: Exception, *, now: float) -> ProviderError:
    """Our error for one of the SDK's or of the transports below it. `now` is Unix time."""
    if isinstance(error, openai.APIStatusError):
        said = error.body if isinstance(error.body, dict) else {}
        wait_s = retry_after_s(error.response.headers, now=now)
        return _refusal(source, said, error.message, error.status_code, wait_s).as_error()
    return ProviderError(f"{source} cannot be reached: {_described(error)}", retryable=True)


def reported(source: str, said: Mapping[str, Any]) -> ProviderError:
    """Our error for the error object of a stream that began well."""
    code = said.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else None
    return _refusal(source, said, "no reason given", status, None).as_error()


def _refusal(
    source: str,
    said: Mapping[str, Any],
    fallback: str,
    status: int | None,
    wait_s: float | None,
) -> Refusal:
    return Refusal(
        source=source,
        message=str(said.get("message") or fallback),
        status=status,
        codes=frozenset(str(said[key]) for key in ("code", "type") if said.get(key)),
        retry_after_s=wait_s,
    )


def _described(error: Exception) -> str:
    cause = error.__cause__ or error
    return f"{type(cause).__name__} {cause}".strip()
