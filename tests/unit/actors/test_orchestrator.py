"""The orchestrator sees runs through: which agents it asks, and what it commits."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from actors.core.errors import ContentFiltered, ParleyError, ProviderTimeout, Unavailable
from actors.core.messages import Context, Message, Principal
from actors.core.runs import AnswerRequest, Finished, Outcome, Progress, RunStart
from actors.orchestrator import Orchestrator
from config.loading import load
from tests.harness.boxes import LocalBox
from tests.unit.actors.boxes import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

SETTINGS = load({})
DONE = Outcome(state="completed", text="Hello!", deltas=2)


def start(run: str, **fields: Any) -> RunStart:
    said = Message(id=f"m-{run}", seq=1, role="user", text="Hi", created_at="")
    made = RunStart(
        run=run,
        epoch=1,
        principal=Principal(org_id="o", user_id="u"),
        conversation="c",
        generation=1,
        message=said.id,
        requested_agent=None,
        sticky_agent=None,
        stopping=False,
        context=Context(profile={}, messages=(said,), metadata={}),
        progress=Progress(),
    )
    return replace(made, **fields)


def failed(error: ParleyError, text: str = "", deltas: int = 0) -> Outcome:
    return Outcome(state="failed", text=text, deltas=deltas, error=error.as_json())


@dataclass
class FakeContext:
    """The context actor as the orchestrator knows it; `outages` are the methods that fail."""

    queued: dict[str, RunStart] = field(default_factory=dict)
    expired: list[RunStart] = field(default_factory=list)
    next_runs: dict[str, str] = field(default_factory=dict)
    fenced: set[str] = field(default_factory=set)
    outages: set[str] = field(default_factory=set)
    begun: list[str] = field(default_factory=list)
    finished: dict[str, Outcome] = field(default_factory=dict)
    renewed: list[list[tuple[str, int]]] = field(default_factory=list)
    released: list[tuple[str, int]] = field(default_factory=list)

    async def begin(self, run: str, owner: str) -> RunStart | None:
        self.begun.append(run)
        return self.queued.pop(run, None)

    async def finish(self, start: RunStart, outcome: Outcome) -> Finished | None:
        if "finish" in self.outages:
            raise Unavailable
        if start.run in self.fenced:
            return None
        self.finished[start.run] = outcome
        return Finished(state=outcome.state, next_run=self.next_runs.get(start.run))

    async def renew(self, held: Sequence[tuple[str, int]]) -> dict[str, bool]:
        self.renewed.append(list(held))
        if "renew" in self.outages:
            raise Unavailable
        return {run: False for run, _ in held}

    async def release(self, held: Sequence[tuple[str, int]]) -> None:
        self.released += held

    async def claim_expired(self, owner: str, at_most: int) -> list[RunStart]:
        if "claim_expired" in self.outages:
            raise Unavailable
        claimed, self.expired = self.expired[:at_most], self.expired[at_most:]
        return claimed


class FakeAgent:
    """Answers by its script, its last line again and again; each answer takes `takes_s`."""

    takes_s = 0.0

    def __init__(self, *script: Outcome | Exception) -> None:
        self.script = list(script) or [DONE]
        self.asked: list[AnswerRequest] = []

    async def answer(self, request: AnswerRequest) -> Outcome:
        self.asked.append(request)
        await asyncio.sleep(self.takes_s)
        line = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(line, Exception):
            raise line
        return line


@asynccontextmanager
async def orchestrating(context: FakeContext, **agents: FakeAgent) -> AsyncIterator[Orchestrator]:
    boxes = {name: LocalBox(agents.get(name) or FakeAgent()) for name in SETTINGS.agents}
    async with running(Orchestrator, SETTINGS, LocalBox(context), boxes) as orchestrator:
        yield orchestrator


@pytest.fixture
def context() -> FakeContext:
    return FakeContext(queued={"r": start("r")})


# Whom it asks


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "gemini"),
        ({"requested_agent": "gpt"}, "gpt"),
        ({"sticky_agent": "gpt"}, "gpt"),
        ({"requested_agent": "gemini", "sticky_agent": "gpt"}, "gemini"),
        ({"requested_agent": "no longer configured"}, "gemini"),
    ],
)
async def test_a_run_is_answered_by_the_agent_it_is_routed_to(
    fields: dict[str, Any], expected: str
) -> None:
    agents = {"gemini": FakeAgent(), "gpt": FakeAgent()}
    context = FakeContext(queued={"r": start("r", **fields)})

    async with orchestrating(context, **agents) as orchestrator:
        await orchestrator.run("r")

    assert {name for name, agent in agents.items() if agent.asked} == {expected}
    assert context.finished == {"r": DONE}


async def test_an_agent_is_asked_for_the_run_in_its_epoch_with_its_context() -> None:
    agent, begun = FakeAgent(), start("r", epoch=3, progress=Progress(started=True))
    context = FakeContext(queued={"r": begun})

    async with orchestrating(context, gemini=agent) as orchestrator:
        await orchestrator.run("r")

    assert agent.asked == [
        AnswerRequest(
            run="r",
            epoch=3,
            conversation="c",
            generation=1,
            progress=Progress(started=True),
            context=begun.context,
        )
    ]


async def test_after_a_failure_of_the_provider_the_next_agent_takes_it_back_and_answers(
    context: FakeContext,
) -> None:
    broken = FakeAgent(failed(ProviderTimeout(), text="Hel", deltas=1))
    other = FakeAgent()

    async with orchestrating(context, gemini=broken, gpt=other) as orchestrator:
        await orchestrator.run("r")

    assert [asked.progress for asked in other.asked] == [Progress(started=True, index=1)]
    assert context.finished == {"r": replace(DONE, attempts=2)}


async def test_what_would_fail_again_is_not_asked_of_another_agent(context: FakeContext) -> None:
    declined = failed(ContentFiltered())
    other = FakeAgent()

    async with orchestrating(context, gemini=FakeAgent(declined), gpt=other) as orchestrator:
        await orchestrator.run("r")

    assert not other.asked
    assert context.finished == {"r": declined}


async def test_a_run_that_was_stopped_is_not_asked_of_another_agent(context: FakeContext) -> None:
    stopped = Outcome(state="stopped", text="Hel", deltas=1)
    other = FakeAgent()

    async with orchestrating(context, gemini=FakeAgent(stopped), gpt=other) as orchestrator:
        await orchestrator.run("r")

    assert not other.asked
    assert context.finished == {"r": stopped}


async def test_when_every_agent_fails_the_last_ones_error_is_told(context: FakeContext) -> None:
    last = failed(ProviderTimeout("The second."), text="He", deltas=1)
    agents = {"gemini": FakeAgent(failed(ProviderTimeout("The first."))), "gpt": FakeAgent(last)}

    async with orchestrating(context, **agents) as orchestrator:
        await orchestrator.run("r")

    assert context.finished == {"r": replace(last, attempts=2)}


# Which runs it begins


async def test_a_run_that_is_not_to_be_begun_is_left_alone(context: FakeContext) -> None:
    agent = FakeAgent()

    async with orchestrating(context, gemini=agent) as orchestrator:
        await orchestrator.run("another's")

    assert not agent.asked
    assert not context.finished


async def test_the_runs_that_waited_are_answered_in_their_order() -> None:
    context = FakeContext(
        queued={run: start(run) for run in ("c", "b", "a")}, next_runs={"a": "b", "b": "c"}
    )

    async with orchestrating(context) as orchestrator:
        await orchestrator.run("a")

    assert list(context.finished) == ["a", "b", "c"]


async def test_a_run_that_another_owner_has_finished_begins_no_other(context: FakeContext) -> None:
    context.fenced, context.next_runs = {"r"}, {"r": "s"}

    async with orchestrating(context) as orchestrator:
        await orchestrator.run("r")

    assert context.begun == ["r"]
    assert not context.released


async def test_a_run_goes_on_when_its_caller_goes_away(context: FakeContext) -> None:
    agent = FakeAgent()
    agent.takes_s = 1.0

    async with orchestrating(context, gemini=agent) as orchestrator:
        caller = asyncio.create_task(orchestrator.run("r"))
        await asyncio.sleep(0.5)
        caller.cancel()
        await asyncio.sleep(1)

    assert caller.cancelled()
    assert context.finished == {"r": DONE}


# Runs that are only to be finished


async def test_a_run_told_to_stop_is_finished_with_what_the_log_holds() -> None:
    held = Progress(started=True, index=2, text="Hel")
    context = FakeContext(queued={"r": start("r", stopping=True, progress=held)})
    agent = FakeAgent()

    async with orchestrating(context, gemini=agent) as orchestrator:
        await orchestrator.run("r")

    assert not agent.asked
    assert context.finished == {"r": Outcome(state="stopped", text="Hel", deltas=2)}


async def test_a_run_that_brought_down_five_owners_is_failed() -> None:
    held = Progress(started=True, index=2, text="Hel")
    context = FakeContext(queued={"r": start("r", epoch=6, progress=held)})
    agent = FakeAgent()

    async with orchestrating(context, gemini=agent) as orchestrator:
        await orchestrator.run("r")

    assert not agent.asked
    ended = context.finished["r"]
    assert (ended.state, ended.text, ended.deltas) == ("failed", "Hel", 2)
    assert ended.error is not None
    assert ended.error["code"] == "internal"


# Leases


async def test_a_run_that_cannot_be_committed_is_released_for_others(context: FakeContext) -> None:
    context.outages, context.next_runs = {"finish"}, {"r": "s"}

    async with orchestrating(context) as orchestrator:
        await orchestrator.run("r")
        assert context.released == [("r", 1)]

    assert context.begun == ["r"]
    assert context.released == [("r", 1)]


async def test_a_run_whose_agent_cannot_be_reached_is_released(context: FakeContext) -> None:
    async with orchestrating(context, gemini=FakeAgent(Unavailable())) as orchestrator:
        await orchestrator.run("r")

    assert context.released == [("r", 1)]
    assert not context.finished


async def test_the_leases_of_runs_in_progress_are_renewed_though_once_it_fails(
    context: FakeContext,
) -> None:
    agent = FakeAgent()
    agent.takes_s = 7.0
    context.outages = {"renew"}

    async with orchestrating(context, gemini=agent) as orchestrator:
        await orchestrator.run("r")
        await asyncio.sleep(10)

    assert context.renewed == [[("r", 1)]] * 3


async def test_closing_hands_the_runs_over_by_releasing_them(context: FakeContext) -> None:
    agent = FakeAgent()
    agent.takes_s = 60.0

    async with orchestrating(context, gemini=agent) as orchestrator:
        caller = asyncio.create_task(orchestrator.run("r"))
        await asyncio.sleep(0.5)

    assert context.released == [("r", 1)]
    await asyncio.wait([caller])
    assert not context.finished


# Takeovers


async def test_expired_runs_are_taken_over_and_those_that_waited_for_them_begun() -> None:
    context = FakeContext(queued={"s": start("s")}, next_runs={"r": "s"})
    async with orchestrating(context):
        await asyncio.sleep(1)
        context.expired = [start("r", epoch=2, progress=Progress(started=True, index=1, text="H"))]
        await asyncio.sleep(2)

    assert list(context.finished) == ["r", "s"]


async def test_a_sweep_that_fails_is_followed_by_the_next() -> None:
    context = FakeContext(expired=[start("r")], outages={"claim_expired"})
    async with orchestrating(context):
        await asyncio.sleep(1)
        context.outages.clear()
        await asyncio.sleep(2)

    assert list(context.finished) == ["r"]
