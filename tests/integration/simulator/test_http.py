import asyncio
import json

import aiohttp
import pytest

CHAT = "/p/v1/chat/completions"


def chat(model="m", *, stream=True):
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]}


async def stats(http):
    async with http.get("/_sim/stats") as response:
        return await response.json()


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (CHAT, b"{", None),
        (CHAT, b'{"model": "m"}', "messages"),
        (CHAT, b'{"model": "m", "messages": []}', "messages"),
        (CHAT, b'{"model": "m?typo=1", "messages": [{"role": "user", "content": "x"}]}', "model"),
        (CHAT, b"[]", "body"),
        ("/p/v1/responses", b'{"model": "m"}', "input"),
        ("/p/v1/responses", b'{"model": 3, "input": "x"}', "model"),
    ],
)
async def test_a_bad_openai_request_is_refused_in_its_shape(http, path, body, param):
    async with http.post(path, data=body) as response:
        error = (await response.json())["error"]
        assert response.status == 400
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


@pytest.mark.parametrize("body", [b"{", b"{}", b'{"contents": []}', b'{"contents": 3}'])
async def test_a_bad_gemini_request_is_refused_in_its_shape(http, body):
    async with http.post("/p/v1beta/models/m:generateContent", data=body) as response:
        error = (await response.json())["error"]
        assert response.status == 400
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")


async def test_gemini_streams_need_alt_sse_and_accept_snake_case(http):
    asked = {
        "contents": [{"parts": [{"text": "x"}]}],
        "generation_config": {"max_output_tokens": 2},
    }
    url = "/p/v1/models/m:streamGenerateContent"
    async with http.post(url, json=asked) as response:
        assert response.status == 400
    async with http.post(url, params={"alt": "sse"}, json=asked) as response:
        assert response.content_type == "text/event-stream"
        assert (await response.read()).count(b"data: ") == 3


@pytest.mark.parametrize(("google", "key"), [(True, "status"), (False, "type")])
async def test_an_unknown_route_is_not_found_in_the_callers_shape(http, google, key):
    headers = {"x-goog-api-key": "k"} if google else {}
    async with http.get("/p/v1/nothing", headers=headers) as response:
        assert response.status == 404
        assert key in (await response.json())["error"]


async def test_a_reset_comes_before_any_header(http, sim):
    with pytest.raises(aiohttp.ClientConnectionError):
        await http.post(CHAT, json=chat("m?reset_before_headers"))
    assert sim.journal.records[0].finish == "reset"
    assert sim.journal.records[0].status is None


async def test_a_page_comes_instead_of_an_answer(http):
    async with http.post(CHAT, json=chat("m?wrong_content_type")) as response:
        assert (response.status, response.content_type) == (200, "text/html")


@pytest.mark.parametrize("fault", ["silence", "stall_after=3", "tokens_per_s=0.01"])
async def test_a_client_that_leaves_midway_is_noticed_and_counted(http, sim, until, fault):
    task = asyncio.create_task(http.post(CHAT, json=chat(f"m?{fault}")))
    await until(lambda: sim.journal.records)
    record = sim.journal.records[0]
    if fault != "silence":
        response = await task
        await until(lambda: record.sent_tokens == (3 if "stall" in fault else 1))
        assert (await stats(http))["in_progress"] == 1
        response.close()
    else:
        task.cancel()
    await until(lambda: record.finish == "cancelled")
    counted = await stats(http)
    assert (counted["cancelled"], counted["in_progress"]) == (1, 0)


async def test_a_client_that_stops_reading_holds_the_stream_back(sim, http, until):
    async with http.post(CHAT, json=chat("m?length=300000")) as response:
        record = sim.journal.records[0]
        seen = -1
        async with asyncio.timeout(5):
            while record.sent_tokens != seen:
                seen = record.sent_tokens
                await asyncio.sleep(0.1)
        assert 0 < seen < 300_000
        assert record.finish is None
        response.close()
    await until(lambda: record.finish == "cancelled")


@pytest.mark.parametrize("fault", ["malformed_after=3", "eof_after=3"])
async def test_a_broken_whole_answer_is_no_json(http, fault):
    async with http.post(CHAT, json=chat(f"m?{fault}", stream=False)) as response:
        body = await response.text()
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


async def test_a_whole_answer_without_end_marker_has_no_finish(http):
    async with http.post(CHAT, json=chat("m?no_end_marker", stream=False)) as response:
        assert (await response.json())["choices"][0]["finish_reason"] is None


async def test_a_whole_answer_with_an_error_midway_is_an_http_error(http, sim):
    model = "m?error_in_stream_after=3"
    async with http.post(CHAT, json=chat(model, stream=False)) as response:
        assert response.status == 503
    assert sim.journal.records[0].finish == "refused"


async def test_a_whole_answer_is_cut_or_stalls_halfway(http, sim, until):
    async with http.post(CHAT, json=chat("m?cut_after=3", stream=False)) as response:
        with pytest.raises(aiohttp.ClientError):
            await response.read()
    async with http.post(CHAT, json=chat("m?stall_after=3", stream=False)) as response:
        assert await response.content.readany()
        assert sim.journal.records[1].finish is None
    await until(lambda: sim.journal.records[1].finish == "cancelled")


async def test_an_empty_answer_is_a_complete_stream(http):
    asked = {"model": "m?length=0", "stream": True, "messages": [{"role": "system", "content": ""}]}
    async with http.post(CHAT, json=asked) as response:
        body = await response.text()
    assert body.endswith("data: [DONE]\n\n")
    assert body.count("data: ") == 3
