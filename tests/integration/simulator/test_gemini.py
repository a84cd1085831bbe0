from urllib.parse import quote

import pytest
from google.genai import errors, types

WORDS = "Hello there"


async def chunks_of(client, model="m", contents=WORDS, config=None):
    stream = await client.models.generate_content_stream(
        model=quote(model, safe="") if "?" in model else model, contents=contents, config=config
    )
    return [chunk async for chunk in stream]


def text_of(chunks):
    return "".join(chunk.text or "" for chunk in chunks)


async def test_a_stream_is_a_chunk_a_token_then_finish_and_usage(gemini_client, sim):
    chunks = await chunks_of(gemini_client)
    assert text_of(chunks).startswith('You said: "Hello there"')
    assert len(chunks) == 61
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert chunks[-1].usage_metadata.candidates_token_count == 60
    assert chunks[-1].usage_metadata.prompt_token_count == 2
    assert chunks[-1].model_version == "m"
    assert sim.journal.records[0].text == text_of(chunks)


async def test_whole_and_streamed_answers_are_the_same(gemini_client):
    whole = await gemini_client.models.generate_content(model="m", contents=WORDS)
    assert whole.text == text_of(await chunks_of(gemini_client))
    assert whole.candidates[0].finish_reason == types.FinishReason.STOP


async def test_behaviour_travels_in_the_models_name(gemini_client, sim):
    for model in ("m?length=9&first_token_s=0.01", "m;length=9;first_token_s=0.01"):
        assert len(await chunks_of(gemini_client, model)) == 10
    assert {record.model for record in sim.journal.records} == {"m"}


async def test_the_system_instruction_limit_and_history_arrive(gemini_client, sim):
    history = [
        types.Content(role="user", parts=[types.Part(text="one")]),
        types.Content(role="model", parts=[types.Part(text="noted")]),
        types.Content(role="user", parts=[types.Part(text="tw"), types.Part(text="o")]),
    ]
    config = types.GenerateContentConfig(system_instruction="Be kind", max_output_tokens=200)
    chunks = await chunks_of(gemini_client, "m?quote_system=true", history, config)
    assert text_of(chunks).startswith('My instructions: "Be kind" You said: "one" Then: "two"')
    assert sim.journal.records[0].system == "Be kind"
    short = types.GenerateContentConfig(max_output_tokens=3)
    chunks = await chunks_of(gemini_client, config=short)
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    assert len(chunks) == 4


async def test_a_prefill_is_continued_exactly(gemini_client):
    full = text_of(await chunks_of(gemini_client))
    turns = [
        types.Content(role="user", parts=[types.Part(text=WORDS)]),
        types.Content(role="model", parts=[types.Part(text=full[:40])]),
    ]
    assert full[:40] + text_of(await chunks_of(gemini_client, contents=turns)) == full


@pytest.mark.parametrize(
    ("code", "error", "status"),
    [
        (429, errors.ClientError, "RESOURCE_EXHAUSTED"),
        (503, errors.ServerError, "UNAVAILABLE"),
        (599, errors.ServerError, "INTERNAL"),
    ],
)
async def test_a_status_is_an_error_of_googles_shape(gemini_client, code, error, status):
    with pytest.raises(error) as raised:
        await chunks_of(gemini_client, f"m?status={code}&retry_after_s=1.5")
    assert (raised.value.code, raised.value.status) == (code, status)
    retry = raised.value.details["error"]["details"][0]
    assert retry == {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"}


async def test_an_error_in_the_stream_raises(gemini_client):
    with pytest.raises(errors.ServerError) as raised:
        await chunks_of(gemini_client, "m?error_in_stream_after=2")
    assert raised.value.code == 503


async def test_a_blocked_prompt_has_no_candidates(gemini_client):
    chunks = await chunks_of(gemini_client, "m?content_filter")
    whole = await gemini_client.models.generate_content(model="m;content_filter", contents=WORDS)
    for answer in (*chunks, whole):
        assert answer.candidates is None
        assert answer.prompt_feedback.block_reason == types.BlockedReason.SAFETY


async def test_a_filtered_answer_finishes_as_safety(gemini_client):
    chunks = await chunks_of(gemini_client, "m?content_filter=2")
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.SAFETY


async def test_a_stream_without_end_marker_ends_silently(gemini_client):
    chunks = await chunks_of(gemini_client, "m?eof_after=4")
    assert len(chunks) == 4
    assert chunks[-1].candidates[0].finish_reason is None


async def test_a_typo_in_the_models_name_is_refused(gemini_client):
    with pytest.raises(errors.ClientError, match="lenght"):
        await chunks_of(gemini_client, "m?lenght=9")


async def test_models_are_listed_and_described(gemini_client):
    names = [model.name async for model in await gemini_client.models.list()]
    assert "models/gemini-3.8-flash" in names
    assert (await gemini_client.models.get(model="any")).name == "models/any"
