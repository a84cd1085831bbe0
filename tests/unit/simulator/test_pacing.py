import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.pacing import Pace, until_tick


def test_nothing_is_due_before_the_first_token():
    pace = Pace(first_token_s=0.5, tokens_per_s=10)
    assert pace.due(0.4, 0) == 0
    assert pace.wait_s(0.4, 0) == pytest.approx(0.1)
    assert pace.due(0.5, 0) == 1


@settings(deadline=None)
@given(st.integers(1, 500), st.floats(1, 1000))
def test_after_waiting_at_least_one_more_token_is_due(sent, rate):
    pace = Pace(first_token_s=0.2, tokens_per_s=rate)
    elapsed = 0.2 + (sent - 1) / rate
    assert pace.due(elapsed + pace.wait_s(elapsed, sent), sent) > sent


def test_fast_tokens_share_a_tick():
    pace = Pace(first_token_s=0, tokens_per_s=10_000)
    assert pace.due(pace.wait_s(0, 1), 1) > 40


def test_without_a_pace_all_is_due_at_once():
    pace = Pace(first_token_s=0, tokens_per_s=0)
    assert pace.due(0, 10) > 10
    assert pace.wait_s(0, 10) == 0
    assert pace.whole_s(100) == 0


def test_a_whole_answer_takes_as_long_as_its_stream():
    assert Pace(first_token_s=1, tokens_per_s=10).whole_s(11) == pytest.approx(2)


def test_timers_fall_on_common_ticks_and_never_early():
    for now_s, wait_s in [(10.0012, 0.02), (10.004, 0.0131), (3.0, 0.005)]:
        wake = now_s + until_tick(now_s, wait_s)
        assert now_s + wait_s - 1e-9 <= wake <= now_s + wait_s + 0.01 + 1e-9
        assert abs(wake / 0.01 - round(wake / 0.01)) < 1e-6
