import openai
import pytest

WORDS = "Hello there"


async def events_of(client, model="m", **more):
    async with await client.responses.create(
        model=model, input=WORDS, stream=True, **more
    ) as stream:
        return [event async for event in stream]


def text_of(events):
    return "".join(each.delta for each in events if each.type == "response.output_text.delta")


async def test_a_stream_has_all_events_in_order_and_numbered(openai_client):
    events = await events_of(openai_client)
    kinds = [event.type for event in events if event.type != "response.output_text.delta"]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    done = events[-1].response
    assert done.output_text == text_of(events)
    assert done.usage.output_tokens == 60
    assert done.usage.input_tokens == 2


async def test_the_sdks_own_accumulator_understands_the_stream(openai_client):
    async with openai_client.responses.stream(model="m", input=WORDS) as stream:
        final = await stream.get_final_response()
    assert final.output_text.startswith('You said: "Hello there"')


async def test_a_whole_response_quotes_instructions_and_items(openai_client):
    answer = await openai_client.responses.create(
        model="m?quote_system=true",
        instructions="Be kind",
        input=[
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "noted"}]},
            {"role": "user", "content": [{"type": "input_text", "text": "two"}]},
        ],
    )
    assert answer.status == "completed"
    assert answer.output_text.startswith('My instructions: "Be kind" You said: "one" Then: "two"')


@pytest.mark.parametrize(
    ("model", "limit", "reason"),
    [("m", 16, "max_output_tokens"), ("m?content_filter=2", None, "content_filter")],
)
async def test_an_answer_ended_early_is_incomplete(openai_client, model, limit, reason):
    events = await events_of(
        openai_client, model, **({"max_output_tokens": limit} if limit else {})
    )
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.incomplete_details.reason == reason


async def test_an_error_in_the_stream_arrives_as_events(openai_client):
    events = await events_of(openai_client, "m?error_in_stream_after=2")
    assert [event.type for event in events[-2:]] == ["error", "response.failed"]
    assert events[-1].response.error.code == "server_error"


async def test_a_response_without_its_end_marker_is_in_progress(openai_client):
    answer = await openai_client.responses.create(model="m?no_end_marker", input=WORDS)
    assert answer.status == "in_progress"


async def test_a_missing_input_is_refused(openai_client):
    with pytest.raises(openai.BadRequestError) as raised:
        await openai_client.responses.create(model="m", input=[])
    assert raised.value.param.startswith("input")
