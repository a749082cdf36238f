"""Where settings come from, which of them wins, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from stack.config import (
    MASK,
    SETTINGS,
    ConfigError,
    is_loopback,
    load,
    require_safe_listener,
    secrets_of,
    shown,
)
from stack.providers.tools.settings import OAuthSettings, ToolGroupSettings
from stack.settings import ApiKey, Settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings file of the working directory counts."""
    monkeypatch.chdir(tmp_path)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_defaults_need_nothing() -> None:
    loaded = load({}, {})
    assert loaded.settings.port == 8321
    assert loaded.settings.host == "127.0.0.1"
    assert loaded.settings.data == Path.home() / ".replaystack"
    assert set(loaded.origins.values()) == {"default"}


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    file = write(tmp_path / "replaystack.toml", "port = 1\nhold_back_ms = 2\nkeep_alive_s = 3")
    environ = {"REPLAYSTACK_PORT": "4", "REPLAYSTACK_HOLD_BACK_MS": "5"}
    loaded = load({"port": "6", "host": None}, environ)
    settings = loaded.settings
    assert (settings.port, settings.hold_back_ms, settings.keep_alive_s) == (6, 5, 3.0)
    assert loaded.origins["port"] == "--port"
    assert loaded.origins["hold_back_ms"] == "REPLAYSTACK_HOLD_BACK_MS"
    assert loaded.origins["keep_alive_s"] == file.name
    assert loaded.origins["host"] == "default"


def test_the_file_is_named_by_flag_then_variable(tmp_path: Path) -> None:
    write(tmp_path / "replaystack.toml", "port = 1")
    second = write(tmp_path / "b.toml", "port = 2")
    third = write(tmp_path / "c.toml", "port = 3")
    environ = {"REPLAYSTACK_CONFIG": str(second)}
    assert load({}, {}).settings.port == 1
    assert load({}, environ).settings.port == 2
    assert load({}, environ, third).settings.port == 3


def test_a_file_means_paths_beside_itself(tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    file = write(folder / "r.toml", 'data = "store"')
    assert load({}, {}, file).settings.data == folder / "store"
    assert load({"data": "store"}, {}, file).settings.data == tmp_path / "store"
    write(file, 'dataset_roots = ["rows", "/srv/rows", "~/rows"]')
    roots = [folder / "rows", Path("/srv/rows"), Path("~/rows").expanduser()]
    assert load({}, {}, file).settings.dataset_roots == roots
    environ = {"REPLAYSTACK_DATASET_ROOTS": "rows, /srv/rows"}
    assert load({}, environ, file).settings.dataset_roots == [tmp_path / "rows", Path("/srv/rows")]


def test_everything_can_be_written_in_toml(tmp_path: Path) -> None:
    file = write(
        tmp_path / "all.toml",
        """
        allowed_hosts = ["a.example"]
        discover_models = false
        log_level = "debug"
        [[api_keys]]
        name = "ada"
        key = "ada-secret"
        [[inference]]
        id = "vllm"
        base_url = "http://127.0.0.1:8000/v1"
        api_key = "sk-secret"
        """,
    )
    settings = load({}, {}, file).settings
    assert settings.api_keys == [ApiKey("ada", "ada-secret")]
    assert settings.inference[0].base_url == "http://127.0.0.1:8000/v1"
    assert settings.discover_models is False
    assert settings.log_level == "debug"


def test_lists_and_keys_from_the_environment() -> None:
    environ = {
        "REPLAYSTACK_ALLOWED_HOSTS": "a.example, b.example",
        "REPLAYSTACK_API_KEYS": "ada:secret:with:colons,bob:bob-secret",
        "REPLAYSTACK_INFERENCE": '[{"id": "x", "base_url": "http://localhost:1/v1"}]',
        "REPLAYSTACK_ALLOW_OPEN": "true",
    }
    settings = load({}, environ).settings
    assert settings.allowed_hosts == ["a.example", "b.example"]
    assert settings.api_keys == [ApiKey("ada", "secret:with:colons"), ApiKey("bob", "bob-secret")]
    assert settings.inference[0].id == "x"
    assert settings.allow_open is True


def test_standard_variables_of_openai() -> None:
    environ = {"OPENAI_BASE_URL": "http://localhost:1/v1", "OPENAI_API_KEY": "sk-standard"}
    loaded = load({}, environ)
    assert loaded.settings.openai_base_url == "http://localhost:1/v1"
    assert loaded.origins["openai_api_key"] == "OPENAI_API_KEY"
    ours = load({}, {**environ, "REPLAYSTACK_OPENAI_API_KEY": "sk-ours"})
    assert ours.settings.openai_api_key == "sk-ours"
    assert ours.origins["openai_api_key"] == "REPLAYSTACK_OPENAI_API_KEY"


def test_an_empty_variable_is_unset() -> None:
    assert load({}, {"REPLAYSTACK_PORT": "", "REPLAYSTACK_CONFIG": ""}).settings.port == 8321


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"REPLAYSTACK_PROT": "1"}, "REPLAYSTACK_PORT"),
        ({"REPLAYSTACK_CONFG": "x"}, "REPLAYSTACK_CONFIG"),
        ({"REPLAYSTACK_PORT": "many"}, "from REPLAYSTACK_PORT"),
        ({"REPLAYSTACK_PORT": "65536"}, "<= 65535"),
        ({"REPLAYSTACK_TURN_DEADLINE_S": "0"}, "turn_deadline_s"),
        ({"REPLAYSTACK_TURN_DEADLINE_S": "nan"}, "turn_deadline_s"),
        ({"REPLAYSTACK_ALLOW_OPEN": "perhaps"}, "allow_open"),
        ({"REPLAYSTACK_LOG_LEVEL": "loud"}, "debug, info, warning, error"),
        ({"REPLAYSTACK_API_KEYS": "no-colon-here"}, "name:key"),
        ({"REPLAYSTACK_API_KEYS": "ada:short"}, "length >= 8"),
        ({"REPLAYSTACK_API_KEYS": "admin:12345678"}, "reserved"),
        ({"REPLAYSTACK_API_KEYS": "a:12345678,b:12345678"}, "unique"),
        ({"REPLAYSTACK_API_KEYS": "a:12345678,a:87654321"}, "unique"),
        ({"REPLAYSTACK_INFERENCE": '[{"id": "demo", "base_url": "http://localhost/v1"}]'}, "demo"),
        ({"REPLAYSTACK_INFERENCE": '[{"id": "x", "base_url": "http://localhost", "api_kye": "secret-1"}]'}, "api_kye"),
        ({"REPLAYSTACK_INFERENCE": "[{]"}, "from REPLAYSTACK_INFERENCE"),
        ({"REPLAYSTACK_VIEW_LINGER_MS": "200"}, "view_linger_max_ms"),
        ({"REPLAYSTACK_ALLOWED_ORIGINS": "app.example"}, "https://name"),
        ({"REPLAYSTACK_CONFIG": "/nowhere/r.toml"}, "/nowhere/r.toml"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_and_named(environ: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load({}, environ)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot = 1", "'port'"),
        ('port = "8321x"', "from "),
        ("port = 'x", "not valid TOML"),
        ("port = true", "`int`"),
        ("[inference]\nid = 'x'", "`array`"),
        ("[server]\nport = 1", "unknown setting 'server'"),
    ],
)
def test_a_wrong_file_is_refused_and_named(tmp_path: Path, text: str, words: str) -> None:
    file = write(tmp_path / "wrong.toml", text)
    with pytest.raises(ConfigError) as raised:
        load({}, {}, file)
    assert words in str(raised.value)
    assert "wrong.toml" in str(raised.value)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    for path in (tmp_path, tmp_path / "binary.toml", tmp_path / "missing.toml"):
        with pytest.raises(ConfigError, match="Cannot read"):
            load({}, {}, path)


def test_no_error_shows_a_secret() -> None:
    for environ in (
        {"REPLAYSTACK_API_KEYS": "sk-top-secret"},
        {"REPLAYSTACK_INFERENCE": '[{"id": 1, "api_key": "sk-top-secret"}]'},
    ):
        with pytest.raises(ConfigError) as raised:
            load({}, environ)
        assert "sk-top-secret" not in str(raised.value)


def test_shown_values_are_masked() -> None:
    environ = {
        "OPENAI_API_KEY": "sk-top-secret",
        "OPENAI_BASE_URL": "http://user:sk-top-secret@localhost/v1",
        "REPLAYSTACK_API_KEYS": "ada:sk-top-secret",
        "REPLAYSTACK_INFERENCE": '[{"id": "x", "base_url": "http://u:sk-top-secret@localhost/v1",'
        ' "api_key": "sk-top-secret", "headers": {"x-key": "sk-top-secret"}}]',
    }
    settings = load({}, environ).settings
    all_shown = {name: shown(getattr(settings, name), SETTINGS[name].secret) for name in SETTINGS}
    text = msgspec.json.encode(all_shown).decode()
    assert "sk-top-secret" not in text
    assert MASK in text
    assert "ada" in text
    assert set(secrets_of(settings)) == {"sk-top-secret"}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "LOCALHOST.", "::1"])
def test_loopback_needs_no_key(host: str) -> None:
    assert is_loopback(host)
    require_safe_listener(Settings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "agents.example", ""])
def test_other_addresses_need_a_key_or_the_word(host: str) -> None:
    with pytest.raises(ConfigError, match="--allow-open"):
        require_safe_listener(Settings(host=host))
    require_safe_listener(Settings(host=host, allow_open=True))
    require_safe_listener(Settings(host=host, api_keys=[ApiKey("ada", "ada-secret")]))


def test_each_setting_is_described() -> None:
    for setting in SETTINGS.values():
        assert setting.description.endswith("."), setting.name
        assert "\n" not in setting.description
    secret_flags: list[Any] = [
        setting.name for setting in SETTINGS.values() if setting.secret and setting.flag
    ]
    assert secret_flags == []


def test_secrets_of_mcp_servers_are_masked() -> None:
    server = ToolGroupSettings(
        id="mcp::a",
        url="https://user:hidden-password@mcp.example/x?key=hidden-query",
        headers={"Authorization": "Bearer hidden-header"},
        oauth=OAuthSettings(grant="client_credentials", client_id="id", client_secret="hidden-secret"),
    )
    process = ToolGroupSettings(id="mcp::b", command=["server"], env={"KEY": "hidden-variable"})
    settings = Settings(toolgroups=[server, process])
    assert "hidden" not in str(shown(settings.toolgroups))
    assert {"Bearer hidden-header", "hidden-secret", "hidden-variable"} <= set(secrets_of(settings))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "command"),
        ({"command": ["a"], "url": "https://a"}, "not for a server that is a `command`"),
        ({"command": ["a"], "cwd": "relative"}, "absolute"),
        ({"url": "https://a", "env": {"A": "b"}}, "env"),
        ({"url": "ftp://a"}, "url"),
        ({"oauth": {"grant": "client_credentials"}, "url": "https://a"}, "client_secret"),
    ],
)
def test_an_mcp_server_is_a_command_or_a_url(table: dict[str, Any], said: str) -> None:
    variable = msgspec.json.encode([{"id": "mcp::a", **table}]).decode()
    with pytest.raises(ConfigError, match="toolgroups") as refused:
        load(environ={"REPLAYSTACK_TOOLGROUPS": variable})
    assert said in str(refused.value)
