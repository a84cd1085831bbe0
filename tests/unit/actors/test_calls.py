"""What a call from box to box may raise: errors of ours, and nothing of Ray's."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError

from actors.calls import ask
from actors.core.errors import Busy, Internal, ProviderRejected, Unavailable

with warnings.catch_warnings():
    # Serve's own models use what pydantic has deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    from ray.serve.exceptions import (
        BackPressureError,
        DeploymentUnavailableError,
        RayServeException,
    )


class Box:
    """A handle whose every method answers this, or raises it."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, method: str) -> Box:
        self.asked.append((method, ()))
        return self

    async def remote(self, *arguments: Any) -> Any:
        self.asked[-1] = (self.asked[-1][0], arguments)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def of_a_task(cause: BaseException) -> RayTaskError:
    return RayTaskError("run", "Traceback ...", cause, proctitle="p", pid=1, ip="127.0.0.1")


async def test_an_answer_comes_as_it_is_and_the_arguments_go_as_they_are() -> None:
    box = Box(["an answer"])

    assert await ask(box, "run", 1, "two") == ["an answer"]
    assert box.asked == [("run", (1, "two"))]


@pytest.mark.parametrize("error", [Busy("Wait.", retry_after_s=2), ProviderRejected("No.")])
async def test_an_error_of_ours_comes_as_its_box_raised_it(error: Busy | ProviderRejected) -> None:
    with pytest.raises(type(error)) as raised:
        await ask(Box(of_a_task(error).as_instanceof_cause()), "run")

    assert type(raised.value) is type(error)
    assert raised.value.as_json() == error.as_json()


async def test_without_ray_between_an_error_of_ours_is_the_same() -> None:
    error = Busy("Wait.")

    with pytest.raises(Busy) as raised:
        await ask(Box(error), "run")

    assert raised.value is error


@pytest.mark.parametrize(
    "error",
    [
        ActorDiedError(),
        ActorUnavailableError("gone", b"\0" * 16),
        BackPressureError(num_queued_requests=1, max_queued_requests=1),
        DeploymentUnavailableError(deployment_id="Context"),
        RayServeException("no replica"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_replica_that_died_is_a_part_that_is_down(error: Exception) -> None:
    with pytest.raises(Unavailable) as raised:
        await ask(Box(error), "run")

    assert raised.value.retryable
    assert raised.value.retry_after_s == 1.0


@pytest.mark.parametrize(
    ("error", "told"),
    [(of_a_task(ZeroDivisionError("one")), "ZeroDivisionError"), (LookupError("two"), "Lookup")],
)
async def test_anything_else_is_a_defect_of_ours(error: Exception, told: str) -> None:
    with pytest.raises(Internal, match=told):
        await ask(Box(error), "run")
