"""Backups that were interrupted or lost a part: nothing takes one for a whole backup, and it can be made again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.events.session import SessionCreated
from stack.errors import Conflict, NotFound, Unavailable
from stack.event_log import open_store
from stack.eventstore import Append, StreamWrite
from stack.eventstore.sqlite.backup import backup
from stack.eventstore.sqlite.backup_manifest import BackupIncomplete, require_complete
from stack.eventstore.sqlite.verify import verify
from stack.log_loss import find_loss, open_log_and_views

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.long]

# Kills itself with SIGKILL at the n-th step of those that change the target.
_KILLED = """
import os, shutil, signal, sqlite3, sys
from pathlib import Path
from stack.eventstore.sqlite import backup as module

left = int(sys.argv[3])

def counted(real):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return call

os.fsync = counted(os.fsync)
shutil.copyfile = counted(shutil.copyfile)
Path.replace = counted(Path.replace)
Path.unlink = counted(Path.unlink)
module.chain.set_epoch = counted(module.chain.set_epoch)
module.backup(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def _backup_killed_at(step: int, source: Path, target: Path) -> bool:
    """False when the backup ended before."""
    done = subprocess.run([sys.executable, "-c", _KILLED, source, target, str(step)], check=False)
    assert done.returncode in (0, -signal.SIGKILL)
    return done.returncode != 0


@pytest.fixture
async def log(tmp_path: Path) -> Path:
    store = open_store(tmp_path / "log")
    for number in range(3):
        event = SessionCreated(agent_id="a", session_name=f"{number}" + "long " * 100_000)
        await store.append(Append((StreamWrite(f"default/session/{number}", 0, (event,)),)))
    store.close()
    (tmp_path / "log" / "telemetry").mkdir()
    return tmp_path / "log"


def _opens(folder: Path) -> bool:
    """Whether a server would start on it."""
    try:
        store, warehouse = open_log_and_views(folder)
    except BackupIncomplete as error:
        assert str(folder) in error.detail and "replaystack backup" in error.detail
        return False
    warehouse.close()
    store.close()
    return True


def _is_complete(folder: Path) -> bool:
    try:
        return verify(folder).ok
    except (BackupIncomplete, NotFound):
        return False


async def test_a_backup_killed_at_any_step_is_incomplete_or_whole(log: Path, tmp_path: Path) -> None:
    step, refused = 1, 0
    again = tmp_path / "again"
    while _backup_killed_at(step, log, tmp_path / f"fresh{step}"):
        target = tmp_path / f"fresh{step}"
        # Whole if it was killed after the marker had gone.
        whole = (target / "manifest.json").exists() and not (target / "backup.incomplete").exists()
        assert _is_complete(target) == whole
        if not whole:
            with pytest.raises(BackupIncomplete):
                find_loss(target)
            refused += 1
        assert _opens(target) == whole
        # A backup that is repeated starts over, however often it is interrupted.
        if not whole:
            _backup_killed_at(step, log, again)
        step += 1
    assert refused >= 10
    if (again / "backup.incomplete").exists():
        backup(log, again)
    assert verify(again).ok and _opens(again)


async def test_an_incomplete_backup_is_made_again_with_other_blobs(log: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    backup(log, target)
    (target / "backup.incomplete").touch()
    stray = target / "blobs" / "ab" / ("ab" * 32)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"of an earlier state of the log")
    (target / "manifest.json").write_text("{")
    backup(log, target)
    assert verify(target).ok and not stray.exists()
    with pytest.raises(Conflict, match="not an empty folder"):
        backup(log, target)


async def test_two_backups_do_not_write_one_target(log: Path, tmp_path: Path) -> None:
    import fcntl

    target = tmp_path / "copy"
    target.mkdir()
    with (target / "backup.incomplete").open("ab") as marker:
        fcntl.flock(marker, fcntl.LOCK_EX)
        with pytest.raises(Conflict, match="Another backup is being written"):
            backup(log, target)
    backup(log, target)
    assert verify(target).ok


def _change_manifest(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _cut_manifest(folder: Path) -> None:
    os.truncate(folder / "manifest.json", (folder / "manifest.json").stat().st_size // 2)


def _remove_blob(folder: Path) -> None:
    next((folder / "blobs").glob("*/*")).unlink()


def _cut_blob(folder: Path) -> None:
    os.truncate(next((folder / "blobs").glob("*/*")), 3)


DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (lambda folder: (folder / "manifest.json").unlink(), "its manifest.json is missing"),
    (lambda folder: (folder / "manifest.json").write_bytes(b""), "manifest.json cannot be read"),
    (lambda folder: (folder / "manifest.json").write_bytes(b"\xff{}"), "manifest.json cannot be read"),
    (_cut_manifest, "manifest.json cannot be read"),
    (lambda folder: _change_manifest(folder, version=2), "version 2, written by a later release"),
    (lambda folder: _change_manifest(folder, files=[{"path": "../x", "bytes": 1, "sha256": ""}]), "outside"),
    (lambda folder: (folder / "backup.incomplete").touch(), "interrupted"),
    (_remove_blob, "is missing"),
    (_cut_blob, "has 3 bytes"),
    (lambda folder: (folder / "events.sqlite").unlink(), "events.sqlite is missing"),
]


@pytest.mark.parametrize(("damage", "says"), DAMAGES)
async def test_a_backup_without_a_part_is_refused(
    log: Path, tmp_path: Path, damage: Callable[[Path], object], says: str
) -> None:
    target = tmp_path / "copy"
    backup(log, target)
    require_complete(target)
    damage(target)
    with pytest.raises(BackupIncomplete, match=says):
        require_complete(target)
    assert not _is_complete(target)
    assert not _opens(target)
    store, warehouse = open_log_and_views(target, accept_loss=True)
    warehouse.close()
    store.close()
    # From here on it is a data folder like any other.
    assert _opens(target) and not (target / "backup.incomplete").exists()


async def test_a_manifest_of_an_earlier_release_is_read(log: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    backup(log, target)
    manifest = json.loads((target / "manifest.json").read_text())
    del manifest["version"]
    (target / "manifest.json").write_text(json.dumps(manifest))
    assert verify(target).ok and _opens(target)


async def test_a_failed_backup_says_that_it_can_be_repeated(log: Path, tmp_path: Path) -> None:
    blob = next((log / "blobs").glob("*/*"))
    content = blob.read_bytes()
    blob.unlink()
    with pytest.raises(Unavailable, match="Run it again with the same target"):
        backup(log, tmp_path / "copy")
    assert not _opens(tmp_path / "copy")
    blob.write_bytes(content)
    backup(log, tmp_path / "copy")
    assert verify(tmp_path / "copy").ok and _opens(tmp_path / "copy")
