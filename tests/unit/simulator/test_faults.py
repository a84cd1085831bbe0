import pytest

from simulator.faults import (
    ContentFilter,
    ContextTooLong,
    CutAfter,
    EofAfter,
    ErrorInStreamAfter,
    MalformedAfter,
    NoEndMarker,
    RefusePrefill,
    ResetBeforeHeaders,
    Silence,
    StallAfter,
    Status,
    WrongContentType,
    plan,
    refusal,
)

TOKENS = ("a", "b", "c", "d")


def test_without_faults_the_answer_is_whole_and_complete():
    planned = plan((), TOKENS, "length")
    assert (planned.opening, planned.ending, planned.fault) == ("answer", "complete", None)
    assert (planned.tokens, planned.finish) == (TOKENS, "length")


@pytest.mark.parametrize(
    ("fault", "opening", "kept", "ending"),
    [
        (ResetBeforeHeaders(), "reset", 0, "cut"),
        (Silence(), "silence", 0, "stall"),
        (WrongContentType(), "page", 0, "unmarked"),
        (CutAfter(tokens=2), "answer", 2, "cut"),
        (StallAfter(tokens=1), "answer", 1, "stall"),
        (MalformedAfter(tokens=3), "answer", 3, "malformed"),
        (EofAfter(tokens=0), "answer", 0, "unmarked"),
        (NoEndMarker(), "answer", 4, "unmarked"),
        (ErrorInStreamAfter(tokens=2), "answer", 2, "error"),
        (CutAfter(tokens=99), "answer", 4, "cut"),
    ],
)
def test_a_fault_spoils_the_answer_in_its_way(fault, opening, kept, ending):
    planned = plan((fault,), TOKENS, "stop")
    assert (planned.opening, planned.ending, planned.fault) == (opening, ending, fault.type)
    assert planned.tokens == TOKENS[:kept]


def test_the_content_filter_ends_an_answer_completely_but_early():
    planned = plan((ContentFilter(tokens=1),), TOKENS, "stop")
    assert (planned.tokens, planned.finish, planned.ending) == (
        ("a",),
        "content_filter",
        "complete",
    )


def test_the_first_applicable_fault_counts():
    faults = (RefusePrefill(), CutAfter(tokens=1), Silence())
    assert plan(faults, TOKENS, "stop").fault == "cut_after"


def test_a_status_is_refused_with_its_retry_time():
    problem = refusal((Status(code=429, retry_after_s=3),), input_tokens=1, prefilled=False)
    assert (problem.status, problem.retry_after_s) == (429, 3)


def test_a_context_is_too_long_above_its_limit_only():
    fault = ContextTooLong(limit=10)
    assert refusal((fault,), input_tokens=10, prefilled=False) is None
    problem = refusal((fault,), input_tokens=11, prefilled=False)
    assert problem.code == "context_length_exceeded"


def test_a_prefill_is_refused_only_where_there_is_one():
    assert refusal((RefusePrefill(),), input_tokens=1, prefilled=False) is None
    assert refusal((RefusePrefill(),), input_tokens=1, prefilled=True).status == 400
