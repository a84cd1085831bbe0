"""Whatever a client says, it is told what was wrong with it, in the protocol's words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from simulator import Behaviour
from simulator.faults import Silence
from tests.harness.client import connected
from tests.integration.gateway.endings import codes, ending

if TYPE_CHECKING:
    from tests.harness.boxes import LocalParley
    from tests.integration.gateway.conftest import Behave, Strangers

NOBODYS = str(uuid4())
DEEP = '{"a":' * 33 + "1" + "}" * 33
ABYSS = "[" * 50_000 + "]" * 50_000


NO_FRAMES = [
    "not JSON",
    "",
    '{"type":"ping"',
    "[]",
    "17",
    '"ping"',
    "null",
    "{}",
    '{"type":null}',
    '{"type":["ping"]}',
    '{"type":"run"}',
    '{"type":"PING"}',
    '{"type":"ping","t":NaN}',
]


async def test_what_is_no_frame_closes_with_4400(parley: LocalParley) -> None:
    for frame in NO_FRAMES:
        async with connected(parley.websocket_url) as client:
            await client.socket.send(frame)
            heard, code = await ending(client)

        assert (codes(heard), code) == (["invalid_request"], 4400), frame


async def test_a_binary_frame_closes_with_4400(parley: LocalParley) -> None:
    async with connected(parley.websocket_url) as client:
        await client.socket.send(b'{"type":"ping"}')
        heard, code = await ending(client)

    assert (codes(heard), code) == (["invalid_request"], 4400)


async def test_a_frame_over_the_limit_closes_with_1009(parley: LocalParley) -> None:
    for character in ("x", "\N{SNOWMAN}", "\N{GRINNING FACE}"):
        async with connected(parley.websocket_url) as client:
            empty = '{"type":"ping","t":""}'
            room = 262_144 - len(empty)
            fitting = character * (room // len(character.encode()))
            await client.socket.send(empty.replace('""', f'"{fitting}"'))
            assert (await client.hear())["t"] == fitting

            await client.socket.send(empty.replace('""', f'"{fitting}{character * 4}"'))
            heard, code = await ending(client)

        assert (codes(heard), code) == (["too_large"], 1009)


BAD_FIELDS = [
    '{"type":"send"}',
    '{"type":"send","id":"a"}',
    '{"type":"send","text":"Hi"}',
    '{"type":"send","id":5,"text":"Hi"}',
    '{"type":"send","id":"","text":"Hi"}',
    '{"type":"send","id":"a b","text":"Hi"}',
    '{"type":"send","id":"a\\n","text":"Hi"}',
    '{"type":"send","id":"\\u00e4","text":"Hi"}',
    '{"type":"send","id":"\\ud800","text":"Hi"}',
    '{"type":"send","id":"a\\u0000","text":"Hi"}',
    '{"type":"send","id":"@long","text":"Hi"}',
    '{"type":"send","id":"a","text":""}',
    '{"type":"send","id":"a","text":" \\n\\t"}',
    '{"type":"send","id":"a","text":5}',
    '{"type":"send","id":"a","text":null}',
    '{"type":"send","id":"a","text":"\\ud83d"}',
    '{"type":"send","id":"a","text":"\\udc00\\ud800"}',
    '{"type":"send","id":"a","text":"a\\u0000b"}',
    '{"type":"send","id":"a","text":"Hi","agent":5}',
    '{"type":"send","id":"a","text":"Hi","agent":"\\ud800"}',
    '{"type":"send","id":"a","text":"Hi","agent":"\\u0000"}',
    '{"type":"send","id":"a","text":"Hi","agent":"@long"}',
    '{"type":"send","id":"a","text":"Hi","metadata":[]}',
    '{"type":"send","id":"a","text":"Hi","metadata":null}',
    '{"type":"send","id":"a","text":"Hi","metadata":{"k":"\\ud800"}}',
    '{"type":"send","id":"a","text":"Hi","metadata":{"\\ud800":1}}',
    '{"type":"send","id":"a","text":"Hi","metadata":{"k":["\\u0000"]}}',
    '{"type":"send","id":"a","text":"Hi","metadata":{"k":18446744073709551615}}',
    '{"type":"send","id":"a","text":"Hi","metadata":{"k":1e999}}',
    '{"type":"send","id":"a","text":"Hi","metadata":@deep}',
    '{"type":"send","id":"a","text":"Hi","metadata":{"k":@abyss}}',
    '{"type":"send","id":"a","text":"Hi","conversation":"nonsense"}',
    '{"type":"send","id":"a","text":"Hi","conversation":5}',
    '{"type":"send","id":"a","text":"Hi","conversation":"\\ud800"}',
    '{"type":"attach"}',
    '{"type":"attach","conversation":"nonsense"}',
    '{"type":"attach","conversation":[]}',
    '{"type":"attach","conversation":"@nobodys","after":5}',
    '{"type":"attach","conversation":"@nobodys","after":""}',
    '{"type":"attach","conversation":"@nobodys","after":"latest"}',
    '{"type":"attach","conversation":"@nobodys","after":"1.-1"}',
    '{"type":"attach","conversation":"@nobodys","after":"1.1\\n"}',
    '{"type":"attach","conversation":"@nobodys","after":"\\ud800"}',
    '{"type":"attach","conversation":"@nobodys","after":"999999999999999999999999999999.1"}',
    '{"type":"detach"}',
    '{"type":"detach","conversation":"nonsense"}',
    '{"type":"stop"}',
    '{"type":"stop","run":"nonsense"}',
    '{"type":"stop","run":7}',
    '{"type":"ping","t":"\\ud800"}',
    '{"type":"ping","t":@deep}',
    '{"type":"ping","t":@abyss}',
    '{"type":"pong","t":"\\ud800"}',
]


async def test_a_bad_field_is_an_error_and_no_close(parley: LocalParley) -> None:
    async with connected(parley.websocket_url) as client:
        for frame in BAD_FIELDS:
            filled = (
                frame.replace("@nobodys", NOBODYS).replace("@deep", DEEP).replace("@long", "a" * 65)
            )
            await client.socket.send(filled.replace("@abyss", ABYSS))
            assert codes([await client.hear()]) == ["invalid_request"], frame
            await client.say(type="ping", t="alive")
            assert await client.hear() == {"type": "pong", "t": "alive"}, frame


async def test_an_error_names_what_the_frame_named(parley: LocalParley) -> None:
    async with connected(parley.websocket_url) as client:
        await client.say(type="send", id="mine", text="", conversation=NOBODYS)
        assert (await client.hear()).items() >= {"id": "mine", "conversation": NOBODYS}.items()
        await client.say(type="attach", conversation="nonsense")
        assert (await client.hear())["conversation"] == "nonsense"
        await client.say(type="stop", run=NOBODYS)
        assert (await client.hear())["run"] == NOBODYS


async def test_three_bad_frames_in_a_row_close_with_4400(parley: LocalParley) -> None:
    async with connected(parley.websocket_url) as client:
        for _ in range(3):
            await client.say(type="send", id="mine", text="")
        heard, code = await ending(client)

    assert (codes(heard), code) == (["invalid_request"] * 3, 4400)
    assert [frame["id"] for frame in heard] == ["mine"] * 3


async def test_a_good_frame_between_bad_ones_forgives_them(parley: LocalParley) -> None:
    async with connected(parley.websocket_url) as client:
        for _ in range(4):
            for _ in range(2):
                await client.say(type="send", id="mine", text="")
                assert codes([await client.hear()]) == ["invalid_request"]
            await client.say(type="pong", t="anything")

        assert (await client.send("Hi"))["type"] == "accepted"


async def test_frames_that_are_refused_for_what_they_ask_are_no_bad_frames(
    parley: LocalParley,
) -> None:
    async with connected(parley.websocket_url) as client:
        for _ in range(5):
            refused = await client.send("Hi", conversation=NOBODYS)
            assert codes([refused]) == ["not_found"]


async def test_a_text_over_the_limit_is_too_large(parley: LocalParley, behave: Behave) -> None:
    behave(Behaviour(faults=(Silence(),)))
    async with connected(parley.websocket_url) as client:
        longest = {"type": "send", "id": "longest", "text": "\N{GRINNING FACE}" * 32_000}
        await client.socket.send(json.dumps(longest, ensure_ascii=False))
        assert (await client.hear())["type"] == "accepted"
        refused = await client.send("x" * 32_001)

    assert codes([refused]) == ["too_large"]


async def test_an_unknown_agent_is_not_found(parley: LocalParley) -> None:
    async with connected(parley.websocket_url) as client:
        assert codes([await client.send("Hi", agent="nobody")]) == ["not_found"]


async def test_fields_and_metadata_that_the_server_does_not_know_are_no_error(
    parley: LocalParley,
) -> None:
    metadata = {"n": None, "deep": [[{"a": 2**62}]], "key\N{SNOWMAN}": 1.5}
    async with connected(parley.websocket_url) as client:
        await client.send("Hi", metadata=metadata, future=True)
        message = (await client.hear_until("message"))["message"]

    assert message["metadata"] == metadata


async def test_anothers_conversation_and_run_look_like_none_at_all(
    parley: LocalParley, strangers: Strangers
) -> None:
    async with connected(parley.websocket_url) as owner:
        accepted, _, _ = await owner.ask("A secret.")
    conversation, run = accepted["conversation"], accepted["run"]

    for stranger in (strangers.neighbour, strangers.foreigner):
        async with connected(parley.websocket_url, hello=False) as client:
            await client.hello(token=stranger)
            theirs = await _refusals(client, conversation, run, accepted["message"])
            nothings = await _refusals(client, NOBODYS, NOBODYS, NOBODYS)

        assert codes(theirs) == ["not_found"] * 5
        assert _anonymous(theirs) == _anonymous(nothings)


async def _refusals(client: Any, conversation: str, run: str, message: str) -> list[Any]:
    frames = [
        {"type": "send", "id": "mine", "text": "Hi", "conversation": conversation},
        {"type": "attach", "conversation": conversation},
        {"type": "attach", "conversation": conversation, "after": "1.0"},
        {"type": "stop", "run": run},
        {"type": "stop", "run": message},
    ]
    heard = []
    for frame in frames:
        await client.say(**frame)
        heard.append(await client.hear())
    return heard


def _anonymous(frames: list[Any]) -> list[str]:
    return [
        json.dumps({k: v for k, v in frame.items() if k not in {"conversation", "run"}})
        for frame in frames
    ]


async def test_a_bad_attachment_in_a_hello_leaves_the_others(parley: LocalParley) -> None:
    async with connected(parley.websocket_url) as owner:
        accepted, _, _ = await owner.ask("Hi")
    known = accepted["conversation"]

    async with connected(parley.websocket_url, hello=False) as client:
        bad = [{"conversation": "nonsense"}, {"conversation": known, "after": "?"}, 5, None]
        await client.hello(attach=[*bad, {"conversation": NOBODYS}, {"conversation": known}])
        heard = [await client.hear() for _ in range(7)]

    assert codes(heard[:5]) == ["invalid_request"] * 4 + ["not_found"]
    assert [frame.get("conversation") for frame in heard[:2]] == ["nonsense", known]
    assert [frame["type"] for frame in heard[5:]] == ["attached", "snapshot"]
