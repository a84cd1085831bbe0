import aiohttp
import openai
import pytest

from simulator import Behaviour, Script
from simulator.faults import RefusePrefill

HELLO = [{"role": "user", "content": "Hello there"}]


async def stream_chat(client, model="m", messages=HELLO, **more):
    chunks = []
    asked = client.chat.completions.create(model=model, messages=messages, stream=True, **more)
    async with await asked as stream:
        chunks += [chunk async for chunk in stream]
    return chunks


def text_of(chunks):
    return "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)


async def test_a_stream_is_role_then_content_then_finish_then_usage(openai_client, sim):
    chunks = await stream_chat(openai_client, stream_options={"include_usage": True})
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[0].choices[0].delta.content == ""
    assert 'You said: "Hello there"' in text_of(chunks)
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert not chunks[-1].choices
    assert chunks[-1].usage.completion_tokens == 60 == len(chunks) - 3
    assert chunks[-1].usage.prompt_tokens == 2
    record = sim.journal.records[0]
    assert (record.text, record.finish, record.wire) == (text_of(chunks), "stop", "openai.chat")


async def test_usage_is_streamed_only_when_asked(openai_client):
    chunks = await stream_chat(openai_client)
    assert all(chunk.usage is None for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_whole_and_streamed_answers_are_the_same(openai_client):
    whole = await openai_client.chat.completions.create(model="m", messages=HELLO)
    assert whole.choices[0].message.content == text_of(await stream_chat(openai_client))
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + 60


async def test_max_tokens_end_an_answer_as_length(openai_client):
    for limit in ({"max_tokens": 5}, {"max_completion_tokens": 5}):
        chunks = await stream_chat(openai_client, **limit)
        assert chunks[-1].choices[0].finish_reason == "length"
        assert len(chunks) == 7


async def test_every_user_message_is_quoted_and_parts_are_joined(openai_client):
    parts = [{"type": "text", "text": "sec"}, {"type": "text", "text": "ond"}]
    messages = [
        {"role": "system", "content": "Be kind"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "noted"},
        {"role": "tool", "tool_call_id": "t", "content": "ignored"},
        {"role": "user", "content": parts},
    ]
    text = text_of(await stream_chat(openai_client, "m?quote_system=true", messages))
    assert text.startswith('My instructions: "Be kind" You said: "first" Then: "second"')
    assert "ignored" not in text


async def test_a_prefill_is_continued_and_can_be_refused(openai_client, sim):
    full = text_of(await stream_chat(openai_client))
    prefilled = [*HELLO, {"role": "assistant", "content": full[:30]}]
    assert full[:30] + text_of(await stream_chat(openai_client, messages=prefilled)) == full
    sim.behaviours.put("m", Behaviour(faults=(RefusePrefill(),)))
    with pytest.raises(openai.BadRequestError, match="prefill"):
        await stream_chat(openai_client, messages=prefilled)


async def test_attempts_vary_only_when_asked(openai_client, sim):
    same = [text_of(await stream_chat(openai_client)) for _ in range(2)]
    assert same[0] == same[1]
    varied = [text_of(await stream_chat(openai_client, "m?vary_attempts=true")) for _ in range(2)]
    assert varied[0] != varied[1]
    assert [record.attempt for record in sim.journal.records] == [1, 2, 3, 4]


async def test_a_stream_keeps_its_pace(openai_client, sim):
    await stream_chat(openai_client, "m?first_token_s=0.05&tokens_per_s=500&length=51")
    record = sim.journal.records[0]
    assert record.first_byte_s >= 0.05
    assert record.last_byte_s >= 0.15


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (401, openai.AuthenticationError, "invalid_api_key"),
        (429, openai.RateLimitError, "rate_limit_exceeded"),
        (500, openai.InternalServerError, None),
    ],
)
async def test_a_status_is_an_error_of_openais_shape(openai_client, status, error, code):
    with pytest.raises(error) as raised:
        await stream_chat(openai_client, f"m?status={status}&retry_after_s=1.5")
    assert raised.value.status_code == status
    assert raised.value.code == code
    assert raised.value.response.headers["retry-after"] == "2"
    assert raised.value.response.headers["retry-after-ms"] == "1500"
    assert raised.value.request_id


async def test_a_context_too_long_says_so_by_code(openai_client):
    with pytest.raises(openai.BadRequestError) as raised:
        await stream_chat(openai_client, "m?context_too_long=1")
    assert raised.value.code == "context_length_exceeded"
    assert raised.value.param == "messages"


async def test_an_error_in_the_stream_raises(openai_client, sim):
    with pytest.raises(openai.APIError, match="failed midway"):
        await stream_chat(openai_client, "m?error_in_stream_after=3")
    assert sim.journal.records[0].sent_tokens == 3
    assert sim.journal.records[0].finish == "error"


@pytest.mark.parametrize("fault", ["no_end_marker", "eof_after=60"])
async def test_a_stream_without_end_marker_ends_silently(openai_client, sim, fault):
    chunks = await stream_chat(openai_client, f"m?{fault}")
    assert all(chunk.choices[0].finish_reason is None for chunk in chunks)
    assert text_of(chunks) == sim.journal.records[0].text
    assert sim.journal.records[0].finish == "unmarked"


async def test_a_cut_stream_gives_every_token_before_the_reset(openai_client, sim, until):
    stream = await openai_client.chat.completions.create(
        model="m?cut_after=7", messages=HELLO, stream=True
    )
    async with stream:
        chunks = [await anext(stream) for _ in range(8)]
        with pytest.raises((openai.APIConnectionError, aiohttp.ClientError)):
            await anext(stream)
    assert text_of(chunks) == sim.journal.records[0].text != ""
    await until(lambda: sim.journal.records[0].finish == "reset")
    assert sim.journal.traffic["openai"].cancelled == 0


async def test_a_filtered_answer_finishes_as_content_filter(openai_client):
    chunks = await stream_chat(openai_client, "m?content_filter=4")
    assert chunks[-1].choices[0].finish_reason == "content_filter"


async def test_a_malformed_frame_breaks_the_sdks_parser(openai_client):
    with pytest.raises(ValueError, match=r"line 1 column|JSON"):
        await stream_chat(openai_client, "m?malformed_after=2")


async def test_a_script_is_played_one_request_at_a_time(openai_client, sim):
    failing = Behaviour.model_validate({"faults": [{"type": "status", "code": 503}]})
    sim.behaviours.put("m", Script(script=(failing, failing)))
    for _ in range(2):
        with pytest.raises(openai.InternalServerError):
            await stream_chat(openai_client)
    assert text_of(await stream_chat(openai_client))
    assert [record.finish for record in sim.journal.records] == ["refused", "refused", "stop"]


async def test_models_are_listed_and_described(openai_client, sim):
    sim.behaviours.put("mine", Behaviour())
    sim.behaviours.put("*", Behaviour())
    listed = {model.id async for model in openai_client.models.list()}
    assert {"gpt-5.5", "mine"} <= listed
    assert "*" not in listed
    assert (await openai_client.models.retrieve("any")).id == "any"
