"""Pytest plugin (`pip install 'replaystack[pytest]'`): each `*.session.jsonl` is a test, which runs the recorded session
again with what was recorded. Without such a file it costs nothing but the import of this module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ENDING = ".session.jsonl"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.name.endswith(ENDING):
        return RecordedSession.from_parent(parent, path=file_path)
    return None


class Failed(Exception):
    """The session did not come out the same; the message is for people."""


class RecordedSession(pytest.File):
    def collect(self) -> Iterator[pytest.Item]:
        yield SessionCheck.from_parent(self, name=self.path.name.removesuffix(ENDING))


class SessionCheck(pytest.Item):
    """Passes if the session is identical or equivalent when it is run again."""

    def runtest(self) -> None:
        import asyncio

        from stack.errors import ReplaystackError
        from stack.services.replay.check import check
        from stack.services.replay.session_file import read_session_file

        try:
            file = read_session_file(self.path.read_bytes())
        except ReplaystackError as error:
            raise Failed(error.detail) from None
        report = asyncio.run(check(file.record)).report
        if report.exit_code > 1:
            raise Failed(f"{_explained(report)}\nTo see all of it: replaystack replay {self.path} --check")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, Failed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"session {self.name}"


def _explained(report: Any) -> str:
    """Returns the verdict, and the first event that differs."""
    first = report.first
    if first.difference is None:
        return f"{report.verdict}: {first.reason}"
    where = f"event {first.version}" if first.version else "after its last event"
    name = f" ({first.difference.event})" if first.difference.event else ""
    lines = [
        f"{report.verdict}: turn {first.number} of the session differs at {where}{name}: {first.difference.kind}",
        f"  recorded  {first.difference.recorded or '-'}",
        f"  now       {first.difference.replayed or '-'}",
    ]
    return "\n".join(lines)
