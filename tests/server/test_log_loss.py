"""A log that lost its end, or is gone: the start refuses, the commands say so, and a loss can be accepted once."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from stack.errors import Unavailable
from stack.eventstore.sqlite.verify import verify
from stack.log_loss import LogIncomplete, find_loss, open_log_and_views, view_position
from tests.cli.folders import replaystack
from tests.server.process import DidNotStart, Replaystack

pytestmark = pytest.mark.slow

AGENTS = 12
QUIET = {"own_telemetry": False}


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a server that was killed: its newest events are in the write-ahead log."""
    data = tmp_path_factory.mktemp("killed") / "data"
    with Replaystack(data, settings=QUIET) as server:
        _agents(server, AGENTS)
        server.kill9()
    return data


@pytest.fixture
def data(killed: Path, tmp_path: Path) -> Iterator[Path]:
    shutil.copytree(killed, tmp_path / "data")
    yield tmp_path / "data"


def _agents(server: Replaystack, count: int = 0) -> int:
    """Creates some; returns how many there are."""
    with server.http() as http:
        for number in range(count):
            config = {"model": "demo/extractive", "instructions": f"Agent {number}."}
            http.post("/v1alpha/agents", json={"agent_config": config}).raise_for_status()
        return len(http.get("/v1alpha/agents").json()["data"])


def _cut_wal(data: Path) -> None:
    wal = data / "events.sqlite-wal"
    os.truncate(wal, wal.stat().st_size // 2)


def _flip_wal(data: Path) -> None:
    wal = data / "events.sqlite-wal"
    content = bytearray(wal.read_bytes())
    content[len(content) // 2] ^= 0x10
    wal.write_bytes(content)


def _remove_wal(data: Path) -> None:
    (data / "events.sqlite-wal").unlink()


def _empty_log(data: Path) -> None:
    os.truncate(data / "events.sqlite", 0)


def _remove_log(data: Path) -> None:
    for file in data.glob("events.sqlite*"):
        file.unlink()


def _remove_database_only(data: Path) -> None:
    (data / "events.sqlite").unlink()


def _replace_log(data: Path) -> None:
    _remove_log(data)
    sqlite3.connect(data / "events.sqlite").execute("CREATE TABLE other (id)").connection.close()


def _remove_log_and_views(data: Path) -> None:
    _remove_log(data)
    for file in data.glob("views.duckdb*"):
        file.unlink()


SHORTER = [_cut_wal, _flip_wal, _remove_wal]
GONE = [_empty_log, _remove_log, _remove_database_only, _replace_log, _remove_log_and_views]


@pytest.mark.parametrize("damage", [*SHORTER, *GONE])
def test_a_loss_is_found_and_opens_only_when_accepted(data: Path, damage: Callable[[Path], None]) -> None:
    damage(data)
    with pytest.raises(LogIncomplete) as refused:
        open_log_and_views(data)
    said, views_left = refused.value.detail, damage is not _remove_log_and_views
    assert "--accept-loss" in said
    assert not views_left or f"up to position {AGENTS}" in said
    assert damage in GONE or "ends at position" in said
    if views_left:
        views = view_position(data)
        assert views is not None and views.position == AGENTS
    store, warehouse = open_log_and_views(data, accept_loss=True)
    assert store.head() < AGENTS and (damage in SHORTER or store.head() == 0)
    store.close()
    warehouse.close()
    assert len(list(data.glob("views.duckdb.lost-*"))) >= views_left
    assert all(file.stat().st_mode & 0o077 == 0 for file in data.glob("views.duckdb.lost-*"))
    report = verify(data)
    assert report.ok and find_loss(data) is None
    [accepted] = report.accepted
    assert "lost (accepted 20" in accepted
    assert not views_left or f"{AGENTS} " in accepted


@pytest.mark.parametrize("damage", [_flip_wal, _remove_log])
def test_a_start_refuses_a_loss_until_it_is_accepted(data: Path, damage: Callable[[Path], None]) -> None:
    damage(data)
    with pytest.raises(DidNotStart) as refused:
        Replaystack(data, settings=QUIET).start()
    said = [refused.value.log]
    for command in ("verify", "doctor", "rebuild"):
        result = replaystack(command, "--data", data)
        assert result.returncode == 1, result.stdout
        said.append(result.stdout + result.stderr)
    for text in said:
        assert "--accept-loss" in text and f"up to position {AGENTS}" in text and "Traceback" not in text, (
            text
        )
    with Replaystack(data, settings=QUIET | {"accept_loss": True}) as server:
        left = _agents(server)
        assert left < AGENTS
        _agents(server, 1)
        doctor = replaystack("doctor", "--data", data)
        assert "views.duckdb.lost-" in doctor.stdout and "move it out of the folder" in doctor.stdout
        assert f"{AGENTS} were lost (accepted 20" in doctor.stdout
    with Replaystack(data, settings=QUIET) as server:
        assert _agents(server) == left + 1
    result = replaystack("verify", "--data", data)
    assert result.returncode == 0 and f"{AGENTS} were lost (accepted 20" in result.stdout


def test_an_undamaged_folder_is_served_and_accepts_nothing(data: Path) -> None:
    with Replaystack(data, settings=QUIET | {"accept_loss": True}) as server:
        assert _agents(server) == AGENTS
    assert not list(data.glob("*.lost-*"))


def test_an_older_backup_over_newer_read_models_is_served(killed: Path, tmp_path: Path) -> None:
    data, backup = tmp_path / "data", tmp_path / "backup"
    with Replaystack(data, settings=QUIET) as server:
        _agents(server, 2)
        assert replaystack("backup", backup, "--data", data).returncode == 0
        _agents(server, 3)
    for file in data.glob("events.sqlite*"):
        file.unlink()
    shutil.copy(backup / "events.sqlite", data)
    assert replaystack("verify", "--data", data).returncode == 0
    with Replaystack(data, settings=QUIET) as server:
        assert _agents(server) == 2


def test_an_older_copy_of_the_same_log_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Replaystack(data, settings=QUIET) as server:
        _agents(server, 2)
    shutil.copy(data / "events.sqlite", tmp_path / "older.sqlite")
    with Replaystack(data, settings=QUIET) as server:
        _agents(server, 3)
    shutil.copy(tmp_path / "older.sqlite", data / "events.sqlite")
    with pytest.raises(
        DidNotStart, match="ends at position 2, and its read models hold its events up to position 5"
    ):
        Replaystack(data, settings=QUIET).start()


def test_a_first_start_that_was_killed_is_no_loss(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "lock").touch()
    (data / "node").write_text("0123456789abcdef")
    with Replaystack(data, settings=QUIET) as server:
        assert _agents(server, 1) == 1


def test_a_damaged_log_is_served_as_far_as_it_is_whole(data: Path) -> None:
    with closing(sqlite3.connect(data / "events.sqlite")) as log, log:
        log.execute("UPDATE events SET state = replace(state, 'Agent', 'Agend') WHERE position = 5")
        log.execute("UPDATE events SET state = CAST(state AS BLOB) WHERE position = 5")
        (stream,) = log.execute("SELECT stream FROM events WHERE position = 5").fetchone()
    for file in data.glob("views.duckdb*"):
        file.unlink()
    with Replaystack(data, settings=QUIET) as server:
        assert _agents(server) == AGENTS - 1
        with server.http() as http:
            answer = http.get(f"/v1alpha/agents/{stream.rsplit('/', 1)[1]}")
            assert answer.status_code != 200
            session = http.post(
                f"/v1alpha/agents/{stream.rsplit('/', 1)[1]}/session", json={"session_name": "s"}
            )
            assert session.status_code == 500
            assert "Event 5 " in session.json()["detail"] and "backup" in session.json()["detail"]
        doctor = replaystack("doctor", "--data", data)
        assert doctor.returncode == 1
        assert "event 5: its content is not what was recorded" in doctor.stdout
    verified = replaystack("verify", "--data", data)
    assert verified.returncode == 1 and "event 5: its content" in verified.stdout


@pytest.mark.parametrize("at", [0.0, 0.1, 0.5, 0.8], ids=["header", "start", "middle", "end"])
def test_a_damaged_write_ahead_log_proves_the_loss_without_read_models(data: Path, at: float) -> None:
    for file in data.glob("views.duckdb*"):
        file.unlink()
    assert find_loss(data) is None
    wal = data / "events.sqlite-wal"
    content = bytearray(wal.read_bytes())
    content[int(len(content) * at)] ^= 0x10
    wal.write_bytes(content)
    for _ in range(2):  # Looking at it must not merge what is whole and delete the rest.
        loss = find_loss(data)
        assert loss is not None
        assert (loss.views, loss.proof) == (None, "events.sqlite-wal")
        assert verify(data).problems == ()
        assert wal.read_bytes() == content
    with pytest.raises(LogIncomplete, match=r"events\.sqlite-wal is damaged.*--accept-loss"):
        open_log_and_views(data)
    assert wal.read_bytes() == content
    store, warehouse = open_log_and_views(data, accept_loss=True)
    store.close()
    warehouse.close()
    assert find_loss(data) is None


def test_a_write_that_a_crash_interrupted_is_no_loss(data: Path) -> None:
    for file in data.glob("views.duckdb*"):
        file.unlink()
    wal = data / "events.sqlite-wal"
    os.truncate(wal, wal.stat().st_size - 100)
    assert find_loss(data) is None
    content = bytearray(wal.read_bytes())
    content[-200] ^= 0x10
    wal.write_bytes(content)
    assert find_loss(data) is None


@pytest.mark.parametrize("at", [18, 19])
def test_a_damaged_header_is_named(data: Path, at: int) -> None:
    with closing(sqlite3.connect(data / "events.sqlite")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (data / "events.sqlite").open("r+b") as file:
        file.seek(at)
        file.write(b"\x12")
    said = replaystack("verify", "--data", str(data))
    assert said.returncode == 1
    assert "damaged" in said.stdout + said.stderr or "not a database" in said.stdout + said.stderr
    with pytest.raises(Unavailable, match="The file is damaged: serve a backup"):
        open_log_and_views(data)
