"""What every adapter promises of a good answer, of its request and of its connections."""

from __future__ import annotations

import asyncio

import pytest

from actors.core.completion import Finish, TextChunk, Usage

PATIENCE_S = 5.0


async def collected(chunks):
    """The text, the finish and how many chunks there were."""
    received = [chunk async for chunk in chunks]
    *texts, finish = received
    assert isinstance(finish, Finish)
    assert all(isinstance(chunk, TextChunk) and chunk.text for chunk in texts)
    return "".join(chunk.text for chunk in texts), finish, len(texts)


async def until(condition):
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the simulator's counters have no event
            await asyncio.sleep(0.005)


async def test_the_text_arrives_exactly_and_in_pieces(provider, simulator, ask):
    text, finish, pieces = await collected(provider.stream(ask("m;length=300", "Grüße, 世界 🌍!")))
    record = simulator.journal.records[-1]
    assert text == record.text
    assert "Grüße, 世界 🌍!" in text
    assert finish.reason == "stop"
    assert pieces > 100


async def test_line_separators_within_a_text_are_text(provider, ask):
    written = "one\u2028two\u2029three\u0085four\r\nfive\tsix"
    text, _, _ = await collected(provider.stream(ask("m", written)))
    assert written in text


async def test_usage_is_what_the_provider_counts(provider, ask):
    _, finish, pieces = await collected(provider.stream(ask("m;length=50", "one two three")))
    assert finish.usage == Usage(input_tokens=3, output_tokens=50)
    assert pieces == 50


async def test_an_answer_over_its_limit_finishes_by_length(provider, ask):
    _, finish, pieces = await collected(provider.stream(ask("m;length=50", max_output_tokens=7)))
    assert (finish.reason, pieces) == ("length", 7)


async def test_persona_and_history_arrive(provider, simulator, ask):
    request = ask("m", "first", "answered", "second", system="You are Ada.")
    await collected(provider.stream(request))
    record = simulator.journal.records[-1]
    assert record.system == "You are Ada."
    assert record.user_messages == ("first", "second")
    assert (record.prefill, record.streamed, record.model) == (None, True, "m")


async def test_no_persona_is_sent_where_there_is_none(provider, simulator, ask):
    await collected(provider.stream(ask("m")))
    assert simulator.journal.records[-1].system is None


async def test_a_last_turn_of_the_assistant_is_continued(provider, simulator, ask):
    whole, _, _ = await collected(provider.stream(ask("m", "tell me")))
    begun = whole[: len(whole) // 2]
    rest, finish, _ = await collected(provider.stream(ask("m", "tell me", begun)))
    assert simulator.journal.records[-1].prefill == begun
    assert begun + rest == whole
    assert finish.reason == "stop"


async def test_an_answer_without_text_is_only_a_finish(provider, ask):
    request = ask("m;length=0", "x", 'You said: "x"')
    text, finish, pieces = await collected(provider.stream(request))
    assert (text, pieces, finish.reason) == ("", 0, "stop")


async def test_no_request_is_sent_before_the_first_chunk_is_asked_for(provider, simulator, ask):
    await provider.stream(ask("m")).aclose()
    assert not simulator.journal.records


async def test_closing_the_answer_closes_the_providers_stream(provider, simulator, wire, ask):
    chunks = provider.stream(ask("m;length=100000;tokens_per_s=100"))
    assert isinstance(await anext(chunks), TextChunk)
    traffic = simulator.journal.traffic[wire.name]
    assert (traffic.in_progress, traffic.cancelled) == (1, 0)
    await chunks.aclose()
    await until(lambda: traffic.cancelled == 1 and traffic.in_progress == 0)


async def test_closing_one_answer_leaves_another_of_the_same_task(provider, simulator, wire, ask):
    closed, kept = (provider.stream(ask("m;length=40;tokens_per_s=200", name)) for name in "ab")
    await anext(closed)
    begun = await anext(kept)
    await closed.aclose()
    rest, _, _ = await collected(kept)
    assert begun.text + rest == simulator.journal.records[-1].text
    await until(lambda: simulator.journal.traffic[wire.name].cancelled == 1)


@pytest.mark.parametrize("model", ["m;silence", "m;stall_after=3", "m;first_token_s=60"])
async def test_cancelling_the_consumer_closes_the_providers_stream(
    provider, simulator, wire, ask, model
):
    consumer = asyncio.create_task(collected(provider.stream(ask(model))))
    journal = simulator.journal
    await until(lambda: wire.name in journal.traffic and journal.traffic[wire.name].in_progress)
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    await until(lambda: journal.traffic[wire.name].cancelled == 1)


async def test_a_deadline_around_a_chunk_closes_the_providers_stream(
    provider, simulator, wire, ask
):
    chunks = provider.stream(ask("m;stall_after=1"))
    await anext(chunks)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await anext(chunks)
    await until(lambda: simulator.journal.traffic[wire.name].cancelled == 1)


async def test_later_requests_use_the_connections_of_earlier_ones(provider, simulator, wire, ask):
    for _ in range(10):
        await collected(provider.stream(ask("m;length=5")))
    assert simulator.journal.traffic[wire.name].connections_opened == 1


async def test_a_refused_request_leaves_its_connection_for_the_next(provider, simulator, wire, ask):
    for _ in range(3):
        with pytest.raises(Exception, match="503"):
            await collected(provider.stream(ask("m;status=503")))
    assert simulator.journal.traffic[wire.name].connections_opened == 1


async def test_fifty_streams_at_a_time_share_a_bounded_number_of_connections(
    connect, simulator, wire, ask
):
    provider = connect(simulator.url, max_connections=20)

    async def converse(person: int) -> None:
        for message in range(4):
            words = f"message {message} of {person}"
            text, _, _ = await collected(provider.stream(ask("m;length=20", words)))
            assert words in text

    async with asyncio.TaskGroup() as people:
        for person in range(50):
            people.create_task(converse(person))
    traffic = simulator.journal.traffic[wire.name]
    assert traffic.requests == 200
    assert 1 < traffic.connections_opened <= 20


async def test_closing_the_adapter_closes_its_connections(connect, simulator, ask):
    provider = connect(simulator.url)
    await collected(provider.stream(ask("m")))
    assert simulator.journal.as_json()["connections"]["open"] == 1
    await provider.aclose()
    await until(lambda: simulator.journal.as_json()["connections"]["open"] == 0)
