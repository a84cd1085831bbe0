"""Gemini's chunks and errors, and what they add up to."""

from __future__ import annotations

import aiohttp
import pytest
from google.genai import errors, types

from actors.core.completion import CompletionRequest, Finish, Usage
from actors.core.errors import (
    ContentFiltered,
    ContextLengthExceeded,
    ProviderError,
    ProviderRejected,
    Truncated,
)
from actors.core.messages import Turn
from actors.providers.gemini import GeminiAnswer, contents, generation_config, translated
from config.settings import Parameters

RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}


def chunk(**fields):
    return types.GenerateContentResponse.model_validate(fields)


def candidate(*parts, reason=None):
    content = {"role": "model", "parts": list(parts)} if parts else None
    return {"candidates": [{"content": content, "finish_reason": reason}]}


def test_an_answer_is_the_text_of_its_parts_without_thoughts():
    answer = GeminiAnswer("acme")
    thought = {"text": "hm", "thought": True}
    assert answer.take(chunk(**candidate(thought, {"text": "one "}, {"text": "two"}))) == "one two"
    assert answer.take(chunk(**candidate(reason="STOP"))) == ""
    assert answer.take(chunk()) == ""
    assert answer.finish() == Finish(reason="stop", usage=Usage())


def test_thoughts_count_as_output():
    answer = GeminiAnswer("acme")
    counts = {"prompt_token_count": 3, "candidates_token_count": 2, "thoughts_token_count": 40}
    answer.take(chunk(**candidate(reason="MAX_TOKENS"), usage_metadata=counts))
    usage = Usage(input_tokens=3, output_tokens=42)
    assert answer.finish() == Finish(reason="length", usage=usage)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("SAFETY", ContentFiltered),
        ("RECITATION", ContentFiltered),
        ("PROHIBITED_CONTENT", ContentFiltered),
        ("OTHER", ProviderError),
        ("MALFORMED_FUNCTION_CALL", ProviderError),
        (None, Truncated),
    ],
)
def test_another_end_is_no_answer(reason, kind):
    answer = GeminiAnswer("acme")
    answer.take(chunk(**candidate({"text": "x"}, reason=reason)))
    with pytest.raises(ProviderError) as raised:
        answer.finish()
    assert type(raised.value) is kind


def test_a_blocked_prompt_is_filtered_for_the_providers_reason():
    with pytest.raises(ContentFiltered, match="BLOCKLIST"):
        GeminiAnswer("acme").take(chunk(prompt_feedback={"block_reason": "BLOCKLIST"}))


def request(**parameters):
    turns = (Turn(role="user", text="hi"), Turn(role="assistant", text="he"))
    return CompletionRequest(model="m", system="", turns=turns, parameters=Parameters(**parameters))


def test_the_assistant_is_called_model():
    assert [content.role for content in contents(request())] == ["user", "model"]


def test_what_is_not_set_is_left_to_the_provider():
    said = generation_config(request()).model_dump(exclude_none=True)
    assert set(said) == {"automatic_continuation", "automatic_function_calling"}


def api_error(code, status="", message="so it is", details=()):
    body = {"error": {"code": code, "status": status, "message": message, "details": details}}
    return errors.APIError(code, body)


def test_retry_info_says_when_to_come_again():
    error = translated("acme", api_error(429, "RESOURCE_EXHAUSTED", details=[RETRY_INFO]), now=0.0)
    assert (error.retryable, error.retry_after_s) == (True, 34.5)


@pytest.mark.parametrize("body", [{}, [], {"error": "text"}, {"error": {"details": ["x", {}]}}])
def test_an_error_of_another_shape_is_translated_too(body):
    error = errors.APIError.__new__(errors.APIError)
    error.code, error.status, error.message, error.details, error.response = (
        500,
        None,
        None,
        body,
        None,
    )
    assert translated("acme", error, now=0.0).retry_after_s is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (api_error(400, "INVALID_ARGUMENT"), ProviderRejected),
        (
            api_error(400, message="The input token count (9) exceeds the maximum (8)."),
            ContextLengthExceeded,
        ),
        (api_error(503, "UNAVAILABLE"), ProviderError),
        (aiohttp.ServerDisconnectedError(), ProviderError),
        (aiohttp.ClientPayloadError("cut"), ProviderError),
        (ConnectionResetError(104, "reset"), ProviderError),
        (errors.UnknownApiResponseError("not JSON"), ProviderError),
        (TypeError("no code"), ProviderError),
        (ValueError("invalid model"), ProviderRejected),
    ],
)
def test_an_error_of_the_sdk_becomes_one_of_ours(error, kind):
    ours = translated("acme", error, now=0.0)
    assert (type(ours), ours.retryable) == (kind, kind is ProviderError)
