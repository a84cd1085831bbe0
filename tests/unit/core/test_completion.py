"""The seam between agents and providers: values that cross it whole."""

from __future__ import annotations

import inspect
import pickle

from actors.core.completion import CompletionRequest, Finish, Provider, TextChunk, Usage
from actors.core.messages import Turn
from config.settings import Parameters


def test_a_request_and_the_chunks_of_its_answer_survive_pickle() -> None:
    request = CompletionRequest(
        model="m",
        system="s",
        turns=(Turn(role="user", text="Hello"),),
        parameters=Parameters(temperature=0.5, stop=("\n",)),
    )
    chunks = [TextChunk("Hi"), Finish(reason="stop", usage=Usage(input_tokens=1, output_tokens=2))]

    assert pickle.loads(pickle.dumps((request, chunks))) == (request, chunks)


def test_usage_is_nothing_until_a_provider_tells_it() -> None:
    assert Usage() == Usage(input_tokens=0, output_tokens=0)


def test_a_provider_streams_and_closes() -> None:
    assert list(inspect.signature(Provider.stream).parameters) == ["self", "request"]
    assert inspect.iscoroutinefunction(Provider.aclose)
