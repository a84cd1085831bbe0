"""What an agent is given of a conversation, and how much of that its model is told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.errors import ContextLengthExceeded
from actors.core.messages import Context, Message, Turn
from actors.core.transcripts import (
    TOKENS_A_TURN,
    estimate_tokens,
    system_prompt,
    turns,
    up_to,
    window,
)


def question(key: str, **fields: Any) -> Message:
    return Message(id=key, seq=None, role="user", text=key, created_at="", **fields)


def answer(to: str, **fields: Any) -> Message:
    return Message(
        id=f"a-{to}", seq=None, role="assistant", text="yes", reply_to=to, created_at="", **fields
    )


def ids(messages: tuple[Message, ...]) -> list[str]:
    return [message.id for message in messages]


# What the answer to a message may know


def test_an_answer_knows_nothing_behind_its_question() -> None:
    said = [question("q1"), answer("q1"), question("q2"), question("q3")]

    assert ids(up_to(said, "q2")) == ["q1", "a-q1", "q2"]


def test_answers_stand_with_their_questions_though_committed_behind_later_ones() -> None:
    said = [question("q1"), question("q2"), question("q3"), answer("q1"), answer("q2")]

    assert ids(up_to(said, "q3")) == ["q1", "a-q1", "q2", "a-q2", "q3"]


def test_a_question_never_answered_stands_alone() -> None:
    said = [question("q1"), question("q2"), question("q3"), answer("q2")]

    assert ids(up_to(said, "q3")) == ["q1", "q2", "a-q2", "q3"]


def test_an_answer_whose_question_is_no_longer_kept_is_left_out() -> None:
    said = [answer("gone"), question("q1")]

    assert ids(up_to(said, "q1")) == ["q1"]


def test_of_a_message_that_is_not_there_the_whole_conversation_is_known() -> None:
    said = [question("q1"), answer("q1")]

    assert ids(up_to(said, "nowhere")) == ["q1", "a-q1"]


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.data())
def test_the_order_of_commits_of_answers_never_matters(
    answered: list[bool], data: st.DataObject
) -> None:
    questions = [question(f"q{i}") for i in range(len(answered))]
    committed: list[Message] = list(questions)
    for asked, has_answer in zip(questions, answered, strict=True):
        if has_answer:
            at = data.draw(st.integers(committed.index(asked) + 1, len(committed)))
            committed.insert(at, answer(asked.id))
    target = data.draw(st.sampled_from(questions))

    expected = []
    for asked, has_answer in zip(questions, answered, strict=True):
        expected.append(asked.id)
        if asked is target:
            break
        if has_answer:
            expected.append(f"a-{asked.id}")
    assert ids(up_to(committed, target.id)) == expected


# What a model is told


def test_the_persona_stands_before_what_is_known_of_the_user_and_the_conversation() -> None:
    context = Context(profile={"name": "Zoë"}, messages=(), metadata={}, summary="We met.")

    assert system_prompt("  Be kind.\n", context) == (
        'Be kind.\n\nThe user\'s profile, as they gave it: {"name":"Zoë"}'
        "\n\nEarlier in this conversation: We met."
    )


def test_nothing_known_is_nothing_said() -> None:
    assert system_prompt("", Context(profile={}, messages=(), metadata={})) == ""


def test_turns_are_what_both_sides_said_without_the_empty_and_the_systems_own() -> None:
    said = [
        Message(id="s", seq=1, role="system", text="internal", created_at=""),
        question("q1"),
        answer("q1"),
        Message(id="e", seq=4, role="assistant", text="", status="stopped", created_at=""),
        question("q2"),
    ]

    assert turns(said) == (
        Turn(role="user", text="q1"),
        Turn(role="assistant", text="yes"),
        Turn(role="user", text="q2"),
    )


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("abc", 1), ("abcd", 2), ("語", 1)]
)
def test_tokens_are_counted_by_three_bytes(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


TURNS = st.lists(
    st.builds(Turn, role=st.sampled_from(["user", "assistant"]), text=st.text(max_size=60)),
    min_size=1,
    max_size=60,
)


def cost(system: str, kept: tuple[Turn, ...]) -> int:
    said = sum(estimate_tokens(turn.text) + TOKENS_A_TURN for turn in kept)
    return said + estimate_tokens(system) + TOKENS_A_TURN


@given(TURNS, st.text(max_size=80), st.integers(600, 900), st.none() | st.integers(1, 200))
def test_what_is_kept_is_the_newest_and_fits_beside_the_persona_and_the_answer(
    history: list[Turn], system: str, context_window: int, max_output_tokens: int | None
) -> None:
    kept = window(
        system, history, context_window=context_window, max_output_tokens=max_output_tokens
    )

    assert kept == tuple(history[len(history) - len(kept) :])
    assert kept[-1] == history[-1]
    reserve = max_output_tokens or min(context_window // 4, 4096)
    assert cost(system, kept) + reserve <= context_window
    assert len(kept) == 1 or kept[0].role == "user"


@given(TURNS, st.integers(256, 400))
def test_nothing_that_would_still_fit_is_left_out(history: list[Turn], size: int) -> None:
    kept = window("", history, context_window=size, max_output_tokens=50)

    left_out = history[: len(history) - len(kept)]
    if left_out and left_out[-1].role == "user":
        assert cost("", (left_out[-1], *kept)) + 50 > size


def test_a_last_turn_that_does_not_fit_is_refused_rather_than_cut() -> None:
    with pytest.raises(ContextLengthExceeded):
        window("", [Turn(role="user", text="x" * 4000)], context_window=300, max_output_tokens=None)


def test_a_persona_that_leaves_no_room_is_refused_rather_than_dropped() -> None:
    with pytest.raises(ContextLengthExceeded):
        window("p" * 900, [Turn(role="user", text="Hi")], context_window=300, max_output_tokens=9)


def test_a_window_never_begins_with_an_answer_whose_question_was_left_out() -> None:
    history = [
        Turn(role="user", text="x" * 600),
        Turn(role="assistant", text="yes"),
        Turn(role="user", text="And now?"),
    ]

    kept = window("", history, context_window=256, max_output_tokens=100)

    assert kept == (Turn(role="user", text="And now?"),)


def test_no_history_makes_no_turns() -> None:
    assert window("persona", [], context_window=256, max_output_tokens=None) == ()


def test_a_prefill_never_stands_without_the_message_that_it_answers() -> None:
    history = [Turn(role="user", text="x" * 600), Turn(role="assistant", text="y" * 600)]

    with pytest.raises(ContextLengthExceeded):
        window("", history, context_window=420, max_output_tokens=9)

    assert window("", history, context_window=500, max_output_tokens=9) == tuple(history)
