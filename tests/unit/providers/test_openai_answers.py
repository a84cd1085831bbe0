"""The events of both of OpenAI's wires, and what they add up to."""

from __future__ import annotations

import aiohttp
import httpx2
import openai
import orjson
import pytest

from actors.core.completion import CompletionRequest, Finish, Usage
from actors.core.errors import (
    ContentFiltered,
    ContextLengthExceeded,
    ProviderError,
    ProviderRejected,
    Truncated,
)
from actors.core.messages import Turn
from actors.providers.openai_chat import ChatAnswer, OpenAIChat, chat_body
from actors.providers.openai_responses import ResponsesAnswer, responses_body
from actors.providers.openai_sdk import reported, translated
from config.settings import Parameters, Provider


def take(answer, *events):
    return "".join(answer.take(orjson.dumps(event)) for event in events)


def choice(**fields):
    return {"choices": [{"index": 0, **fields}]}


def chat():
    return ChatAnswer("acme")


def responses():
    return ResponsesAnswer("acme")


def test_a_chat_is_its_contents_in_order():
    answer = chat()
    events = [
        choice(delta={"role": "assistant", "content": ""}),
        choice(delta={"content": "one "}),
        choice(delta={"content": None}),
        choice(delta={"content": "two"}, finish_reason=None),
        choice(delta={}, finish_reason="stop"),
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
    ]
    assert take(answer, *events) == "one two"
    assert answer.take(b"[DONE]") == ""
    assert answer.ended
    assert answer.finish() == Finish(reason="stop", usage=Usage(input_tokens=3, output_tokens=2))


def test_a_models_refusal_in_words_is_text():
    assert take(chat(), choice(delta={"refusal": "I would rather not."})) == "I would rather not."
    event = {"type": "response.refusal.delta", "delta": "I would rather not."}
    assert take(responses(), event) == "I would rather not."


def test_a_chat_over_its_limit_ends_by_length():
    answer = chat()
    take(answer, choice(delta={}, finish_reason="length"))
    assert answer.finish().reason == "length"


@pytest.mark.parametrize(
    ("reason", "kind"),
    [("content_filter", ContentFiltered), ("tool_calls", ProviderError), (None, Truncated)],
)
def test_a_chat_with_another_end_is_no_answer(reason, kind):
    answer = chat()
    take(answer, choice(delta={"content": "x"}, finish_reason=reason))
    with pytest.raises(ProviderError) as raised:
        answer.finish()
    assert type(raised.value) is kind


def test_an_end_marker_alone_does_not_complete_a_chat():
    answer = chat()
    answer.take(b"[DONE]")
    with pytest.raises(Truncated):
        answer.finish()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "busy", "code": "server_error"}, ProviderError),
        ({"message": "busy", "code": 503}, ProviderError),
        ({"message": "no", "code": 400}, ProviderRejected),
        ({"message": "no", "type": "invalid_request_error", "code": None}, ProviderRejected),
        ({"message": "no", "code": "context_length_exceeded"}, ContextLengthExceeded),
        ({"code": "content_filter"}, ContentFiltered),
        ({}, ProviderError),
    ],
)
def test_an_error_object_in_a_stream_is_translated(error, kind):
    assert type(reported("acme", error)) is kind


def test_an_error_in_a_chat_is_raised():
    with pytest.raises(ProviderError, match="midway"):
        take(chat(), {"error": {"message": "failed midway"}})


def test_a_response_is_its_text_deltas():
    answer = responses()
    usage = {"input_tokens": 3, "output_tokens": 2}
    events = [
        {"type": "response.created", "response": {}},
        {"type": "response.output_text.delta", "delta": "one "},
        {"type": "response.reasoning_summary_text.delta", "delta": "hm"},
        {"type": "response.output_text.delta", "delta": "two"},
        {"type": "response.output_text.done", "text": "one two"},
        {"type": "response.completed", "response": {"status": "completed", "usage": usage}},
    ]
    assert not answer.ended
    assert take(answer, *events) == "one two"
    assert answer.ended
    assert answer.finish() == Finish(reason="stop", usage=Usage(input_tokens=3, output_tokens=2))


def incomplete(reason):
    response = {"status": "incomplete", "incomplete_details": {"reason": reason}}
    return {"type": "response.incomplete", "response": response}


def test_a_response_over_its_limit_ends_by_length():
    answer = responses()
    take(answer, incomplete("max_output_tokens"))
    assert answer.finish().reason == "length"


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (incomplete("content_filter"), ContentFiltered),
        (incomplete("mood"), ProviderError),
        ({"type": "response.in_progress"}, Truncated),
    ],
)
def test_a_response_with_another_end_is_no_answer(event, kind):
    answer = responses()
    take(answer, event)
    with pytest.raises(ProviderError) as raised:
        answer.finish()
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "code": "rate_limit_exceeded", "message": "too fast"},
        {"type": "error", "error": {"code": "rate_limit_exceeded", "message": "too fast"}},
        {"type": "response.failed", "response": {"error": {"message": "too fast"}}},
    ],
)
def test_a_failed_response_is_raised(event):
    with pytest.raises(ProviderError, match="too fast") as raised:
        take(responses(), event)
    assert raised.value.retryable


def request(**parameters):
    return CompletionRequest(
        model="m",
        system="be kind",
        turns=(Turn(role="user", text="hi"), Turn(role="assistant", text="he")),
        parameters=Parameters(**parameters),
    )


def test_a_chat_begins_with_the_persona():
    body = chat_body(request(max_output_tokens=5), limit_key="max_tokens")
    assert body["messages"] == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "he"},
    ]
    assert body["max_tokens"] == 5
    assert body["stream_options"] == {"include_usage": True}


def test_a_response_has_the_persona_as_instructions_and_is_not_stored():
    body = responses_body(request(temperature=0.0))
    assert body["instructions"] == "be kind"
    assert body["temperature"] == 0.0
    assert body["store"] is False


@pytest.mark.parametrize(
    ("base_url", "key"), [(None, "max_completion_tokens"), ("http://127.0.0.1:9/v1", "max_tokens")]
)
async def test_openai_itself_has_its_own_word_for_the_limit(base_url, key):
    adapter = OpenAIChat("acme", Provider(kind="openai", base_url=base_url))
    assert adapter._limit_key == key
    await adapter.aclose()


@pytest.mark.parametrize(
    "error",
    [
        openai.APIConnectionError(request=httpx2.Request("POST", "http://acme")),
        openai.APITimeoutError(httpx2.Request("POST", "http://acme")),
        httpx2.ReadError("dropped"),
        aiohttp.ServerDisconnectedError(),
        ConnectionResetError(104, "reset"),
        TimeoutError(),
    ],
)
def test_a_broken_connection_is_retryable(error):
    ours = translated("acme", error, now=0.0)
    assert (type(ours), ours.retryable) == (ProviderError, True)
    assert ours.message.startswith("acme cannot be reached: ")
