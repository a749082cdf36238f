"""The commands as a user runs them: real processes, with a server on the data folder and without one."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.cli import COMMANDS
from stack.data_folder import DataFolder
from stack.version import VERSION
from tests.cli.folders import clean_environment, converse, replaystack, served, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recorded conversation and no server. Tests leave it as it is."""
    data = tmp_path_factory.mktemp("folder")
    with served(data) as connection:
        converse(connection)
    return data


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that a server works on."""
    data = tmp_path_factory.mktemp("busy")
    with served(data) as connection:
        converse(connection)
        yield data


def told(result: subprocess.CompletedProcess[str]) -> str:
    """Returns the output of a command that succeeded."""
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def refused(result: subprocess.CompletedProcess[str]) -> str:
    """Returns the error text of a command that failed without a traceback."""
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    return result.stderr


def test_help_names_every_command_and_loads_no_server() -> None:
    text = told(replaystack("--help"))
    assert all(f"  {name} " in text for name in COMMANDS)
    probe = "import sys; from stack.cli import main; main(['--help'], standalone_mode=False); "
    probe += "print('LOADED', [m for m in ('litestar', 'duckdb', 'msgspec', 'uvicorn') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", probe], env=clean_environment(), capture_output=True, text=True
    )
    assert "LOADED []" in done.stdout, done.stderr


def test_version() -> None:
    assert VERSION in told(replaystack("--version"))


def test_every_command_explains_itself() -> None:
    for name in COMMANDS:
        assert "Usage" in told(replaystack(name, "--help"))


def test_a_misspelt_command_is_named() -> None:
    assert "'serve'" in refused(replaystack("srve"))


def test_config_show_tells_values_and_origins(tmp_path: Path) -> None:
    (tmp_path / "replaystack.toml").write_text("keep_alive_s = 7")
    environ = {"REPLAYSTACK_HOLD_BACK_MS": "9", "OPENAI_API_KEY": "sk-very-secret"}
    shown = json.loads(told(replaystack("config", "show", "--json", "--port", "1", cwd=tmp_path, **environ)))
    assert shown["port"] == shown["port"] | {"value": 1, "origin": "--port"}
    assert shown["hold_back_ms"] == shown["hold_back_ms"] | {"value": 9, "origin": "REPLAYSTACK_HOLD_BACK_MS"}
    assert shown["keep_alive_s"] == shown["keep_alive_s"] | {"value": 7.0, "origin": "replaystack.toml"}
    assert shown["openai_api_key"]["origin"] == "OPENAI_API_KEY"
    text = told(replaystack("config", "show", cwd=tmp_path, **environ))
    assert "sk-very-secret" not in text + json.dumps(shown)
    assert "default" in text


def test_wrong_settings_are_refused_in_words(tmp_path: Path) -> None:
    assert "REPLAYSTACK_PORT" in refused(replaystack("config", "show", REPLAYSTACK_PROT="1"))
    (tmp_path / "replaystack.toml").write_text("prot = 1")
    assert "'port'" in refused(replaystack("serve", cwd=tmp_path))


def test_serve_refuses_an_open_listener(tmp_path: Path) -> None:
    result = replaystack("serve", "--data", tmp_path, "--host", "0.0.0.0", "--port", "0")
    assert "--allow-open" in refused(result)


def test_serve_announces_answers_and_stops_in_order(tmp_path: Path) -> None:
    data, out, log = tmp_path / "data", tmp_path / "out", tmp_path / "log"
    arguments = ["serve", "--data", str(data), "--port", "0", "--no-discover-models"]
    with out.open("w") as stdout, log.open("w") as stderr:
        process = subprocess.Popen([sys.executable, "-m", "stack.cli", *arguments], env=clean_environment(), stdout=stdout, stderr=stderr)  # fmt: skip
        try:
            assert str(data) in wait_for(out, "Ctrl-C")
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
    assert "demo (lexical, no language model)" in out.read_text()
    assert not (data / "server.json").exists()
    for line in log.read_text().splitlines():
        assert set(json.loads(line)) >= {"at", "level", "logger", "message"}


def test_a_second_server_on_a_folder_is_refused(busy: Path) -> None:
    assert str(busy) in refused(replaystack("serve", "--data", busy, "--port", "0"))


def test_verify_of_a_folder(folder: Path, busy: Path) -> None:
    for data, is_served in ((folder, False), (busy, True)):
        report = json.loads(told(replaystack("verify", "--data", data, "--json")))
        assert report["ok"] and report["problems"] == []
        assert report["view"] == {"position": report["head"], "of_this_log": True, "served": is_served}
        assert f"head {report['head']}" in told(replaystack("verify", "--data", data))


def test_verify_tells_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    told(replaystack("backup", copy, "--data", folder))
    log = copy / "events.sqlite"
    log.write_bytes(log.read_bytes().replace(b"harbour opens at ten", b"harbour opens at six"))
    result = replaystack("verify", "--data", copy)
    assert result.returncode == 1
    assert "not what was backed up" in result.stdout


def test_backup_can_be_served(folder: Path, busy: Path, tmp_path: Path) -> None:
    for number, data in enumerate((folder, busy)):
        target = tmp_path / f"backup{number}"
        assert str(target) in told(replaystack("backup", target, "--data", data))
        assert "Nothing is missing" in told(replaystack("verify", "--data", target))
        assert "not an empty folder" in refused(replaystack("backup", target, "--data", data))
        with served(target) as connection:
            assert len(connection.ask("GET", "/v1alpha/agents")["data"]) == 1


def test_an_interrupted_backup_is_refused_and_can_be_repeated(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "interrupted"
    told(replaystack("backup", target, "--data", folder))
    (target / "manifest.json").unlink()
    (target / "backup.incomplete").touch()
    for arguments in (("serve", "--port", "0"), ("rebuild",)):
        said = refused(replaystack(*arguments, "--data", target))
        assert "is incomplete" in said and "replaystack backup" in said
    verified = replaystack("verify", "--data", target)
    assert verified.returncode == 1 and "is incomplete" in verified.stdout
    examined = replaystack("doctor", "--json", "--data", target)
    log = checks(examined)["log"]
    assert examined.returncode == 1 and "is incomplete" in log["detail"] and "again" in log["remedy"]
    told(replaystack("backup", target, "--data", folder))
    assert "Nothing is missing" in told(replaystack("verify", "--data", target))
    with served(target) as connection:
        assert len(connection.ask("GET", "/v1alpha/agents")["data"]) == 1
    assert replaystack("verify", "--data", target).returncode == 0


def test_rebuild_here_and_by_the_server(folder: Path, busy: Path) -> None:
    assert "Rebuilt here" in told(replaystack("rebuild", "--data", folder))
    assert "by the running server" in told(replaystack("rebuild", "--data", busy))


def test_a_folder_without_a_log_is_named(tmp_path: Path) -> None:
    for arguments in (("verify",), ("rebuild",), ("backup", tmp_path / "target")):
        message = refused(replaystack(*arguments, "--data", tmp_path / "nothing"))
        assert "no event log" in message
    assert not (tmp_path / "nothing").exists()


def checks(result: subprocess.CompletedProcess[str]) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in json.loads(result.stdout)["checks"]}


def test_doctor_of_a_healthy_folder(folder: Path, busy: Path) -> None:
    for data in (folder, busy):
        result = replaystack(
            "doctor", "--data", data, "--port", "0", "--json", REPLAYSTACK_DISCOVER_MODELS="0"
        )
        assert json.loads(told(result))["healthy"]
        found = checks(result)
        assert {"server", "data", "space", "log", "view", "models: demo", "versions"} <= set(found)
        assert all(check.get("remedy") for check in found.values() if check["state"] != "ok")


def test_doctor_finds_problems_and_names_remedies(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        environ = {
            "REPLAYSTACK_DISCOVER_MODELS": "0",
            "REPLAYSTACK_INFERENCE": '[{"id": "gone", "base_url": "http://127.0.0.1:1/v1"}]',
        }
        result = replaystack("doctor", "--data", tmp_path, "--port", str(port), "--json", **environ)
    assert result.returncode == 1
    found = checks(result)
    problems = {name for name, check in found.items() if check["state"] == "problem"}
    assert problems == {"port", "models: gone"}
    assert all(found[name]["remedy"] for name in problems)


@pytest.mark.parametrize("left_over", [False, True])
def test_doctor_says_that_a_server_starts(tmp_path: Path, left_over: bool) -> None:
    """This process holds the folder, as a server does that does not answer yet; the one before was killed."""
    if left_over:
        (tmp_path / "server.json").write_text('{"pid": 1, "url": "http://127.0.0.1:1", "token": "x"}')
    folder = DataFolder(tmp_path)
    try:
        result = replaystack("doctor", "--data", tmp_path, "--json")
        assert json.loads(told(result))["healthy"]
        server = checks(result)["server"]
        assert server["state"] == "warning" and "starting" in server["detail"] and server["remedy"]
        assert not {"log", "view", "port"} & set(checks(result))
        listed = replaystack("traces", "--data", tmp_path)
        assert listed.returncode == 1 and "starting" in listed.stderr
    finally:
        folder.close()
    assert (
        checks(replaystack("doctor", "--data", tmp_path, "--port", "0", "--json"))["server"]["state"] == "ok"
    )


def test_doctor_survives_a_damaged_log(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "events.sqlite").write_bytes(b"this is no database" * 1000)
    result = replaystack("doctor", "--data", tmp_path, "--port", "0", "--json")
    assert result.returncode == 1
    assert checks(result)["log"]["state"] == "problem"


def test_demo_keeps_its_promises_and_cleans_up(tmp_path: Path) -> None:
    text = told(replaystack("demo", cwd=tmp_path, TMPDIR=str(tmp_path), REPLAYSTACK_PORT="1"))
    assert text.count("kept  ") == 3
    assert "BROKEN" not in text
    assert "turn.restarted.1" in text
    assert "1874" in text and "gannet" in text
    assert list(tmp_path.iterdir()) == []


def test_demo_can_keep_its_folder(tmp_path: Path) -> None:
    text = told(replaystack("demo", "--keep", TMPDIR=str(tmp_path)))
    (data,) = tmp_path.iterdir()
    assert str(data) in text
    assert "Nothing is missing" in told(replaystack("verify", "--data", data))
