from hypothesis import example, given, settings
from hypothesis import strategies as st

from simulator.answers import answer, count_tokens, quotation, tokenize
from simulator.prompt import Prompt, Turn


def prompt(*texts, system=None, prefill=None):
    turns = [Turn(role="user", text=text) for text in texts]
    if prefill is not None:
        turns.append(Turn(role="assistant", text=prefill))
    return Prompt(system=system, turns=tuple(turns))


def text_of(asked, *, seed=1, model="m", attempt=1, length=60, quote_system=False):
    return "".join(
        answer(
            asked, seed=seed, model=model, attempt=attempt, length=length, quote_system=quote_system
        )
    )


@settings(deadline=None)
@given(st.text())
def test_tokens_concatenate_to_exactly_the_text(text):
    assert "".join(tokenize(text)) == text


@settings(deadline=None)
@given(st.lists(st.text(min_size=1), min_size=1, max_size=5), st.integers(0, 80))
def test_every_user_message_is_quoted_word_for_word_in_order(messages, length):
    said = text_of(prompt(*messages), length=length)
    place = 0
    for message in messages:
        place = said.index(f'"{message}"', place) + 1


@settings(deadline=None)
@given(st.integers(8, 400), st.integers(0, 50))
@example(189, 0)  # the heading of a list would fit exactly
def test_an_answer_has_exactly_the_asked_number_of_tokens(length, seed):
    tokens = answer(
        prompt("hi"), seed=seed, model="m", attempt=1, length=length, quote_system=False
    )
    assert len(tokens) == length
    assert tokens[-1] == "."


def test_quotes_longer_than_the_length_are_whole_and_alone():
    asked = prompt("one two three four five six seven eight")
    assert text_of(asked, length=3) == quotation(asked, quote_system=False)


def test_the_answer_depends_on_seed_model_attempt_and_prompt_only():
    asked = prompt("hi", system="be brief")
    first = text_of(asked)
    assert text_of(asked) == first
    others = {
        text_of(asked, seed=2),
        text_of(asked, model="n"),
        text_of(asked, attempt=2),
        text_of(prompt("hi", system="be long")),
    }
    assert len(others | {first}) == 5


def test_the_system_text_is_quoted_only_when_asked():
    asked = prompt("hi", system="be brief")
    assert "be brief" not in text_of(asked)
    assert 'My instructions: "be brief"' in text_of(asked, quote_system=True)


def test_a_prefill_that_begins_the_answer_is_continued_exactly():
    full = text_of(prompt("hello", "again"))
    for cut in (1, 17, len(full) // 2, len(full)):
        assert full[:cut] + text_of(prompt("hello", "again", prefill=full[:cut])) == full


def test_a_strange_prefill_is_followed_by_prose():
    said = text_of(prompt("hello", prefill="Quite something else"))
    assert said
    assert "hello" not in said


def test_long_answers_hold_light_markdown():
    said = text_of(prompt("hi"), length=2000)
    assert "\n- " in said
    assert "`" in said
    assert "\n\n" in said


def test_counting_tokens_covers_system_and_all_turns():
    assert count_tokens(prompt("one two", system="three", prefill="four")) == 4
