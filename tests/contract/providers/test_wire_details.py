"""What goes over each wire to the byte, against a server that answers as it is told."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from actors.core.completion import Finish, TextChunk, Usage
from actors.core.errors import ProviderError, ProviderRejected, Truncated
from actors.core.messages import Turn

COMPLETE = {
    "gemini": b'data: {"candidates":[{"content":{"parts":[{"text":"hi"}],"role":"model"},'
    b'"finishReason":"STOP"}]}\r\n\r\n',
    "chat": b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
    b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n",
    "responses": b"event: response.output_text.delta\n"
    b'data: {"type":"response.output_text.delta","delta":"hi"}\n\n'
    b"event: response.completed\n"
    b'data: {"type":"response.completed","response":{"status":"completed"}}\n\n',
}
HI = [TextChunk("hi"), Finish(reason="stop", usage=Usage())]
JSON = {"Content-Type": "application/json"}
PARAMETERS = {"temperature": 0.5, "top_p": 0.25, "max_output_tokens": 99}


async def received(chunks):
    return [chunk async for chunk in chunks]


async def failure(chunks):
    with pytest.raises(ProviderError) as raised:
        await received(chunks)
    return raised.value


@pytest.fixture
async def acme(connect, scripted, wire):
    scripted.body = COMPLETE[wire.name]
    return connect(scripted.url)


async def test_an_answer_without_usage_counts_nothing(acme, ask):
    assert await received(acme.stream(ask())) == HI


async def test_the_key_is_sent(connect, scripted, wire, ask):
    scripted.body = COMPLETE[wire.name]
    await received(connect(scripted.url, api_key="s3cret").stream(ask()))
    _, headers, _ = scripted.requests[0]
    sent = {name.lower(): value for name, value in headers.items()}
    if wire.name == "gemini":
        assert sent["x-goog-api-key"] == "s3cret"
    else:
        assert sent["authorization"] == "Bearer s3cret"


async def test_parameters_are_sent(acme, scripted, wire, ask):
    await received(acme.stream(ask(**PARAMETERS)))
    body = scripted.requests[0][2]
    expected = {
        "gemini": {"temperature": 0.5, "topP": 0.25, "maxOutputTokens": 99},
        "chat": {"temperature": 0.5, "top_p": 0.25, "max_tokens": 99},
        "responses": {"temperature": 0.5, "top_p": 0.25, "max_output_tokens": 99},
    }[wire.name]
    said = body["generationConfig"] if wire.name == "gemini" else body
    assert expected.items() <= said.items()


async def test_parameters_without_a_value_are_not_sent(acme, scripted, wire, ask):
    await received(acme.stream(ask()))
    body = scripted.requests[0][2]
    assert set(body) == {
        "gemini": {"contents"},
        "chat": {"model", "messages", "stream", "stream_options"},
        "responses": {"model", "input", "stream", "store"},
    }[wire.name] | ({"generationConfig"} & set(body))
    assert not body.get("generationConfig")


async def test_stop_sequences_are_sent_or_rejected(acme, scripted, wire, ask):
    request = ask(stop=("END", "---"))
    if wire.name == "responses":
        assert type(await failure(acme.stream(request))) is ProviderRejected
        assert not scripted.requests
        return
    await received(acme.stream(request))
    body = scripted.requests[0][2]
    sent = body["generationConfig"]["stopSequences"] if wire.name == "gemini" else body["stop"]
    assert sent == ["END", "---"]


async def test_consecutive_turns_of_one_side_stay_apart(acme, scripted, wire, ask):
    turns = tuple(Turn(role="user", text=text) for text in ("one", "two"))
    await received(acme.stream(replace(ask(), turns=turns)))
    body = scripted.requests[0][2]
    key = {"gemini": "contents", "chat": "messages", "responses": "input"}[wire.name]
    assert [turn["role"] for turn in body[key]] == ["user", "user"]


async def test_a_server_error_without_a_readable_body_is_retryable(acme, scripted, ask):
    scripted.status = 500
    for headers, body in ((JSON, b""), (JSON, b'{"error'), ({"Content-Type": "text/html"}, b"<p>")):
        scripted.headers, scripted.body = headers, body
        error = await failure(acme.stream(ask()))
        assert (type(error), error.retryable) == (ProviderError, True)


async def test_a_date_to_retry_after_is_understood(acme, scripted, ask):
    scripted.status, scripted.body = 503, b'{"error":{"message":"busy"}}'
    later = datetime.now(UTC) + timedelta(seconds=90)
    scripted.headers = {**JSON, "Retry-After": format_datetime(later, usegmt=True)}
    error = await failure(acme.stream(ask()))
    assert error.retry_after_s == pytest.approx(90, abs=5)


async def test_an_answer_that_is_not_streamed_is_an_error(acme, scripted, ask):
    scripted.headers, scripted.body = JSON, b'{"choices":[]}'
    error = await failure(acme.stream(ask()))
    assert error.retryable


async def test_a_chunk_of_another_shape_is_an_error(acme, scripted, ask):
    for said in ('{"candidates":7,"choices":7,"type":"response.completed"}', '["what"]', "7"):
        scripted.body = f"data: {said}\n\n".encode()
        assert (await failure(acme.stream(ask()))).retryable


async def test_an_empty_stream_is_truncated(acme, scripted, ask):
    scripted.body = b""
    assert type(await failure(acme.stream(ask()))) is Truncated


async def test_a_chunk_cut_in_its_middle_is_no_answer(acme, scripted, ask):
    scripted.body = scripted.body[: scripted.body.index(b'"hi"') + 2]
    assert (await failure(acme.stream(ask()))).retryable


@pytest.mark.parametrize("wire", ["gemini"], indirect=True)
async def test_a_model_name_that_the_sdk_refuses_is_rejected(acme, scripted, ask):
    assert type(await failure(acme.stream(ask("../secrets")))) is ProviderRejected
    assert not scripted.requests


@pytest.mark.parametrize("wire", ["chat", "responses"], indirect=True)
async def test_a_body_left_open_after_its_end_marker_is_not_waited_for(acme, scripted, ask):
    scripted.pause_s = 3600
    async with asyncio.timeout(3):
        assert await received(acme.stream(ask())) == HI


@pytest.mark.parametrize("wire", ["chat", "responses"], indirect=True)
async def test_a_body_that_ends_soon_leaves_its_connection_for_the_next(
    acme, scripted, ask, monkeypatch
):
    scripted.pause_s = 0.02
    monkeypatch.setattr("actors.providers.openai_sdk.DRAIN_S", 3)
    for _ in range(3):
        assert await received(acme.stream(ask())) == HI
    assert len(scripted.peers) == 1


@pytest.mark.parametrize("wire", ["chat"], indirect=True)
async def test_keep_alive_comments_are_skipped(acme, scripted, ask):
    scripted.body = b": keep-alive\n\n" + scripted.body.replace(b"data: [", b": more\n\ndata: [")
    assert await received(acme.stream(ask())) == HI


@pytest.mark.parametrize("wire", ["chat"], indirect=True)
async def test_a_finish_reason_is_enough_without_an_end_marker(acme, scripted, ask):
    scripted.body = scripted.body.replace(b"data: [DONE]\n\n", b"")
    assert await received(acme.stream(ask())) == HI


@pytest.mark.parametrize("wire", ["chat", "responses"], indirect=True)
async def test_a_used_up_account_is_not_asked_again(acme, scripted, ask):
    said = {"message": "You exceeded your quota.", "type": "x", "code": "insufficient_quota"}
    scripted.status, scripted.headers = 429, JSON
    scripted.body = json.dumps({"error": said}).encode()
    error = await failure(acme.stream(ask()))
    assert (type(error), error.retryable) == (ProviderRejected, False)
