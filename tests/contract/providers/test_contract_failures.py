"""What every adapter makes of each way in which a provider fails."""

from __future__ import annotations

import asyncio
import pickle
import socket

import pytest

from actors.core.completion import TextChunk
from actors.core.errors import (
    ContentFiltered,
    ContextLengthExceeded,
    ProviderError,
    ProviderRejected,
    Truncated,
)

FAULTS = [
    ("status=302", ProviderRejected, False, 0),
    ("status=400", ProviderRejected, False, 0),
    ("status=401", ProviderRejected, False, 0),
    ("status=403", ProviderRejected, False, 0),
    ("status=404", ProviderRejected, False, 0),
    ("status=408", ProviderError, True, 0),
    ("status=422", ProviderRejected, False, 0),
    ("status=429", ProviderError, True, 0),
    ("status=500", ProviderError, True, 0),
    ("status=502", ProviderError, True, 0),
    ("status=503", ProviderError, True, 0),
    ("status=504", ProviderError, True, 0),
    ("reset_before_headers", ProviderError, True, 0),
    ("cut_after=0", ProviderError, True, 0),
    ("cut_after=3", ProviderError, True, 3),
    ("malformed_after=0", ProviderError, True, 0),
    ("malformed_after=3", ProviderError, True, 3),
    ("eof_after=0", Truncated, True, 0),
    ("eof_after=3", Truncated, True, 3),
    ("no_end_marker", Truncated, True, 60),
    ("error_in_stream_after=0", ProviderError, True, 0),
    ("error_in_stream_after=3", ProviderError, True, 3),
    ("content_filter=0", ContentFiltered, False, 0),
    ("content_filter=3", ContentFiltered, False, 3),
    ("context_too_long=1", ContextLengthExceeded, False, 0),
    ("refuse_prefill", ProviderRejected, False, 0),
    ("wrong_content_type", ProviderError, True, 0),
]


async def failed(chunks):
    """The pieces that arrived, then the error."""
    pieces = []
    try:
        async for chunk in chunks:
            assert isinstance(chunk, TextChunk)
            pieces.append(chunk.text)
    except ProviderError as error:
        return pieces, error
    pytest.fail("the answer did not fail")


@pytest.mark.parametrize(("fault", "kind", "retryable", "tokens"), FAULTS)
async def test_a_fault_becomes_one_of_our_errors(
    provider, simulator, ask, fault, kind, retryable, tokens
):
    prefill = ["Well,"] if fault == "refuse_prefill" else []
    pieces, error = await failed(provider.stream(ask(f"m;{fault}", "tell me more", *prefill)))
    assert (type(error), error.retryable) == (kind, retryable)
    assert len(pieces) == tokens
    record = simulator.journal.records[-1]
    assert "".join(pieces) == record.text
    assert len(simulator.journal.records) == 1


@pytest.mark.parametrize("fault", ["status=429;retry_after_s=7", "cut_after=3", "eof_after=1"])
async def test_an_error_survives_pickling(provider, ask, fault):
    _, error = await failed(provider.stream(ask(f"m;{fault}")))
    revived = pickle.loads(pickle.dumps(error))
    assert type(revived) is type(error)
    assert revived.as_json() == error.as_json()


@pytest.mark.parametrize("status", [429, 503])
async def test_a_provider_says_when_to_come_again(provider, ask, status):
    _, error = await failed(provider.stream(ask(f"m;status={status};retry_after_s=7.5")))
    assert error.retry_after_s == 7.5


async def test_an_error_names_the_provider_and_its_reason(provider, simulator, ask):
    _, error = await failed(provider.stream(ask("m;status=500")))
    assert error.message == (
        "acme answered with status 500: The simulated provider answers with status 500."
    )


async def test_a_refused_credential_is_not_repeated_to_anyone(provider, ask):
    _, error = await failed(provider.stream(ask("m;status=401")))
    assert error.message == "acme does not accept the configured credential"


async def test_a_server_that_is_not_there_cannot_be_reached(connect, ask):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    _, error = await failed(connect(f"http://127.0.0.1:{port}").stream(ask("m")))
    assert (type(error), error.retryable) == (ProviderError, True)
    assert "acme cannot be reached" in error.message


@pytest.fixture
def deaf_server():
    """A socket that accepts nobody: its queue is full, so that connecting waits for ever."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for queued in (first, second):
            queued.setblocking(False)
            queued.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_connecting_is_bounded_in_time(wire, connect, ask, deaf_server, monkeypatch):
    adapter = "gemini" if wire.kind == "gemini" else "openai_sdk"
    monkeypatch.setattr(f"actors.providers.{adapter}.CONNECT_TIMEOUT_S", 0.2)
    async with asyncio.timeout(3):
        _, error = await failed(connect(deaf_server).stream(ask("m")))
    assert (type(error), error.retryable) == (ProviderError, True)


async def test_an_adapter_works_on_after_a_failure(provider, ask):
    await failed(provider.stream(ask("m;cut_after=3")))
    assert [chunk async for chunk in provider.stream(ask("m"))]
