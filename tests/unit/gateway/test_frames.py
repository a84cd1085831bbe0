"""Frames are read strictly, and every fault in one is told."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any
from uuid import uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.errors import InvalidRequest
from actors.core.frames import (
    MAX_DEPTH,
    TYPES,
    Attachment,
    BadFrame,
    Hello,
    Send,
    decode,
    read,
    read_attachment,
    storable,
)

CONVERSATION = str(uuid4())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def test_a_send_is_read_with_its_defaults() -> None:
    frame = read(decode('{"type":"send","id":"a","text":"Hi","future":1}'))

    assert frame == Send(type="send", id="a", text="Hi")
    assert isinstance(frame, Send)
    assert (frame.conversation, frame.agent, frame.metadata) == (None, None, {})


def test_ids_are_canonical() -> None:
    upper = {"type": "attach", "conversation": CONVERSATION.upper()}

    assert read(upper).model_dump()["conversation"] == CONVERSATION


def test_an_error_names_the_field_and_what_is_wrong_with_it() -> None:
    for fields, message in [
        ({"type": "send", "id": "a", "text": ""}, "text: is empty."),
        ({"type": "send", "id": "a"}, "text: Field required."),
        ({"type": "stop", "run": 5}, "run: is not a UUID."),
        (
            {"type": "send", "id": "a", "text": "a\0"},
            "text: contains a NUL character.",
        ),
    ]:
        with pytest.raises(InvalidRequest) as refused:
            read(fields)
        assert refused.value.message == message
        assert not isinstance(refused.value, BadFrame)


def test_an_attachment_of_a_hello_is_read_by_itself() -> None:
    hello = read({"type": "hello", "attach": [{"conversation": CONVERSATION}, 5]})
    assert isinstance(hello, Hello)

    assert read_attachment(hello.attach[0]) == Attachment(conversation=CONVERSATION)
    with pytest.raises(InvalidRequest, match=r"^attach: "):
        read_attachment(hello.attach[1])


def test_lone_surrogates_are_a_fields_fault_and_not_the_frames() -> None:
    fields = decode('{"type":"send","id":"a","text":"\\ud83d"}')

    with pytest.raises(InvalidRequest, match="half a surrogate pair"):
        read(fields)


def test_a_frame_that_no_parser_follows_is_refused_and_not_called_no_json() -> None:
    with pytest.raises(InvalidRequest) as refused:
        decode('{"type":"ping","t":' + "[" * 100_000 + "]" * 100_000 + "}")

    assert not isinstance(refused.value, BadFrame)


@pytest.mark.parametrize("depth", [MAX_DEPTH - 1, MAX_DEPTH])
def test_as_deep_as_allowed_is_storable(depth: int) -> None:
    value: Any = 1
    for _ in range(depth):
        value = [value]

    assert storable(value) == value
    with pytest.raises(ValueError, match="levels deep"):
        storable([[value]] if depth == MAX_DEPTH - 1 else [value])


@given(JSON)
def test_what_is_storable_can_be_sent_and_stored(value: Any) -> None:
    try:
        storable(value)
    except ValueError:
        return

    assert orjson.loads(orjson.dumps(value)) == value
    assert "\\u0000" not in json.dumps(value)


@given(st.text() | JSON.map(json.dumps))
def test_no_text_brings_the_reader_down(text: str) -> None:
    with suppress(InvalidRequest):
        read(decode(text))


@given(st.sampled_from(sorted(TYPES)), st.dictionaries(st.text(), JSON), st.data())
def test_no_fields_bring_the_reader_down(
    kind: str, fields: dict[str, Any], data: st.DataObject
) -> None:
    known = ["id", "conversation", "text", "agent", "metadata", "after", "run", "attach", "token"]
    fields |= data.draw(st.dictionaries(st.sampled_from(known), JSON))
    with suppress(InvalidRequest):
        frame = read(decode(json.dumps(fields | {"type": kind})))
        orjson.dumps(frame.model_dump(exclude={"token", "ticket", "attach"}))
