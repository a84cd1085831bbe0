"""The plain agent: what it asks of its model, and how its attempt begins in the log."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from actors.agents.base import Agent
from actors.core.completion import Usage
from actors.core.errors import Unavailable
from actors.core.messages import Context, Message, Turn
from actors.core.runs import AnswerRequest, Outcome, Production, Progress
from config.settings import Agent as AgentSettings
from config.settings import Parameters
from tests.harness.boxes import LocalBox

SETTINGS = AgentSettings(
    provider="p",
    model="the-model",
    persona="Be kind.",
    parameters=Parameters(temperature=0.3, max_output_tokens=100),
    timeout_s=9,
    first_token_timeout_s=3,
    idle_timeout_s=2,
    context_window=256,
)
DONE = Outcome(state="completed", deltas=("Hi",), usage=Usage(output_tokens=1))


class Pool:
    """A client pool that answers every production alike."""

    def __init__(self, answer: Outcome | Exception = DONE) -> None:
        self.answer = answer
        self.productions: list[Production] = []

    async def produce(self, production: Production) -> Outcome:
        self.productions.append(production)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def request(*texts: str, progress: Progress | None = None, **context: Any) -> AnswerRequest:
    said = tuple(
        Message(
            id=f"m{i}",
            seq=i,
            role="user" if i % 2 else "assistant",
            text=text,
            created_at="",
        )
        for i, text in enumerate(texts, start=1)
    )
    return AnswerRequest(
        run="r",
        epoch=1,
        conversation="c",
        generation=2,
        progress=progress or Progress(),
        context=Context(**{"profile": {}, "messages": said, "metadata": {}} | context),
    )


async def production_of(asked: AnswerRequest, settings: AgentSettings = SETTINGS) -> Production:
    pool = Pool()
    await Agent("kind", settings, LocalBox(pool)).answer(asked)
    return pool.productions[0]


async def test_a_model_is_asked_with_the_persona_and_the_conversation() -> None:
    production = await production_of(
        request("Hello", "Hi", "How are you?", profile={"name": "Ada"}, summary="We met.")
    )

    completion = production.request
    assert completion.model == "the-model"
    assert completion.system.startswith("Be kind.")
    assert "Ada" in completion.system
    assert "We met." in completion.system
    assert completion.turns == (
        Turn(role="user", text="Hello"),
        Turn(role="assistant", text="Hi"),
        Turn(role="user", text="How are you?"),
    )
    assert completion.parameters == SETTINGS.parameters


async def test_a_production_carries_the_runs_place_and_the_agents_deadlines() -> None:
    production = await production_of(request("Hello"))

    assert (production.run, production.epoch) == ("r", 1)
    assert (production.conversation, production.generation) == ("c", 2)
    assert production.timeout_s == 9
    assert production.first_token_timeout_s == 3
    assert production.idle_timeout_s == 2


async def test_a_first_attempt_announces_itself_as_the_reply_to_the_last_message() -> None:
    production = await production_of(request("Hello", "Hi", "How are you?"))

    assert orjson.loads(production.started) == {
        "type": "run.started",
        "conversation": "c",
        "run": "r",
        "agent": "kind",
        "model": "the-model",
        "reply_to": "m3",
    }
    assert production.progress == Progress()
    assert not production.continues


HALF = Progress(started=True, deltas=("Hal", "f an"))


async def test_an_attempt_after_another_begins_the_answer_again() -> None:
    production = await production_of(request("Hello", progress=HALF))

    assert production.progress == HALF
    assert not production.continues
    assert production.request.turns == (Turn(role="user", text="Hello"),)


async def test_a_model_that_can_goes_on_from_what_readers_have() -> None:
    able = SETTINGS.model_copy(update={"can_prefill": True})

    production = await production_of(request("Hello", progress=HALF), able)

    assert production.continues
    assert production.progress == HALF
    assert production.request.turns == (
        Turn(role="user", text="Hello"),
        Turn(role="assistant", text="Half an"),
    )


async def test_where_readers_have_nothing_there_is_nothing_to_go_on_from() -> None:
    able = SETTINGS.model_copy(update={"can_prefill": True})

    production = await production_of(request("Hello", progress=Progress(started=True)), able)

    assert not production.continues
    assert production.request.turns == (Turn(role="user", text="Hello"),)


async def test_an_old_conversation_is_windowed_and_the_persona_kept() -> None:
    production = await production_of(request("x" * 900, "y" * 30, "How are you?"))

    assert production.request.turns == (Turn(role="user", text="How are you?"),)
    assert production.request.system == "Be kind."


async def test_an_outcome_is_the_pools_with_the_agents_name() -> None:
    outcome = await Agent("kind", SETTINGS, LocalBox(Pool())).answer(request("Hello"))

    assert outcome == Outcome(
        state="completed",
        deltas=("Hi",),
        usage=Usage(output_tokens=1),
        agent="kind",
        model="the-model",
    )


async def test_a_message_too_long_for_the_model_fails_without_asking_it() -> None:
    pool = Pool()

    outcome = await Agent("kind", SETTINGS, LocalBox(pool)).answer(request("x" * 900))

    assert outcome.state == "failed"
    assert outcome.agent == "kind"
    assert outcome.error is not None
    assert outcome.error["code"] == "context_length_exceeded"
    assert not outcome.error["retryable"]
    assert not pool.productions


async def test_a_message_too_long_for_the_next_model_keeps_what_readers_have() -> None:
    agent = Agent("kind", SETTINGS, LocalBox(Pool()))

    outcome = await agent.answer(request("x" * 900, progress=HALF))

    assert (outcome.state, outcome.deltas) == ("failed", HALF.deltas)


async def test_a_pool_that_is_down_is_the_callers_to_judge() -> None:
    agent = Agent("kind", SETTINGS, LocalBox(Pool(Unavailable("gone"))))

    with pytest.raises(Unavailable, match="gone"):
        await agent.answer(request("Hello"))


async def test_a_behaviour_of_its_own_changes_what_the_model_is_told() -> None:
    class Shouting(Agent):
        def system(self, context: Context) -> str:
            return super().system(context).upper()

    pool = Pool()

    await Shouting("loud", SETTINGS, LocalBox(pool)).answer(request("Hello"))

    assert pool.productions[0].request.system == "BE KIND."
