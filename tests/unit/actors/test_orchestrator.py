"""The orchestrator sees runs through: which agents it asks, and what it commits."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from actors.core.errors import ContentFiltered, Internal, ParleyError, ProviderTimeout, Unavailable
from actors.core.messages import Context, Message, Principal
from actors.core.runs import LEASE_S, AnswerRequest, Finished, Outcome, Progress, RunStart
from actors.orchestrator import Orchestrator
from config.loading import load
from tests.harness.boxes import LocalBox
from tests.unit.actors.boxes import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

SETTINGS = load({})
DONE = Outcome(state="completed", deltas=("Hello", "!"))


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


def failed(error: ParleyError, *deltas: str) -> Outcome:
    return Outcome(state="failed", deltas=deltas, error=error.as_json())


@dataclass
class FakeContext:
    """The context actor as the orchestrator knows it; `outages` are the methods that fail.

    Where they are but delayed, they are `outages_once`. `left` is what the logs hold of runs.
    """

    queued: dict[str, RunStart] = field(default_factory=dict)
    expired: list[RunStart] = field(default_factory=list)
    next_runs: dict[str, str] = field(default_factory=dict)
    fenced: set[str] = field(default_factory=set)
    outages: set[str] = field(default_factory=set)
    outages_once: set[str] = field(default_factory=set)
    stopping: set[str] = field(default_factory=set)
    left: dict[str, Progress] = field(default_factory=dict)
    starts: dict[str, RunStart] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    seized: list[tuple[str, int | None]] = field(default_factory=list)
    sweeps: list[float] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    finished: dict[str, Outcome] = field(default_factory=dict)
    renewed: list[list[tuple[str, int]]] = field(default_factory=list)
    released: list[tuple[str, int]] = field(default_factory=list)

    def fail(self, method: str) -> None:
        if method in self.outages | self.outages_once:
            self.outages_once.discard(method)
            raise Unavailable

    def give(self, start: RunStart, owner: str) -> RunStart:
        self.starts[start.run], self.owners[start.run] = start, owner
        return start

    async def begin(self, run: str, owner: str) -> RunStart | None:
        self.begun.append(run)
        queued = self.queued.pop(run, None)
        return queued and self.give(queued, owner)

    async def seize(self, run: str, owner: str, seen_epoch: int | None) -> RunStart | None:
        self.seized.append((run, seen_epoch))
        self.fail("seize")
        held = self.starts.get(run)
        if held is None or run in self.finished or seen_epoch not in {None, held.epoch}:
            return None
        renewed = replace(
            held,
            epoch=held.epoch + 1,
            progress=self.left.get(run, held.progress),
            stopping=run in self.stopping,
        )
        return self.give(renewed, owner)

    async def finish(self, start: RunStart, outcome: Outcome) -> Finished | None:
        self.fail("finish")
        if start.run in self.fenced or self.starts[start.run].epoch != start.epoch:
            return None
        self.finished[start.run] = outcome
        return Finished(state=outcome.state, next_run=self.next_runs.get(start.run))

    async def renew(self, held: Sequence[tuple[str, int]]) -> dict[str, bool]:
        self.renewed.append(list(held))
        self.fail("renew")
        return {run: run in self.stopping for run, epoch in held if self.starts[run].epoch == epoch}

    async def release(self, held: Sequence[tuple[str, int]]) -> None:
        self.fail("release")
        self.released += held

    async def claim_expired(self, owner: str, at_most: int) -> list[RunStart]:
        self.sweeps.append(asyncio.get_running_loop().time())
        self.fail("claim_expired")
        claimed, self.expired = self.expired[:at_most], self.expired[at_most:]
        return [self.give(start, owner) for start in claimed]


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


async def test_after_a_failure_of_the_provider_the_next_agent_goes_on_from_what_readers_have(
    context: FakeContext,
) -> None:
    broken = FakeAgent(failed(ProviderTimeout(), "Hel"))
    other = FakeAgent()

    async with orchestrating(context, gemini=broken, gpt=other) as orchestrator:
        await orchestrator.run("r")

    assert [asked.progress for asked in other.asked] == [Progress(started=True, deltas=("Hel",))]
    assert context.finished == {"r": replace(DONE, attempts=2)}


async def test_what_would_fail_again_is_not_asked_of_another_agent(context: FakeContext) -> None:
    declined = failed(ContentFiltered())
    other = FakeAgent()

    async with orchestrating(context, gemini=FakeAgent(declined), gpt=other) as orchestrator:
        await orchestrator.run("r")

    assert not other.asked
    assert context.finished == {"r": declined}


async def test_a_run_that_was_stopped_is_not_asked_of_another_agent(context: FakeContext) -> None:
    stopped = Outcome(state="stopped", deltas=("Hel",))
    other = FakeAgent()

    async with orchestrating(context, gemini=FakeAgent(stopped), gpt=other) as orchestrator:
        await orchestrator.run("r")

    assert not other.asked
    assert context.finished == {"r": stopped}


async def test_when_every_agent_fails_the_last_ones_error_is_told(context: FakeContext) -> None:
    last = failed(ProviderTimeout("The second."), "He")
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
    held = Progress(started=True, deltas=("He", "l"))
    context = FakeContext(queued={"r": start("r", stopping=True, progress=held)})
    agent = FakeAgent()

    async with orchestrating(context, gemini=agent) as orchestrator:
        await orchestrator.run("r")

    assert not agent.asked
    assert context.finished == {"r": Outcome(state="stopped", deltas=("He", "l"))}


async def test_a_run_that_brought_down_five_owners_is_failed() -> None:
    held = Progress(started=True, deltas=("He", "l"))
    context = FakeContext(queued={"r": start("r", epoch=6, progress=held)})
    agent = FakeAgent()

    async with orchestrating(context, gemini=agent) as orchestrator:
        await orchestrator.run("r")

    assert not agent.asked
    ended = context.finished["r"]
    assert (ended.state, ended.deltas) == ("failed", ("He", "l"))
    assert ended.error is not None
    assert ended.error["code"] == "internal"


# Boxes that die


HALF = Progress(started=True, deltas=("Hel",))


async def test_a_run_whose_agent_dies_goes_on_in_a_new_epoch_from_what_readers_have(
    context: FakeContext,
) -> None:
    agent = FakeAgent(Unavailable(), DONE)
    context.left["r"] = HALF

    async with orchestrating(context, gemini=agent) as orchestrator:
        await orchestrator.run("r")

    assert [(asked.epoch, asked.progress) for asked in agent.asked] == [(1, Progress()), (2, HALF)]
    assert context.seized == [("r", 1)]
    assert context.finished == {"r": DONE}


async def test_an_end_that_cannot_be_committed_is_tried_in_a_new_epoch(
    context: FakeContext,
) -> None:
    agent = FakeAgent()
    context.outages_once, context.left["r"] = {"finish"}, HALF

    async with orchestrating(context, gemini=agent) as orchestrator:
        await orchestrator.run("r")

    assert [asked.epoch for asked in agent.asked] == [1, 2]
    assert context.finished == {"r": DONE}


async def test_a_run_whose_agents_die_each_time_is_ended_with_what_readers_have(
    context: FakeContext,
) -> None:
    agent = FakeAgent(Unavailable())
    context.left["r"] = HALF

    async with orchestrating(context, gemini=agent) as orchestrator:
        await orchestrator.run("r")

    assert len(agent.asked) == 5
    ended = context.finished["r"]
    assert (ended.state, ended.deltas) == ("failed", ("Hel",))


async def test_a_run_that_another_has_taken_since_is_left_to_it(context: FakeContext) -> None:
    class Robbed(FakeAgent):
        async def answer(self, request: AnswerRequest) -> Outcome:
            await context.seize(request.run, "another", None)
            return await super().answer(request)

    context.next_runs = {"r": "s"}
    agent = Robbed(Unavailable())

    async with orchestrating(context, gemini=agent) as orchestrator:
        await orchestrator.run("r")

    assert len(agent.asked) == 1
    assert context.owners == {"r": "another"}
    assert context.begun == ["r"]
    assert not context.finished


async def test_a_run_that_can_be_neither_committed_nor_taken_again_is_let_go(
    context: FakeContext,
) -> None:
    context.outages, context.next_runs = {"finish", "seize"}, {"r": "s"}

    async with orchestrating(context) as orchestrator:
        await orchestrator.run("r")

    assert context.begun == ["r"]
    assert not context.finished


async def test_a_run_whose_agent_has_a_defect_is_released(context: FakeContext) -> None:
    async with orchestrating(context, gemini=FakeAgent(Internal())) as orchestrator:
        await orchestrator.run("r")

    assert context.released == [("r", 1)]
    assert not context.finished


async def test_a_release_that_fails_is_left_to_the_lease(context: FakeContext) -> None:
    context.outages = {"release"}

    async with orchestrating(context, gemini=FakeAgent(Internal())) as orchestrator:
        await orchestrator.run("r")

    assert not context.finished


async def test_a_run_whose_owner_is_gone_is_taken_over_at_once() -> None:
    context = FakeContext(queued={"s": start("s")}, next_runs={"r": "s"}, left={"r": HALF})
    context.give(start("r", epoch=4), "gone")
    agent = FakeAgent()

    async with orchestrating(context, gemini=agent) as orchestrator:
        await orchestrator.take_over("r")

    assert (agent.asked[0].epoch, agent.asked[0].progress) == (5, HALF)
    assert list(context.finished) == ["r", "s"]


async def test_a_run_that_ended_is_not_taken_over(context: FakeContext) -> None:
    agent = FakeAgent()

    async with orchestrating(context, gemini=agent) as orchestrator:
        await orchestrator.run("r")
        await orchestrator.take_over("r")

    assert len(agent.asked) == 1


async def test_of_two_owners_only_the_later_one_ends_the_run(context: FakeContext) -> None:
    slow, other = FakeAgent(Outcome(state="completed", deltas=("late",))), FakeAgent()
    slow.takes_s, other.takes_s = 5.0, 1.0
    context.next_runs = {"r": "s"}
    context.queued["s"] = start("s")

    async with (
        orchestrating(context, gemini=slow) as first,
        orchestrating(context, gemini=other) as second,
    ):
        begun = asyncio.create_task(first.run("r"))
        await asyncio.sleep(2)
        await second.take_over("r")
        assert list(context.finished.values()) == [DONE, DONE]
        await begun

    assert [asked.epoch for asked in other.asked] == [2, 1]
    assert context.begun == ["r", "s"]
    assert not context.released


# Stops


async def test_a_stopping_run_that_nobody_stops_is_ended_with_what_readers_have(
    context: FakeContext,
) -> None:
    agent = FakeAgent()
    agent.takes_s, context.left["r"] = 3600.0, HALF

    async with orchestrating(context, gemini=agent) as orchestrator:
        caller = asyncio.create_task(orchestrator.run("r"))
        await asyncio.sleep(1)
        context.stopping = {"r"}
        await caller
        assert asyncio.get_running_loop().time() < 3

    assert len(agent.asked) == 1
    assert context.finished == {"r": Outcome(state="stopped", deltas=("Hel",))}


async def test_a_stop_is_the_producers_to_hear_first(context: FakeContext) -> None:
    agent = FakeAgent(Outcome(state="stopped", deltas=("Hel", "lo")))
    agent.takes_s = 2.0

    async with orchestrating(context, gemini=agent) as orchestrator:
        caller = asyncio.create_task(orchestrator.run("r"))
        await asyncio.sleep(1)
        context.stopping = {"r"}
        await caller

    assert context.finished == {"r": Outcome(state="stopped", deltas=("Hel", "lo"))}
    assert not context.seized


# Leases


async def test_the_leases_of_runs_in_progress_are_renewed_though_once_it_fails(
    context: FakeContext,
) -> None:
    agent = FakeAgent()
    agent.takes_s = 7.0
    context.outages = {"renew"}

    async with orchestrating(context, gemini=agent) as orchestrator:
        await orchestrator.run("r")
        await asyncio.sleep(10)

    assert [held for held in context.renewed if held] == [[("r", 1)]] * 9


async def test_a_lease_that_was_lost_ends_nothing_here(context: FakeContext) -> None:
    agent = FakeAgent()
    agent.takes_s = 3.0

    async with orchestrating(context, gemini=agent) as orchestrator:
        caller = asyncio.create_task(orchestrator.run("r"))
        await asyncio.sleep(1)
        context.stopping = {"r"}
        await context.seize("r", "another", None)
        await caller

    assert context.seized == [("r", None)]
    assert not context.finished


async def test_closing_hands_the_runs_over_by_releasing_them() -> None:
    runs = {f"r{i}": start(f"r{i}") for i in range(20)}
    context, agent = FakeContext(queued=dict(runs)), FakeAgent()
    agent.takes_s = 60.0

    async with orchestrating(context, gemini=agent) as orchestrator:
        callers = [asyncio.create_task(orchestrator.run(run)) for run in runs]
        await asyncio.sleep(0.5)

    assert sorted(context.released) == sorted((run, 1) for run in runs)
    await asyncio.wait(callers)
    assert not context.seized
    assert not context.finished
    assert asyncio.get_running_loop().time() < 1


# Takeovers


async def test_expired_runs_are_taken_over_and_those_that_waited_for_them_begun() -> None:
    context = FakeContext(queued={"s": start("s")}, next_runs={"r": "s"})
    async with orchestrating(context):
        await asyncio.sleep(1)
        context.expired = [start("r", epoch=2, progress=Progress(started=True, deltas=("H",)))]
        await asyncio.sleep(2)

    assert list(context.finished) == ["r", "s"]


@pytest.mark.parametrize("held", [{}, {"r": start("r")}], ids=["no run held", "a run held"])
async def test_after_an_outage_owners_get_one_lease_to_renew_before_anybody_sweeps(
    held: dict[str, RunStart],
) -> None:
    context, agent = FakeContext(queued=dict(held)), FakeAgent()
    agent.takes_s = 60.0

    async with orchestrating(context, gemini=agent) as orchestrator:
        caller = asyncio.create_task(orchestrator.run("r"))
        await asyncio.sleep(2)
        context.outages = {"renew", "claim_expired"}
        await asyncio.sleep(10)
        context.outages.clear()
        context.sweeps.clear()
        await asyncio.sleep(6)

    await asyncio.wait([caller])
    # The last look that failed was less than one interval before the outage's end.
    assert 12 + LEASE_S - 0.75 <= context.sweeps[0] <= 12 + LEASE_S + 0.75


async def test_a_sweep_that_fails_is_followed_by_another() -> None:
    context = FakeContext(expired=[start("r")], outages={"claim_expired"})
    async with orchestrating(context):
        await asyncio.sleep(1)
        context.outages.clear()
        await asyncio.sleep(2)

    assert list(context.finished) == ["r"]
