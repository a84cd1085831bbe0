"""Errors keep what they say on their way through pickle and through Ray."""

from __future__ import annotations

import pickle
from itertools import chain

import pytest
from ray.exceptions import RayTaskError

from actors.core import errors
from actors.core.errors import ParleyError, ProviderError, RateLimited, Unavailable

WIRE_CODES = {
    "invalid_request",
    "unauthenticated",
    "forbidden",
    "not_found",
    "conflict",
    "rate_limited",
    "quota_exceeded",
    "too_large",
    "busy",
    "overloaded",
    "unavailable",
    "provider_error",
    "provider_timeout",
    "content_filtered",
    "context_length_exceeded",
    "internal",
}


def descendants(kind: type[ParleyError]) -> list[type[ParleyError]]:
    return [kind, *chain.from_iterable(descendants(child) for child in kind.__subclasses__())]


ALL = [kind for kind in descendants(ParleyError) if kind.__module__ == errors.__name__]
every_error = pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)


def test_every_code_of_the_wire_has_an_error_and_no_other_code_exists() -> None:
    assert {kind.code for kind in ALL} == WIRE_CODES


def test_the_tree_drawn_at_the_top_names_every_error() -> None:
    assert all(kind.__name__ in (errors.__doc__ or "") for kind in ALL)


@every_error
@pytest.mark.parametrize("retryable", [True, False, None])
@pytest.mark.parametrize("retry_after_s", [1.5, None])
def test_an_error_survives_pickle(
    kind: type[ParleyError], retryable: bool | None, retry_after_s: float | None
) -> None:
    error = kind("It went wrong.", retryable=retryable, retry_after_s=retry_after_s)

    revived = pickle.loads(pickle.dumps(error))

    assert type(revived) is kind
    assert revived.as_json() == error.as_json()
    assert revived.retry_after_s == retry_after_s
    assert str(revived) == "It went wrong."


@every_error
def test_an_error_that_ray_gives_a_second_class_is_still_itself(kind: type[ParleyError]) -> None:
    original = kind("It went wrong.", retryable=True, retry_after_s=2.0)
    raised = pickle.loads(
        pickle.dumps(
            RayTaskError("produce", "Traceback ...", original, proctitle="p", pid=1, ip="127.0.0.1")
        )
    ).as_instanceof_cause()

    assert isinstance(raised, kind)
    assert isinstance(raised, RayTaskError)
    assert type(raised.cause) is kind
    assert raised.cause.as_json() == original.as_json()


@every_error
def test_without_a_message_an_error_says_what_its_class_means(kind: type[ParleyError]) -> None:
    assert kind().message == kind.__doc__


def test_a_class_decides_what_may_be_tried_again_and_an_instance_may_know_better() -> None:
    assert RateLimited().retryable
    assert not RateLimited(retryable=False).retryable
    assert ProviderError().retryable
    assert RateLimited.retryable


def test_the_wire_is_told_when_to_retry_only_where_that_is_known() -> None:
    assert Unavailable("Down.").as_json() == {
        "code": "unavailable",
        "message": "Down.",
        "retryable": True,
    }
    assert Unavailable("Down.", retry_after_s=0.0).as_json()["retry_after_s"] == 0.0


@every_error
def test_every_error_has_a_status_of_http(kind: type[ParleyError]) -> None:
    assert 400 <= kind.http_status < 600
