"""The data folder of one server: its lock, its node id, and the address of the running server."""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import time
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from stack.errors import ReplaystackError
from stack.private_files import make_private, restrict_umask

_log = logging.getLogger("replaystack.server")

LOCK_WAITS_S = (0.02, 0.1, 0.0)


class FolderInUse(ReplaystackError):
    """Another server uses this data folder."""

    status, title = 409, "Data folder in use"


class FolderUnusable(ReplaystackError):
    """The data folder cannot be created, read or written."""

    status, title = 500, "Data folder unusable"


class RunningServer(Struct, frozen=True):
    """The content of `server.json`: the process, its address, and the token of this boot for local
    commands."""

    pid: int
    url: str
    token: str


class DataFolder:
    """Holds the lock of a data folder until it is closed. Raises FolderInUse at once if another process holds
    it, and FolderUnusable."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self.token = secrets.token_urlsafe(32)
        try:
            restrict_umask()
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.path)
            # The file of a server that was killed would look as if this server were already serving.
            (self.path / "server.json").unlink(missing_ok=True)
            problem = make_private(self.path)
            if problem:
                _log.warning("%s. Use chown and chmod, or choose another folder with --data.", problem)
        except OSError as error:
            raise FolderUnusable(
                f"{self.path} cannot be used: {error}. Choose another with --data."
            ) from error

    @property
    def node(self) -> str:
        """Returns the id of this folder's node, created once."""
        file = self.path / "node"
        if not file.exists():
            fresh = secrets.token_hex(8)
            try:
                _write_private(file, fresh.encode())
            except OSError as error:
                _log.error(
                    "the id of this node cannot be written and is another after the next start: %s", error
                )
                return fresh
        return file.read_text().strip()

    def announce(self, url: str) -> None:
        """Publishes the server's address for local commands."""
        running = RunningServer(os.getpid(), url, self.token)
        file = self.path / "server.json"
        # On a full disk a file left by a crash occupies the space that this one needs, and would name another
        # process.
        file.unlink(missing_ok=True)
        try:
            _write_private(file, msgspec.json.encode(running))
        except OSError as error:
            _log.error("local commands do not find this server: server.json cannot be written: %s", error)

    def close(self) -> None:
        (self.path / "server.json").unlink(missing_ok=True)
        self._lock.close()


def running_server(path: Path) -> RunningServer | None:
    """Returns the server that currently uses the data folder, if any: its lock is held and its address is
    published."""
    if not is_held(path):
        return None
    try:
        content = (path.expanduser().resolve() / "server.json").read_bytes()
        return msgspec.json.decode(content, type=RunningServer)
    except (OSError, msgspec.DecodeError):
        return None


def is_held(path: Path) -> bool:
    """Returns whether a process holds the data folder: a server that is running, starting or stopping."""
    lock = path.expanduser().resolve() / "lock"
    if not lock.exists():
        return False
    with lock.open("rb") as file:
        try:
            # A shared lock, so that two processes that check do not mistake each other for a server.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _locked(folder: Path) -> IO[bytes]:
    file = (folder / "lock").open("ab")
    for wait_s in LOCK_WAITS_S:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except OSError:
            # Another process may only be checking whether a server is running.
            time.sleep(wait_s)
    file.close()
    other = running_server(folder)
    where = f" (process {other.pid}, {other.url})" if other else ""
    raise FolderInUse(
        f"{folder} is in use by another server{where}. Stop that server, or choose another folder with --data."
    )


def _write_private(file: Path, data: bytes) -> None:
    """Replaces a file atomically; only its owner may read it."""
    fresh = file.with_suffix(f".{os.getpid()}.new")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as target:
            target.write(data)
        fresh.replace(file)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
