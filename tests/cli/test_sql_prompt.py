"""`replaystack sql` on a terminal: typed keys, a real server, and what the screen shows."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from projections.user_views import user_views
from projections.user_views.queries import user_queries
from schemas.api.sql import SqlColumn, SqlSchema, SqlView
from stack.cli.sql_completion import SqlCompleter, named_arguments
from stack.cli.sql_history import MAX_BYTES, history_path, opened_history
from stack.cli.sql_statements import is_complete, statements
from stack.providers.sql.functions import functions
from tests.cli.folders import clean_environment, converse, served
from tests.cli.terminal_session import CTRL_C, CTRL_D, UP, TerminalSession

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("prompt")
    with served(folder) as connection:
        converse(connection)
        yield folder


def opened(data: Path, home: Path, **environ: str) -> TerminalSession:
    return TerminalSession("sql", "--data", data, XDG_STATE_HOME=str(home), **environ)


def asks(terminal: TerminalSession, line: str, *shown: str) -> None:
    """Waits for the prompt, types a line, and waits for texts."""
    terminal.waits_for_prompt("sql>")
    terminal.line(line)
    for text in shown:
        terminal.waits_for(text)


def test_a_conversation_with_the_prompt(data: Path, tmp_path: Path) -> None:
    with opened(data, tmp_path) as terminal:
        asks(terminal, "SELECT 'a;' || 'b' AS x,")
        terminal.waits_for_prompt("...>")
        terminal.line("6 * 7 AS y; SELECT model FROM agents;")
        for text in ("a;b", "42", "demo/extractive"):
            terminal.waits_for(text)
        asks(terminal, "SELECT * FROM tunrs;", "'tunrs' is not a view")
        asks(terminal, "SELECT (;", "syntax error", "^")
        asks(terminal, "\\d session_turns", "Id of the turn.")
        asks(terminal, "\\named tool_result_share row_count=1", "tool_share")
        asks(terminal, "\\asof 99999", "has not reached")
        asks(terminal, "\\asof 0", "at 0.")
        terminal.waits_for_prompt("0 sql>")
        terminal.line("SELECT count(*) + 50 AS agents FROM agents;")
        terminal.waits_for("50\n")
        terminal.waits_for_prompt("0 sql>")
        terminal.line("\\asof now")
        asks(terminal, "\\format csv", "The format is csv.")
        asks(terminal, "SELECT NULL, '', 'a,' || 'b';", ',"","a,b"')
        asks(terminal, "\\nonsense", "There is no command")
        asks(terminal, "\\q")
        assert terminal.ends() == 0
    history = tmp_path / "replaystack" / "sql_history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    with opened(data, tmp_path) as terminal:
        terminal.waits_for_prompt("sql>")
        terminal.send(UP * 3)
        terminal.waits_for("SELECT NULL")
        terminal.send(CTRL_C)
        terminal.waits_for_prompt("sql>")
        terminal.send(CTRL_D)
        assert terminal.ends() == 0


def test_ctrl_c_ends_the_query_and_not_the_prompt(data: Path, tmp_path: Path) -> None:
    with opened(data, tmp_path) as terminal:
        endless = "SELECT count(*) FROM range(1000000000000);"
        asks(terminal, endless, "range(1000000000000);\n")
        # A key that is pressed just after a line may be lost, or end that line instead of the query.
        for _ in range(10):
            if terminal.answers(CTRL_C, "Cancelled."):
                break
            if terminal.is_at("sql>"):
                asks(terminal, endless, "range(1000000000000);\n")
        assert "Cancelled." in terminal.text
        asks(terminal, "SELECT 6 * 7;", "42")


def test_a_result_that_does_not_fit_is_paged(data: Path, tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text(f"#!/bin/sh\ncat > {tmp_path}/paged\necho was paged\n")
    pager.chmod(0o700)
    wide = "SELECT repeat('x', 70) AS a, repeat('y', 70) AS b;"
    with opened(data, tmp_path, PAGER=str(pager)) as terminal:
        asks(terminal, wide, "was paged")
        asks(terminal, "\\pager off", "The pager is off.")
        asks(terminal, wide, "Not everything fits")
        asks(terminal, "\\x on", "as lines")
        asks(terminal, wide, "x" * 70, "y" * 70)
    paged = (tmp_path / "paged").read_text()
    assert "x" * 70 in paged
    assert "y" * 70 in paged


def test_the_screen_is_safe_from_what_is_recorded(data: Path, tmp_path: Path) -> None:
    with opened(data, tmp_path) as terminal:
        asks(terminal, "SELECT 'a' || chr(27) || ']0;title' || chr(7) || 'b';", "\ufffd]0;title\ufffdb")
        asks(
            terminal,
            "SELECT 'a' || chr(27) || '[2Jb' AS c UNION SELECT 1 / 0 / CAST(chr(27) || '[2J' AS INT);",
            "u001b[2J",
        )


def test_without_a_terminal_the_query_is_the_standard_input(data: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "stack.cli", "sql", "--data", str(data), "--format", "csv"],
        input="SELECT model\nFROM agents;\n",
        env=clean_environment(),
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["model", "demo/extractive"], done.stderr


@pytest.mark.parametrize(
    ("text", "complete", "found"),
    [
        ("SELECT 1", False, ["SELECT 1"]),
        ("SELECT 1;", True, ["SELECT 1"]),
        ("SELECT ';'", False, ["SELECT ';'"]),
        ("SELECT 'it''s;'; -- done;", True, ["SELECT 'it''s;'"]),
        ("SELECT E'it\\';';", True, ["SELECT E'it\\';'"]),
        ('SELECT 1 AS "a;"";";', True, ['SELECT 1 AS "a;"";"']),
        ("SELECT $$;$$, $a$;$$;$a$;", True, ["SELECT $$;$$, $a$;$$;$a$"]),
        ("SELECT 1 -- no;", False, ["SELECT 1 -- no;"]),
        ("SELECT 1 -- no;\n;", True, ["SELECT 1 -- no;"]),
        ("SELECT /* ; */ 1; SELECT 2 ;\n", True, ["SELECT /* ; */ 1", "SELECT 2"]),
        ("SELECT 'open;", False, ["SELECT 'open;"]),
        ("SELECT 1; /* open;", False, ["SELECT 1", "/* open;"]),
        (";;", True, []),
        ("", False, []),
    ],
)
def test_where_statements_end(text: str, complete: bool, found: list[str]) -> None:
    assert is_complete(text) is complete
    assert list(statements(text)) == found


@pytest.fixture(scope="module")
def completer() -> SqlCompleter:
    views = [
        SqlView(
            one.name,
            one.description,
            [SqlColumn(c.name, c.type, c.unit, c.description) for c in one.columns],
        )
        for one in user_views().values()
    ]
    commands = {"\\named": ("run one", named_arguments(user_queries())), "\\q": ("leave", lambda _: ())}
    return SqlCompleter(SqlSchema("", views), functions(), commands)


@pytest.mark.parametrize(
    ("before", "offered", "not_offered"),
    [
        ("SELECT * FROM se", {"sessions", "session_turns"}, {"session_id", "SELECT", "set_bit("}),
        ("SELECT * FROM turns JOIN se", {"sessions"}, {"session_id"}),
        ("SELECT t. FROM turns t WHERE t.sta", {"status", "started_at"}, {"stack"}),
        ("SELECT * FROM turns WHERE sta", {"status", "started_at"}, {"stack"}),
        ("SELECT 1; SELECT * FROM agents WHERE mod", {"model", "mod("}, {"model_id"}),
        ("WITH mine AS (SELECT 1) SELECT * FROM mi", {"mine"}, {"min("}),
        ("SELECT mi", {"min("}, set()),
        ("sel", {"select"}, {"SELECT"}),
        ("SEL", {"SELECT"}, {"select"}),
        ("SELECT 'sta", set(), {"status"}),
        ("SELECT 1 -- sta", set(), {"status"}),
        ("\\na", {"\\named"}, {"\\q"}),
        ("\\named lo", {"loops"}, {"slowest_tools"}),
        ("\\named loops ", {"least="}, {"loops"}),
    ],
)
def test_completion(completer: SqlCompleter, before: str, offered: set[str], not_offered: set[str]) -> None:
    found = {one.text for one in completer.get_completions(Document(before), CompleteEvent())}
    assert offered <= found
    assert not found & not_offered


def test_the_history_does_not_grow_without_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    path = history_path()
    path.parent.mkdir()
    path.write_text("".join(f"\n# 2026-01-01\n+SELECT {number};\n" for number in range(50_000)))
    path.chmod(0o644)
    history, problem = opened_history(path)
    assert not problem
    assert path.stat().st_size <= MAX_BYTES // 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept = list(history.load_history_strings())
    assert kept[0] == "SELECT 49999;"
    assert len(kept) > 10_000


def test_a_history_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    _, problem = opened_history(tmp_path / "file" / "sql_history")
    assert "is not kept" in problem
