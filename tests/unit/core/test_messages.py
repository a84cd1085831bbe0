"""Messages, as the wire and the hot copy have them."""

from __future__ import annotations

import orjson

from actors.core.messages import Context, Message, Principal, StoredMessage

MESSAGE = Message(id="m", seq=7, role="user", text="Hello", created_at="2026-01-01T00:00:00Z")


def test_a_message_has_exactly_the_fields_of_the_protocol() -> None:
    assert orjson.loads(orjson.dumps(MESSAGE)) == {
        "id": "m",
        "seq": 7,
        "role": "user",
        "text": "Hello",
        "agent": None,
        "model": None,
        "reply_to": None,
        "status": "complete",
        "created_at": "2026-01-01T00:00:00Z",
        "metadata": {},
    }


def test_a_stored_message_is_the_same_after_its_way_through_json() -> None:
    fields = orjson.loads(orjson.dumps(StoredMessage(message=MESSAGE, run="r")))

    assert StoredMessage(message=Message(**fields["message"]), run=fields["run"]) == StoredMessage(
        message=MESSAGE, run="r"
    )


def test_two_messages_never_share_their_metadata() -> None:
    other = Message(id="n", seq=8, role="user", text="", created_at="")

    assert MESSAGE.metadata is not other.metadata


def test_without_a_word_to_the_contrary_a_principal_is_no_administrator() -> None:
    assert Principal(org_id="o", user_id="u").role == "member"
    assert Context(profile={}, messages=(), metadata={}).summary is None
