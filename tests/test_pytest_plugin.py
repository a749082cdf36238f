"""The pytest plugin as another repository uses it: the wheel in an environment of its own, and a real run of pytest."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hatchling.build import build_wheel
from msgspec.structs import replace

from schemas.events.turn import TurnCompleted
from stack.services.replay.session_file import read_session_file, written

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests/sessions"
SETTINGS = "[pytest]\ntestpaths = sessions\naddopts = --junitxml=report.xml -p no:cacheprovider\n"


class Repository:
    """A folder with recorded sessions, and an environment in which the wheel is installed."""

    def __init__(self, folder: Path, python: Path) -> None:
        self.folder = folder
        self.python = python
        (folder / "sessions").mkdir(parents=True)
        (folder / "pytest.ini").write_text(SETTINGS)

    def add(self, name: str, content: bytes) -> None:
        (self.folder / f"sessions/{name}.session.jsonl").write_bytes(content)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))
        }
        return subprocess.run(
            [self.python, "-m", "pytest", *arguments],
            cwd=self.folder,
            env=kept,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def cases(self) -> dict[str, str]:
        """Returns the tests in the JUnit report, and the message of their failure or ""."""
        tree = ElementTree.parse(self.folder / "report.xml")
        return {
            str(case.get("name")): failure.text or "" if (failure := case.find("failure")) is not None else ""
            for case in tree.iter("testcase")
        }


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel. Its dependencies are those of this environment, because tests use
    no network; the editable installation is not found there."""
    folder = tmp_path_factory.mktemp("installed")
    os.environ["SOURCE_DATE_EPOCH"] = "1700000000"
    here = Path.cwd()
    os.chdir(ROOT)
    try:
        wheel = folder / build_wheel(str(folder))
    finally:
        os.chdir(here)
        del os.environ["SOURCE_DATE_EPOCH"]
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv/bin/python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(
        subprocess.run([python, "-c", where], check=True, capture_output=True, text=True).stdout.strip()
    )
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(packages)
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return python


@pytest.fixture
def repository(tmp_path: Path, python: Path) -> Iterator[Repository]:
    yield Repository(tmp_path / "repository", python)


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.session.jsonl").read_bytes()


def with_another_answer(content: bytes) -> bytes:
    """Returns a valid file whose first turn ended with another answer."""
    file = read_session_file(content)
    turn_id, events = next(iter(file.record.turns.items()))
    end = events[-1].event
    assert isinstance(end, TurnCompleted)
    other = replace(end, output_message=replace(end.output_message, content="Never."))
    changed = [*events[:-1], events[-1]._replace(event=other)]
    record = replace(file.record, turns={**file.record.turns, turn_id: changed})
    return b"".join(written(replace(file, record=record)))


def test_recorded_sessions_are_tests(repository: Repository) -> None:
    for name in ("answers", "client_tool", "code", "approval", "shields"):
        repository.add(name, golden(name))
    done = repository.run("-q")
    assert done.returncode == 0 and "5 passed" in done.stdout, done.stdout + done.stderr
    assert repository.cases() == dict.fromkeys(("answers", "client_tool", "code", "approval", "shields"), "")


def test_a_failure_names_the_event(repository: Repository) -> None:
    repository.add("answers", golden("answers"))
    repository.add("changed", with_another_answer(golden("code")))
    repository.add("cut", golden("answers")[:-20])
    repository.add("forged", golden("answers").replace(b"harbour", b"airport", 1))
    done = repository.run()
    assert done.returncode == 1 and "3 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "Traceback" not in done.stdout
    cases = repository.cases()
    assert cases["answers"] == ""
    [events] = read_session_file(golden("code")).record.turns.values()
    where = f"turn 1 of the session differs at event {len(events)} (turn.completed)"
    assert f"diverged: {where}: answer" in cases["changed"]
    assert "Never." in cases["changed"] and "--check" in cases["changed"]
    assert "truncated" in cases["cut"] and "is not what was written" in cases["forged"]


def test_the_plugin_loads_little(repository: Repository) -> None:
    """Without a session file it loads nothing more; a check needs no DuckDB and no HTTP server."""
    script = """
import sys, stack.pytest_plugin as plugin
print(plugin.__file__, any(name.startswith("stack.") and name != plugin.__name__ for name in sys.modules))
import stack.services.replay.check, stack.services.replay.session_file
print([name for name in ("duckdb", "litestar", "sqlite3", "uvicorn") if name in sys.modules])
"""
    done = subprocess.run(
        [repository.python, "-c", script], cwd=repository.folder, capture_output=True, text=True, check=True
    )
    plugin, checked = done.stdout.splitlines()
    path, loads_more = plugin.rsplit(maxsplit=1)
    assert Path(path).is_relative_to(repository.python.parents[1]), path
    assert (loads_more, checked) == ("False", "[]")


def test_a_file_that_cannot_be_run_again_says_why(repository: Repository) -> None:
    file = read_session_file(golden("code"))
    turns = {
        turn_id: [
            one._replace(version=version)
            for version, one in enumerate(
                [one for one in events if "tools_resolved" not in type(one.event).__struct_config__.tag], 1
            )
        ]
        for turn_id, events in file.record.turns.items()
    }
    older = {
        turn_id: [events[0]._replace(event=replace(events[0].event, agent_version=0)), *events[1:]]
        for turn_id, events in turns.items()
    }
    record = replace(file.record, turns=older)
    repository.add("older", b"".join(written(replace(file, record=record))))
    assert repository.run().returncode == 1
    assert repository.cases()["older"].startswith("unreplayable: Turn 1 cannot be run again")
