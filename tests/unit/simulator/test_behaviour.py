import pytest

from simulator.behaviour import (
    Behaviour,
    BehaviourBook,
    BehaviourError,
    Script,
    parse_setting,
    split_model,
)
from simulator.faults import CutAfter, Silence, Status


@pytest.mark.parametrize(
    "written",
    [
        "m?length=200&first_token_s=0.2&tokens_per_s=50",
        "m;length=200;first_token_s=0.2;tokens_per_s=50",
        "m%3Flength%3D200%26first_token_s%3D0.2%26tokens_per_s%3D50",
    ],
)
def test_a_models_suffix_is_its_behaviour_in_every_spelling(written):
    name, behaviour = split_model(written)
    assert name == "m"
    assert behaviour == Behaviour(length=200, first_token_s=0.2, tokens_per_s=50)


def test_a_models_name_without_suffix_says_nothing():
    assert split_model("org/model:7b") == ("org/model:7b", Behaviour())


def test_faults_are_written_by_their_type():
    _, behaviour = split_model("m?status=503&retry_after_s=2.5&silence&cut_after=3")
    assert behaviour.faults == (
        Status(code=503, retry_after_s=2.5),
        Silence(),
        CutAfter(tokens=3),
    )


@pytest.mark.parametrize(
    "written", ["m?lenght=3", "m?length=x", "m?silence=3", "m?cut_after", "m?retry_after_s=3"]
)
def test_a_typo_in_a_suffix_is_refused(written):
    with pytest.raises(BehaviourError):
        split_model(written)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"lenght": 3}, "lenght"),
        ({"faults": [{"type": "cut_after", "token": 3}]}, "faults.0.cut_after"),
        ({"faults": [{"type": "meteor"}]}, "faults.0"),
        ({"script": [{"speed": 1}]}, "script.0.speed"),
        ([], "behaviour"),
    ],
)
def test_a_typo_in_a_setting_is_refused_by_its_place(value, where):
    with pytest.raises(BehaviourError, match=where.replace(".", r"\.")):
        parse_setting(value)


def test_what_is_said_more_closely_counts_and_the_rest_stays():
    book = BehaviourBook(Behaviour(length=10, tokens_per_s=5))
    book.put("m", Behaviour(length=20))
    assert book.take("p", "m?first_token_s=1") == (
        "m",
        Behaviour(length=20, tokens_per_s=5, first_token_s=1),
    )


def test_a_request_can_set_a_default_again():
    book = BehaviourBook(Behaviour(length=10))
    book.put("m", Behaviour(length=20))
    usual = Behaviour().length
    assert book.take("p", f"m?length={usual}")[1].length == usual


def test_the_closest_setting_counts():
    book = BehaviourBook(Behaviour())
    for length, name in enumerate(("*", "p/*", "m", "p/m"), start=1):
        book.put(name, Behaviour(length=length))
    lengths = [book.take(*asked)[1].length for asked in (("q", "n"), ("p", "n"), ("q", "m"))]
    assert [*lengths, book.take("p", "m")[1].length] == [1, 2, 3, 4]


def test_a_script_is_consumed_one_a_request_and_then_stays():
    book = BehaviourBook(Behaviour())
    one, two, last = Behaviour(length=1), Behaviour(length=2), Behaviour(length=3)
    book.put("m", Script(script=(one, two), then=last))
    assert [book.take("p", "m")[1].length for _ in range(4)] == [1, 2, 3, 3]


def test_a_script_set_again_begins_again():
    book = BehaviourBook(Behaviour())
    script = parse_setting({"script": [{"length": 1}]})
    for _ in range(2):
        book.put("m", script)
        assert book.take("p", "m")[1].length == 1


def test_removed_and_cleared_settings_are_forgotten():
    book = BehaviourBook(Behaviour())
    book.put("m", Behaviour(length=1))
    assert book.remove("m")
    assert not book.remove("m")
    book.put("m", Behaviour(length=1))
    book.clear()
    assert book.take("p", "m")[1] == Behaviour()
    assert not book.settings
