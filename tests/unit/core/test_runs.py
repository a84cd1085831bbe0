"""Submissions and outcomes, as values."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, replace
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.messages import Principal
from actors.core.runs import Outcome, Progress, Submission

if TYPE_CHECKING:
    from collections.abc import Callable

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
SUBMISSION = Submission(
    principal=Principal(org_id="o", user_id="u"),
    client_message_id="m-1",
    conversation=None,
    text="Hello",
)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_a_payload_is_the_same_whatever_the_order_of_its_metadata(metadata: dict) -> None:
    backwards = dict(reversed(metadata.items()))

    said = replace(SUBMISSION, metadata=metadata)
    repeated = replace(SUBMISSION, metadata=backwards, client_message_id="m-2")

    assert said.payload_sha256() == repeated.payload_sha256()


@pytest.mark.parametrize(
    "difference",
    [
        {"text": "Hello!"},
        {"agent": "gpt"},
        {"conversation": "2f1d7f0e-0000-7000-8000-000000000000"},
        {"metadata": {"a": None}},
    ],
)
def test_another_payload_has_another_digest(difference: dict) -> None:
    assert replace(SUBMISSION, **difference).payload_sha256() != SUBMISSION.payload_sha256()


def test_a_stop_that_was_committed_first_keeps_the_text_and_drops_the_error() -> None:
    failed = Outcome(state="failed", deltas=("Ha", "lf"), error={"code": "internal"}, attempts=2)

    assert failed.stopped() == Outcome(state="stopped", deltas=("Ha", "lf"), attempts=2)


@pytest.mark.parametrize("kind", [Progress, partial(Outcome, state="stopped")])
def test_a_text_is_its_deltas_joined(kind: Callable[..., Progress | Outcome]) -> None:
    assert kind(deltas=("Ha", "lf")).text == "Half"
    assert kind().text == ""


def test_what_crosses_a_process_is_frozen_and_survives_pickle() -> None:
    assert pickle.loads(pickle.dumps(SUBMISSION)) == SUBMISSION
    with pytest.raises(FrozenInstanceError):
        SUBMISSION.text = "changed"
