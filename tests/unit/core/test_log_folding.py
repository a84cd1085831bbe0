"""Folding a log tells what its events amount to."""

from __future__ import annotations

from actors.core.events import (
    Delta,
    MessageAdded,
    Rewind,
    RunFailed,
    RunStarted,
    encode,
)
from actors.core.log_folding import FoldedRun, announced, fold
from actors.core.messages import Message
from actors.core.runs import Progress


def message(run: str, text: str = "Hi") -> bytes:
    said = Message(id=f"m-{run}", seq=1, role="user", text=text, created_at="")
    return encode(MessageAdded(conversation="c", message=said, id=run, run=run))


def started(run: str) -> bytes:
    return encode(RunStarted(conversation="c", run=run, agent="gpt", model="m", reply_to="q"))


def delta(run: str, index: int, text: str) -> bytes:
    return encode(Delta(conversation="c", run=run, index=index, text=text))


def rewind(run: str, index: int) -> bytes:
    return encode(Rewind(conversation="c", run=run, index=index, reason="again"))


def failed(run: str) -> bytes:
    return encode(RunFailed(conversation="c", run=run, error={}, message=None))


def test_a_runs_text_is_its_deltas_after_all_rewinds() -> None:
    events = [
        message("r"),
        started("r"),
        delta("r", 0, "a"),
        delta("r", 1, "b"),
        delta("r", 2, "c"),
        rewind("r", 1),
        delta("r", 1, "B"),
    ]

    assert fold(events)["r"].progress() == Progress(started=True, deltas=("a", "B"))


def test_runs_are_told_apart_and_stand_in_the_order_of_their_first_event() -> None:
    events = [message("b"), message("a"), started("a"), delta("a", 0, "x"), failed("b")]

    folded = fold(events)

    assert list(folded) == ["b", "a"]
    assert folded["b"] == FoldedRun(ended=True)
    assert folded["a"] == FoldedRun(
        agent="gpt", model="m", reply_to="q", started=True, deltas=["x"]
    )


def test_a_run_without_events_has_made_no_progress() -> None:
    assert fold([]) == {}
    assert FoldedRun().progress() == Progress()


def test_announced_are_the_runs_whose_question_is_among_the_events() -> None:
    pretender = delta("c", 0, '"type":"message"')

    assert announced([message("a"), pretender, started("b")]) == {"a"}
