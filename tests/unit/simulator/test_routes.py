import pytest

from simulator.routes import Route, find_route, find_wire
from simulator.wire import ProblemError


@pytest.mark.parametrize(
    ("path", "google", "name"),
    [
        ("/p/v1/chat/completions", False, "openai.chat"),
        ("/p/v1/responses", False, "openai.responses"),
        ("/p/v1/models", False, "openai.chat"),
        ("/p/v1/models", True, "gemini"),
        ("/p/v1beta/models", False, "gemini"),
        ("/p/v1/models/m:generateContent", False, "gemini"),
    ],
)
def test_a_path_is_spoken_to_in_its_wire(path, google, name):
    assert find_wire(path, google=google).name == name


def test_a_models_name_may_hold_slashes_and_colons():
    path = "/p/v1beta/models/org/m:7b?length=3:streamGenerateContent"
    assert find_route("POST", path, alt="sse") == Route(
        kind="generation", provider="p", name="org/m:7b?length=3", streamed=True
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/p"),
        ("GET", "/p/v2/models"),
        ("GET", "/p/v1/chat/completions"),
        ("POST", "/p/v1beta/chat/completions"),
        ("POST", "/p/v1/models/m:countTokens"),
        ("POST", "/p/v1/embeddings"),
    ],
)
def test_other_paths_are_unknown(method, path):
    with pytest.raises(ProblemError) as refused:
        find_route(method, path, alt=None)
    assert refused.value.problem.status == 404


def test_gemini_streams_are_server_sent_events_only():
    with pytest.raises(ProblemError, match="alt=sse"):
        find_route("POST", "/p/v1/models/m:streamGenerateContent", alt=None)
