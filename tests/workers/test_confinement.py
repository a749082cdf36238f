"""A confined process computes, and can do nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stack.workers.confinement import has_filters, landlock_version
from tests.servers.processes import ROOT

CONFINED = """
import json, os, resource, signal, socket, sys, threading, time
from pathlib import Path
from stack.workers.confinement import allow_computing_only, restrict_files

readable, other, step = sys.argv[1:]
open_before = os.open(other, os.O_RDONLY)

def threaded():
    found = []
    thread = threading.Thread(target=lambda: found.append(sum(range(10))))
    thread.start()
    thread.join()
    return found == [45]

ACTIONS = {
    "read a file": lambda: Path(other).read_text(),
    "read an allowed file": lambda: Path(readable, "file").read_text(),
    "write": lambda: Path(readable, "new").write_text("x"),
    "remove": lambda: os.unlink(Path(readable, "file")),
    "connect": lambda: socket.create_connection(("127.0.0.1", 9)),
    "socket": lambda: socket.socket(),
    "fork": lambda: os.fork() or os._exit(0),
    "execute": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "signal its parent": lambda: os.kill(os.getppid(), 0),
    "raise a limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10)),
    "memory file": lambda: os.memfd_create("x"),
    "use an open file": lambda: os.read(open_before, 4) == b"text",
    "start a thread": threaded,
    "sleep": lambda: time.sleep(0.001) is None,
    "allocate": lambda: len(bytes(1 << 24)) == 1 << 24,
}
done = restrict_files([Path(readable)]) if step == "files" else allow_computing_only()
found = {}
for name, action in ACTIONS.items():
    try:
        action()
        found[name] = ""
    except BaseException as error:
        found[name] = type(error).__name__
os.write(1, json.dumps([done, found]).encode())
os._exit(0)
"""


def tried(tmp_path: Path, step: str) -> dict[str, str]:
    """Each action with the error that it had after one step of the confinement."""
    readable = tmp_path / "readable"
    readable.mkdir()
    (readable / "file").write_text("text")
    other = tmp_path / "other"
    other.write_text("text")
    run = subprocess.run(
        [sys.executable, "-c", CONFINED, str(readable), str(other), step],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    )
    done, found = json.loads(run.stdout)
    assert done
    result: dict[str, str] = found
    return result


def test_what_this_kernel_has_is_found() -> None:
    """So that the tests below are left out only where they must be: other files of the kernel say what it has."""
    symbols = Path("/proc/kallsyms")
    has_landlock = symbols.is_file() and "sys_landlock_create_ruleset" in symbols.read_text()
    assert bool(landlock_version()) is has_landlock
    status = Path("/proc/self/status")
    assert has_filters() is (status.is_file() and "\nSeccomp_filters:" in status.read_text())


@pytest.mark.skipif(not landlock_version(), reason="this kernel has no Landlock")
def test_only_given_folders_can_be_read(tmp_path: Path) -> None:
    found = tried(tmp_path, "files")
    refused = {name for name, error in found.items() if error == "PermissionError"}
    assert {"read a file", "write", "remove"} <= refused
    assert not found["read an allowed file"]
    assert (tmp_path / "readable" / "file").exists()


@pytest.mark.skipif(not has_filters(), reason="this machine has no filter of system calls")
def test_nothing_but_computing(tmp_path: Path) -> None:
    found = tried(tmp_path, "calls")
    allowed = {name for name, error in found.items() if not error}
    assert allowed == {"use an open file", "start a thread", "sleep", "allocate"}
    assert (tmp_path / "readable" / "file").exists()
