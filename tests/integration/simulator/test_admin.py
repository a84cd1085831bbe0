import pytest

CHAT = "/p/v1/chat/completions"
ASKED = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


async def test_a_models_behaviour_is_set_shown_and_reset(http):
    async with http.put("/_sim/models/m", json={"length": 200}) as response:
        assert (await response.json())["length"] == 200
    async with http.get("/_sim/models") as response:
        assert list(await response.json()) == ["m"]
    async with http.post(CHAT, json=ASKED) as response:
        assert (await response.json())["usage"]["completion_tokens"] == 200
    async with http.delete("/_sim/models/m") as response:
        assert response.status == 204
    async with http.delete("/_sim/models/m") as response:
        assert response.status == 404
    async with http.post(CHAT, json=ASKED) as response:
        assert (await response.json())["usage"]["completion_tokens"] == 60


async def test_a_script_set_over_http_is_played_and_then_stays(http):
    script = {"script": [{"faults": [{"type": "status", "code": 503}]}], "then": {"length": 9}}
    async with http.put("/_sim/models/m", json=script) as response:
        assert response.status == 200
    statuses = []
    for _ in range(3):
        async with http.post(CHAT, json=ASKED) as response:
            statuses.append(response.status)
    assert statuses == [503, 200, 200]


@pytest.mark.parametrize("body", ["{", '{"lenght": 3}', '{"faults": [{"type": "meteor"}]}'])
async def test_a_setting_that_is_not_understood_is_refused(http, body):
    async with http.put("/_sim/models/m", data=body) as response:
        assert response.status == 400
        assert (await response.json())["error"]["message"]


async def test_requests_are_recorded_and_can_be_chosen(http):
    for provider, model in (("p", "m"), ("q", "m"), ("q", "n")):
        async with http.post(
            f"/{provider}/v1/chat/completions", json={**ASKED, "model": model}
        ) as response:
            text = (await response.json())["choices"][0]["message"]["content"]
    async with http.get("/_sim/requests", params={"provider": "q"}) as response:
        found = (await response.json())["data"]
    assert [(each["provider"], each["model"]) for each in found] == [("q", "m"), ("q", "n")]
    assert found[-1]["text"] == text
    assert found[-1]["user_messages"] == ["Hello"]
    assert (found[-1]["finish"], found[-1]["status"], found[-1]["sent_tokens"]) == ("stop", 200, 60)
    assert found[-1]["peer_port"] > 0
    async with http.get("/_sim/requests", params={"limit": 1}) as response:
        assert (await response.json())["data"] == found[-1:]
    async with http.get("/_sim/requests", params={"limit": "x"}) as response:
        assert response.status == 400


async def test_stats_count_by_provider_and_a_reset_clears_everything(http):
    await http.put("/_sim/models/m", json={"length": 9})
    async with http.post(CHAT, json=ASKED) as response:
        await response.read()
    async with http.get("/_sim/stats") as response:
        counted = await response.json()
    assert (counted["requests"], counted["tokens"]) == (1, 9)
    assert counted["providers"]["p"]["connections"] == {"opened": 1, "open": 1}
    assert counted["cpu_s"] > 0
    async with http.post("/_sim/reset") as response:
        assert response.status == 204
    async with http.get("/_sim/stats") as response:
        counted = await response.json()
    assert (counted["requests"], counted["tokens"]) == (0, 0)
    async with http.get("/_sim/requests") as response:
        assert (await response.json())["data"] == []
    async with http.get("/_sim/models") as response:
        assert await response.json() == {}


async def test_other_admin_paths_and_methods_are_refused(http):
    async with http.get("/_sim/nothing") as response:
        assert response.status == 404
    async with http.get("/_sim/models/m") as response:
        assert response.status == 405
