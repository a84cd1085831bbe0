"""A refusal becomes the error that says whether asking again may help."""

from __future__ import annotations

import pytest

from actors.core.errors import (
    ContentFiltered,
    ContextLengthExceeded,
    ProviderError,
    ProviderRejected,
)
from actors.providers.refusals import Refusal


def error_of(status=None, *codes, message="so it is", retry_after_s=None):
    return Refusal(
        source="acme",
        message=message,
        status=status,
        codes=frozenset(codes),
        retry_after_s=retry_after_s,
    ).as_error()


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_a_passing_trouble_is_retryable(status):
    error = error_of(status, retry_after_s=3)
    assert (type(error), error.retryable, error.retry_after_s) == (ProviderError, True, 3)


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 405, 413, 415, 422])
def test_what_would_be_refused_again_is_not_retryable(status):
    error = error_of(status)
    assert (type(error), error.retryable) == (ProviderRejected, False)


def test_a_failure_without_a_status_is_retryable():
    error = error_of(None, "server_error")
    assert (type(error), error.retryable) == (ProviderError, True)
    assert error.message == "acme failed: so it is"


@pytest.mark.parametrize("code", ["invalid_request_error", "invalid_prompt", "model_not_found"])
def test_a_rejection_without_a_status_is_known_by_its_code(code):
    assert type(error_of(None, code)) is ProviderRejected


def test_a_status_says_more_than_the_general_word_for_a_bad_request():
    assert error_of(408, "invalid_request_error").retryable


def test_a_used_up_account_is_no_passing_rate_limit():
    assert not error_of(429, "insufficient_quota").retryable
    assert error_of(429, "rate_limit_exceeded").retryable


@pytest.mark.parametrize("status", [400, None])
@pytest.mark.parametrize("code", ["content_filter", "content_policy_violation", "bio_policy"])
def test_a_policy_declines_by_its_code(status, code):
    assert type(error_of(status, code)) is ContentFiltered


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 8192 tokens. However, you requested 9000.",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "the request exceeds the available context size",
        "prompt is too long: 210000 tokens > 200000 maximum",
    ],
)
def test_a_context_over_the_window_is_known_by_the_words_of_providers(message):
    assert type(error_of(400, message=message)) is ContextLengthExceeded


@pytest.mark.parametrize("code", ["context_length_exceeded", "exceed_context_size_error"])
def test_a_context_over_the_window_is_known_by_its_code(code):
    assert type(error_of(400, code)) is ContextLengthExceeded


def test_a_rate_limit_that_speaks_of_the_context_stays_a_rate_limit():
    assert error_of(429, message="token rate of your context window tier reached").retryable


@pytest.mark.parametrize(("status", "codes"), [(401, ()), (403, ()), (None, ["invalid_api_key"])])
def test_a_refused_credential_is_said_without_the_providers_words(status, codes):
    error = error_of(status, *codes, message="Incorrect API key provided: sk-12***89")
    assert type(error) is ProviderRejected
    assert "sk-" not in error.message


def test_a_long_message_is_cut():
    assert len(error_of(500, message="x" * 10_000).message) < 400
