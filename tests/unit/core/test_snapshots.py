"""A snapshot and the events after it are the whole truth: nothing twice, nothing lost.

The parts of a snapshot are read one after the other while the conversation goes on. Here random
conversations go on between the readings, and a client that begins with the snapshot is compared
with one that has heard every event.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.core.cursors import Cursor
from actors.core.events import (
    TERMINAL_TYPES,
    Delta,
    MessageAdded,
    Rewind,
    RunStarted,
    encode,
    run_ended,
    sha256,
)
from actors.core.messages import Message, StoredMessage
from actors.core.runs import Outcome
from actors.core.snapshots import MESSAGES, snapshot

STATES = st.sampled_from(["completed", "failed", "stopped"])
Frame = dict[str, Any]


@dataclass
class Run:
    """A run on its way: asked → announced → open → finished → ended."""

    id: str
    question: StoredMessage
    stage: str = "asked"
    deltas: list[str] = field(default_factory=list)
    outcome: Outcome | None = None
    answer: str | None = None


@dataclass
class Moment:
    """What a reader of the log, and one of Postgres, would find."""

    n: int
    run_states: dict[str, str]
    messages: tuple[StoredMessage, ...]
    unfinished: tuple[str, ...]


class World:
    """A conversation: what Postgres holds and what its log does, step by step."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.messages: list[StoredMessage] = []
        self.log: list[bytes] = []
        self.head: dict[str, str] = {}
        self.quiet_at = [0]
        """Where the log may have been trimmed: no run was in progress there."""

    def moment(self) -> Moment:
        unfinished = (r.id for r in self.runs if r.stage in {"asked", "announced", "open"})
        return Moment(len(self.log), dict(self.head), tuple(self.messages), tuple(unfinished))

    def possible(self) -> list[tuple[str, Run | None]]:
        steps: list[tuple[str, Run | None]] = [("ask", None)]
        for at, run in enumerate(self.runs):
            match run.stage:
                case "asked":
                    steps.append(("announce", run))
                case "announced":
                    steps.append(("stop", run))
                    if all(r.stage in {"finished", "ended"} for r in self.runs[:at]):
                        steps.append(("open", run))
                case "open":
                    steps += [("delta", run), ("delta", run), ("finish", run)]
                    if run.deltas:
                        steps.append(("rewind", run))
                case "finished":
                    steps.append(("end", run))
        return steps

    def step(self, what: str, run: Run | None, data: st.DataObject) -> None:
        if run is None:
            self._ask()
        else:
            getattr(self, f"_{what}")(run, data)

    def _commit(self, role: Any, run: str, text: str, **fields: Any) -> StoredMessage:
        seq = len(self.messages) + 1
        said = Message(id=f"m{seq}", seq=seq, role=role, text=text, created_at="", **fields)
        self.messages.append(StoredMessage(message=said, run=run))
        return self.messages[-1]

    def _ask(self) -> None:
        run = f"r{len(self.runs)}"
        self.runs.append(Run(run, self._commit("user", run, f"question {run}")))

    def _announce(self, run: Run, _: Any) -> None:
        run.stage, self.head[run.id] = "announced", "a"
        added = MessageAdded(conversation="c", message=run.question.message, id=run.id, run=run.id)
        self.log.append(encode(added))

    def _open(self, run: Run, _: Any) -> None:
        run.stage, self.head[run.id] = "open", "o"
        reply_to = run.question.message.id
        started = RunStarted(conversation="c", run=run.id, agent="a", model="m", reply_to=reply_to)
        self.log.append(encode(started))

    def _delta(self, run: Run, data: st.DataObject) -> None:
        text = data.draw(st.sampled_from("abc"))
        delta = Delta(conversation="c", run=run.id, index=len(run.deltas), text=text)
        run.deltas.append(text)
        self.log.append(encode(delta))

    def _rewind(self, run: Run, _: Any) -> None:
        """To the beginning, as all of ours: in a snapshot's text no other delta can be found."""
        run.deltas.clear()
        self.log.append(encode(Rewind(conversation="c", run=run.id, index=0, reason="again")))

    def _stop(self, run: Run, _: Any) -> None:
        run.stage, run.outcome = "finished", Outcome(state="stopped")

    def _finish(self, run: Run, data: st.DataObject) -> None:
        state = data.draw(STATES)
        text = "".join(run.deltas)
        run.outcome = Outcome(state=state, deltas=tuple(run.deltas), error={"code": "x"})
        run.stage = "finished"
        if state == "stopped":
            self.head[run.id] = "x"
        if text or state == "completed":
            asked = run.question.message.id
            run.answer = self._commit("assistant", run.id, text, reply_to=asked).message.id

    def _end(self, run: Run, _: Any) -> None:
        assert run.outcome is not None
        run.stage, self.head[run.id] = "ended", "d"
        self.log.append(encode(run_ended("c", run.id, run.outcome, run.answer, None)))
        if not any(state in {"o", "x"} for state in self.head.values()):
            self.quiet_at.append(len(self.log))


class Listener:
    """A client that is told nothing twice, and is able to use all that it is told."""

    def __init__(self) -> None:
        self.messages: dict[str, str] = {}
        self.runs: dict[str, list[str]] = {}

    def hear_snapshot(self, frame: Frame) -> None:
        self.messages = {m["id"]: m["text"] for m in frame["messages"]}
        assert len(self.messages) == len(frame["messages"])
        for run in frame["runs"]:
            # How the text was cut into deltas no longer matters, only how many there were.
            padding = [""] * (run["index"] - 1)
            self.runs[run["run"]] = [run["text"], *padding] if run["index"] else []

    def hear(self, encoded: bytes) -> None:
        event = orjson.loads(encoded)
        match event["type"]:
            case "message":
                self._add(event["message"]["id"], event["message"]["text"])
            case "run.started":
                assert event["run"] not in self.runs
                self.runs[event["run"]] = []
            case "delta":
                assert event["index"] == len(self.runs[event["run"]])
                self.runs[event["run"]].append(event["text"])
            case "rewind":
                del self.runs[event["run"]][event["index"] :]
            case kind:
                assert kind in TERMINAL_TYPES
                text = "".join(self.runs.pop(event["run"], []))
                assert event.get("sha256", sha256(text)) == sha256(text)
                if event["message"] is not None:
                    self._add(event["message"], text)

    def _add(self, message: str, text: str) -> None:
        assert message not in self.messages, "told twice"
        self.messages[message] = text

    def truth(self) -> tuple[dict[str, str], dict[str, str]]:
        return self.messages, {run: "".join(deltas) for run, deltas in self.runs.items()}


def lived(data: st.DataObject) -> tuple[World, list[Moment]]:
    """A world after some steps, and its moments, the last of them when all has ended."""
    world = World()
    moments = [world.moment()]
    for _ in range(data.draw(st.integers(0, 40))):
        world.step(*data.draw(st.sampled_from(world.possible())), data)
        moments.append(world.moment())
    return world, moments


def snapshot_at(
    world: World, attached: Moment, queried: Moment, read: Moment, trimmed: int
) -> Frame:
    """The snapshot of a log trimmed so far, its parts read at three moments."""
    ended_before = {
        orjson.loads(event)["run"]
        for event in world.log[:trimmed]
        if orjson.loads(event)["type"] in TERMINAL_TYPES
    }
    encoded = snapshot(
        conversation="c",
        cursor=Cursor(1, attached.n),
        run_states={k: v for k, v in attached.run_states.items() if k not in ended_before},
        held=world.log[trimmed : attached.n],
        messages=queried.messages,
        unfinished=queried.unfinished,
        later=world.log[attached.n : read.n],
    )
    frame: Frame = orjson.loads(encoded)
    return frame


def three_moments(data: st.DataObject, moments: list[Moment]) -> list[Moment]:
    at = st.integers(0, len(moments) - 1)
    return [moments[i] for i in sorted(data.draw(st.tuples(at, at, at)))]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_snapshot_is_what_all_the_events_up_to_its_cursor_amount_to(data: st.DataObject) -> None:
    world, moments = lived(data)
    attached, queried, read = three_moments(data, moments)
    trimmed = data.draw(st.sampled_from([n for n in world.quiet_at if n <= attached.n]))
    witness, latecomer = Listener(), Listener()
    for event in world.log[: attached.n]:
        witness.hear(event)

    latecomer.hear_snapshot(snapshot_at(world, attached, queried, read, trimmed))

    assert latecomer.truth() == witness.truth()


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_snapshot_and_all_later_events_are_the_whole_conversation(data: st.DataObject) -> None:
    world, moments = lived(data)
    attached, queried, read = three_moments(data, moments)
    latecomer = Listener()

    latecomer.hear_snapshot(snapshot_at(world, attached, queried, read, 0))
    for event in world.log[attached.n :]:
        latecomer.hear(event)

    announced_or_answered = {
        stored.message.id: stored.message.text
        for stored in world.messages
        if (stored.message.role == "user" and stored.run in world.head)
        or any(r.answer == stored.message.id and r.stage == "ended" for r in world.runs)
    }
    assert latecomer.messages == announced_or_answered
    assert list(latecomer.runs) == [r.id for r in world.runs if r.id in latecomer.runs]


def stored(seq: int) -> StoredMessage:
    said = Message(id=f"m{seq}", seq=seq, role="user", text="Hi", created_at="")
    return StoredMessage(message=said, run=f"r{seq}")


def test_a_snapshot_has_the_newest_messages_oldest_first() -> None:
    frame = orjson.loads(
        snapshot(
            conversation="c",
            cursor=Cursor(3, 14),
            run_states={},
            held=[],
            messages=[stored(seq) for seq in range(1, MESSAGES + 4)],
            unfinished=[],
            later=[],
        )
    )

    assert [m["seq"] for m in frame["messages"]] == list(range(4, MESSAGES + 4))
    assert frame | {"messages": None} == {
        "type": "snapshot",
        "conversation": "c",
        "cursor": "3.14",
        "messages": None,
        "runs": [],
        "queued": [],
    }


def test_a_run_in_progress_is_told_with_its_agent_and_the_index_of_its_next_delta() -> None:
    started = RunStarted(conversation="c", run="r1", agent="gpt", model="m", reply_to="m1")
    deltas = [Delta(conversation="c", run="r1", index=i, text=t) for i, t in enumerate("ab")]

    frame = orjson.loads(
        snapshot(
            conversation="c",
            cursor=Cursor(1, 4),
            run_states={"r1": "o"},
            held=[encode(event) for event in (started, *deltas)],
            messages=[stored(1)],
            unfinished=["r1"],
            later=[],
        )
    )

    assert frame["runs"] == [
        {
            "run": "r1",
            "agent": "gpt",
            "model": "m",
            "reply_to": "m1",
            "index": 2,
            "text": "ab",
        }
    ]
    assert frame["queued"] == []


def test_a_question_that_waits_for_its_turn_is_told_with_its_run() -> None:
    frame = orjson.loads(
        snapshot(
            conversation="c",
            cursor=Cursor(1, 4),
            run_states={"r1": "o", "r2": "a", "r3": "d"},
            held=[encode(RunStarted(conversation="c", run="r1", agent="", model="", reply_to=""))],
            messages=[stored(1), stored(2), stored(3)],
            unfinished=["r1", "r2"],
            later=[],
        )
    )

    assert frame["queued"] == [{"run": "r2", "reply_to": "m2"}]
