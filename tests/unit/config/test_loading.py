"""Configuration: which layer wins, what is refused and how that is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from config.loading import DIRECTORY, ConfigurationError, load, masked
from config.settings import DEVELOPMENT_KEY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from config.settings import Settings

KEYS = {"GEMINI_API_KEY": "g-key", "OPENAI_API_KEY": "o-key"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped files, to be edited."""
    for file in DIRECTORY.glob("*.yaml"):
        (tmp_path / file.name).write_text(file.read_text())
    return tmp_path


@pytest.fixture
def refusal(folder: Path) -> Callable[..., str]:
    def load_and_fail(**environ: str) -> str:
        with pytest.raises(ConfigurationError) as raised:
            load(environ, folder)
        return str(raised.value)

    return load_and_fail


def edit(file: Path, **sections: object) -> None:
    file.write_text(yaml.safe_dump((yaml.safe_load(file.read_text()) or {}) | sections))


def key_of(settings: Settings, provider: str) -> str | None:
    key = settings.providers[provider].api_key
    return None if key is None else key.get_secret_value()


def test_the_shipped_files_load_without_any_variable() -> None:
    settings = load({})
    assert settings.environment == "development"
    assert settings.simulated_providers == ("gemini", "openai")


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_the_shipped_files_of_every_environment_load_with_keys(environment: str) -> None:
    settings = load({"PARLEY_ENV": environment, **KEYS})
    assert settings.environment == environment
    assert settings.simulated_providers == ()


def test_later_layers_win(folder: Path, tmp_path: Path) -> None:
    edit(folder / "base.yaml", http={"port": 1001, "max_text_chars": 1001, "hello_timeout_s": 1})
    edit(folder / "development.yaml", http={"port": 1002, "max_text_chars": 1002})
    extra = tmp_path / "extra"
    extra.write_text("http: {port: 1003}")
    environ: dict[str, str] = {}
    assert load(environ, folder).http.port == 1002
    environ["PARLEY_CONFIG"] = str(extra)
    assert load(environ, folder).http.port == 1003
    environ["PARLEY__HTTP__PORT"] = "1004"
    http = load(environ, folder).http
    assert (http.port, http.max_text_chars, http.hello_timeout_s) == (1004, 1002, 1)


def test_mappings_merge_and_lists_are_replaced(folder: Path) -> None:
    edit(folder / "base.yaml", http={"port": 1001, "origins": ["https://a", "https://b"]})
    edit(folder / "development.yaml", http={"origins": ["https://c"]})
    http = load({}, folder).http
    assert (http.port, http.origins) == (1001, ("https://c",))


def test_a_null_removes_an_agent(folder: Path) -> None:
    gemini = yaml.safe_load((folder / "agents.yaml").read_text())["agents"]["gemini"]
    edit(folder / "development.yaml", agents={"gpt": None, "gemini": gemini | {"fallbacks": []}})
    assert list(load({}, folder).agents) == ["gemini"]


def test_an_absent_variable_in_a_file_is_null_and_a_present_one_its_value() -> None:
    assert key_of(load({}), "openai") is None
    assert key_of(load({"OPENAI_API_KEY": ""}), "openai") is None
    assert key_of(load(KEYS), "openai") == "o-key"


def test_a_variable_inside_a_text_is_filled_in(folder: Path) -> None:
    edit(folder / "development.yaml", state_dir="/var/${NAME}/parley")
    assert load({"NAME": "x"}, folder).state_dir == "/var/x/parley"
    assert load({}, folder).state_dir == "/var//parley"


def test_short_names_of_the_environment_reach_their_settings() -> None:
    settings = load(
        {"REDIS_URL": "redis://r", "DATABASE_URL": "postgresql://d", "PARLEY_BOOTSTRAP_KEY": "k"}
    )
    secrets = (settings.redis.url, settings.database.url, settings.auth.bootstrap_key)
    assert [s and s.get_secret_value() for s in secrets] == ["redis://r", "postgresql://d", "k"]


def test_a_variable_of_the_environment_may_hold_a_list() -> None:
    settings = load({"PARLEY__HTTP__ORIGINS": "[https://a, https://b]"})
    assert settings.http.origins == ("https://a", "https://b")


def test_a_number_is_taken_as_text_where_text_is_wanted() -> None:
    settings = load({"PARLEY__PROVIDERS__OPENAI__API_KEY": "123"})
    assert key_of(settings, "openai") == "123"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load({}).http.port = 1  # type: ignore[misc]


def test_an_unknown_environment_is_refused(refusal: Callable[..., str]) -> None:
    assert refusal(PARLEY_ENV="prod").startswith("PARLEY_ENV is 'prod'")


def test_an_unknown_key_is_refused_naming_file_and_path(
    folder: Path, refusal: Callable[..., str]
) -> None:
    edit(folder / "development.yaml", http={"prot": 1})
    assert refusal() == f"{folder / 'development.yaml'}: http.prot: is not a known setting"


def test_an_unknown_key_of_the_environment_is_refused(refusal: Callable[..., str]) -> None:
    assert refusal(PARLEY__HTTP__PROT="1") == "the environment: http.prot: is not a known setting"


def test_a_bad_value_is_refused_naming_the_layer_that_gave_it(
    folder: Path, refusal: Callable[..., str]
) -> None:
    edit(folder / "base.yaml", http={"port": 1})
    edit(folder / "development.yaml", http={"port": "many"})
    sentence = refusal()
    assert sentence.startswith(f"{folder / 'development.yaml'}: http.port: ")
    assert "valid integer" in sentence


def test_a_missing_value_is_refused(folder: Path, refusal: Callable[..., str]) -> None:
    tree = yaml.safe_load((folder / "base.yaml").read_text())
    del tree["routing"]
    (folder / "base.yaml").write_text(yaml.safe_dump(tree))
    assert refusal().endswith("routing: Field required")


def test_a_missing_file_is_refused(refusal: Callable[..., str]) -> None:
    assert (
        refusal(PARLEY_CONFIG="/no/such") == "/no/such: cannot be read: No such file or directory"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [", "is not YAML"),
        ("- a", "must hold a mapping of sections"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(
    folder: Path, refusal: Callable[..., str], text: str, problem: str
) -> None:
    (folder / "rules.yaml").write_text(text)
    assert refusal().startswith(f"{folder / 'rules.yaml'}: {problem}")


def test_an_empty_file_says_nothing(folder: Path) -> None:
    (folder / "rules.yaml").write_text("")
    assert load({}, folder).rules == ()


@pytest.mark.parametrize(
    "variable",
    [{"PARLEY__HTTP__PORT": "["}, {"PARLEY__STATE_DIR": "x", "PARLEY__STATE_DIR__A": "1"}],
)
def test_a_variable_that_cannot_be_set_is_refused(
    refusal: Callable[..., str], variable: dict[str, str]
) -> None:
    assert "cannot be set to" in refusal(**variable)


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_a_missing_provider_key_stops_all_but_development(
    refusal: Callable[..., str], environment: str
) -> None:
    sentence = refusal(PARLEY_ENV=environment, OPENAI_API_KEY="o")
    assert f"providers.gemini.api_key: is missing, and {environment} needs it" in sentence


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_the_development_key_is_refused_elsewhere(
    refusal: Callable[..., str], environment: str
) -> None:
    sentence = refusal(PARLEY_ENV=environment, PARLEY_BOOTSTRAP_KEY=DEVELOPMENT_KEY, **KEYS)
    assert "auth.bootstrap_key" in sentence
    assert f"{environment} refuses the development key" in sentence


def test_the_development_key_is_that_of_development() -> None:
    key = load({}).auth.bootstrap_key
    assert key is not None
    assert key.get_secret_value() == DEVELOPMENT_KEY


@pytest.mark.parametrize(
    ("section", "path", "problem"),
    [
        ({"routing": {"default": "nobody"}}, "routing.default", "no agent 'nobody'"),
        ({"rules": [{"name": "r", "when": "true", "agent": "x"}]}, "rules.0.agent", "no agent 'x'"),
        ({"agents": {"gpt": {"provider": "x"}}}, "agents.gpt.provider", "no provider 'x'"),
        ({"agents": {"gpt": {"fallbacks": ["x"]}}}, "agents.gpt.fallbacks", "no agent 'x'"),
        ({"agents": {"gpt": {"fallbacks": ["gpt"]}}}, "agents.gpt.fallbacks", "no agent 'gpt'"),
        (
            {"agents": {"auto": {"provider": "openai", "model": "m"}}},
            "agents.auto",
            "the name 'auto' means routing by the rules",
        ),
        (
            {"boxes": {"context": {"scaling": {"min": 5, "max": 2}}}},
            "boxes.context.scaling",
            "min is greater than max",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(
    folder: Path, refusal: Callable[..., str], section: dict[str, object], path: str, problem: str
) -> None:
    edit(folder / "development.yaml", **section)
    assert refusal() == f"{folder / 'development.yaml'}: {path}: {problem}"


def test_the_masked_settings_hold_no_secret() -> None:
    settings = load({"REDIS_URL": "redis://:hush@r", "PARLEY_BOOTSTRAP_KEY": "whisper", **KEYS})
    shown = yaml.safe_dump(masked(settings))
    assert "********" in shown
    for secret in ("hush", "whisper", "g-key", "o-key"):
        assert secret not in shown


def test_the_masked_settings_show_absent_secrets_as_absent() -> None:
    assert masked(load({}))["redis"]["url"] is None
