"""Stored files are readable by their owner only, whatever the umask and the modes of existing files."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.data_folder import DataFolder
from stack.private_files import make_private
from tests.server.api import Api
from tests.server.conftest import FreshServer
from tests.server.datasets import Datasets
from tests.server.process import COMMAND, ROOT

pytestmark = pytest.mark.slow

LONG = "long " * 60_000


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def not_private(folder: Path) -> dict[str, str]:
    """Path and mode of every file and folder that others may use in any way."""
    found = [folder, *folder.rglob("*")]
    modes = {str(path.relative_to(folder)): stat.S_IMODE(path.lstat().st_mode) for path in found}
    return {path: f"{mode:o}" for path, mode in modes.items() if mode & 0o077}


def modes(folder: Path) -> set[tuple[bool, str]]:
    return {
        (path.is_dir(), f"{stat.S_IMODE(path.stat().st_mode):o}") for path in [folder, *folder.rglob("*")]
    }


def open_to_all(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def replaystack(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        env=dict(os.environ) | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        umask=0o022,
    )
    return done.stdout + done.stderr


def fill(server_api: Api) -> None:
    server_api.conversation(instructions=LONG).turn("Hello.")
    Datasets(server_api.http).register([{"text": LONG}], dataset_id="d")
    server_api.http.get("/v1alpha/agents").raise_for_status()


def test_a_folder_that_others_could_read_is_private_while_it_is_served_and_after(
    fresh_server: FreshServer, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    server = fresh_server()
    with server.http() as http:
        fill(Api(http))
        assert (data / "blobs").is_dir()
        assert not_private(data) == {}
    server.kill9()
    open_to_all(data)
    assert not_private(data)
    server.start()
    with server.http() as http:
        fill_again = Api(http)
        fill_again.conversation(instructions=LONG + "2").turn("Hello again.")
        assert not_private(data) == {}
    server.stop()
    assert modes(data) == {(True, "700"), (False, "600")}


@pytest.mark.parametrize("exists", [False, True])
def test_a_backup_and_what_is_started_on_it_are_private(
    fresh_server: FreshServer, tmp_path: Path, exists: bool
) -> None:
    server = fresh_server()
    with server.http() as http:
        fill(Api(http))
    target = tmp_path / "backup"
    if exists:
        target.mkdir(mode=0o755)
    replaystack("backup", str(target), "--data", str(server.data))
    assert len(list(target.rglob("*"))) > 3
    assert modes(target) == {(True, "700"), (False, "600")}
    replaystack("rebuild", "--data", str(target))
    replaystack("verify", "--data", str(target))
    assert modes(target) == {(True, "700"), (False, "600")}


def test_the_file_of_an_export_has_the_mode_that_its_user_asks_for(
    fresh_server: FreshServer, tmp_path: Path
) -> None:
    server = fresh_server()
    with server.http() as http:
        Datasets(http).register([{"a": 1}], dataset_id="d")
    file = tmp_path / "rows.jsonl"
    replaystack("datasets", "export", "d", str(file), "--url", server.url)
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_files_that_are_not_ours_and_links_are_left_alone(tmp_path: Path) -> None:
    data, outside = tmp_path / "data", tmp_path / "outside"
    (data / "blobs").mkdir(parents=True)
    for file in (outside, data / "notes.txt", data / "events.sqlite"):
        file.write_text("")
        file.chmod(0o644)
    (data / "blobs" / "link").symlink_to(outside)
    assert make_private(data) == ""
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644
    assert stat.S_IMODE((data / "notes.txt").stat().st_mode) == 0o644
    assert stat.S_IMODE((data / "events.sqlite").stat().st_mode) == 0o600


def test_a_shared_folder_is_not_closed_but_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o1777)
    with caplog.at_level(logging.WARNING):
        DataFolder(data).close()
    assert stat.S_IMODE(data.stat().st_mode) == 0o1777
    assert "shared by all users" in caplog.text
    assert stat.S_IMODE((data / "lock").stat().st_mode) == 0o600


def test_a_folder_of_another_user_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests may run as a user who can change everything, so the refusal is made here."""
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o755)

    def refused(path: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr(Path, "chmod", refused)
    with caplog.at_level(logging.WARNING):
        DataFolder(data).close()
    assert f"Other users can read {data}" in caplog.text
    assert "--data" in caplog.text
