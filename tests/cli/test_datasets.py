"""`replaystack datasets` as a user runs it, against a real server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stack.cli.connection import Connection
from tests.cli.folders import replaystack, served

pytestmark = pytest.mark.slow

CSV = 'question,answer,code\n"What is ""it""?",ten,007\nAnd then?,"six\no\'clock",\n'
ROWS = [
    {"question": 'What is "it"?', "answer": "ten", "code": "007"},
    {"question": "And then?", "answer": "six\no'clock", "code": None},
]


class Commands:
    """The command on one server, in a folder of the test."""

    def __init__(self, data: Path, folder: Path, connection: Connection) -> None:
        self.data = data
        self.folder = folder
        self.connection = connection

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return replaystack("datasets", *arguments, "--data", self.data, cwd=self.folder)

    def told(self, *arguments: str | Path) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(self, *arguments: str | Path) -> str:
        done = self.run(*arguments)
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        return done.stderr

    def rows(self, dataset_id: str) -> list[dict[str, Any]]:
        page = self.connection.ask("GET", f"/v1beta/datasetio/iterrows/{dataset_id}")
        rows: list[dict[str, Any]] = page["data"]
        return rows


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Connection]]:
    data = tmp_path_factory.mktemp("datasets") / "data"
    with served(data) as connection:
        yield data, connection


@pytest.fixture
def commands(server: tuple[Path, Connection], tmp_path: Path) -> Commands:
    (tmp_path / "sums.csv").write_text(CSV)
    return Commands(server[0], tmp_path, server[1])


def test_a_file_is_imported_appended_listed_and_exported(commands: Commands) -> None:
    assert commands.told("import", "sums.csv", "--id", "of/file") == "Imported 2 rows: dataset of/file\n"
    assert "Added 2 rows" in commands.told("import", "sums.csv", "--id", "of/file", "--append")
    assert commands.rows("of/file") == ROWS * 2
    assert "of/file" in commands.told("list")
    [listed] = [
        one for one in json.loads(commands.told("list", "--json"))["data"] if one["identifier"] == "of/file"
    ]
    assert (listed["row_count"], listed["version"]) == (4, 2)
    shown = commands.told("show", "of/file")
    assert "registered" in shown and "rows appended" in shown and '"007"' in shown
    lines = commands.told("export", "of/file").splitlines()
    assert [json.loads(line) for line in lines] == ROWS * 2
    commands.told("export", "of/file", "first.json", "--version", "1")
    assert json.loads((commands.folder / "first.json").read_text()) == ROWS
    commands.told("export", "of/file", "first.csv", "--version", "1")
    assert (commands.folder / "first.csv").read_bytes().decode().replace("\r\n", "\n") == CSV
    assert not list(commands.folder.glob("*.partial"))


def test_an_id_is_made_of_the_files_name(commands: Commands) -> None:
    assert "dataset sums" in commands.told("import", "sums.csv")
    assert commands.rows("sums") == ROWS


def test_a_uri_is_read_by_the_server(commands: Commands) -> None:
    assert (
        commands.told("import", "data:text/csv,a%0A1%0A2", "--id", "of-uri")
        == "Imported 2 rows: dataset of-uri\n"
    )
    assert commands.rows("of-uri") == [{"a": 1}, {"a": 2}]


def test_a_large_file_is_sent_in_parts(commands: Commands) -> None:
    text = "x" * 1_000
    lines = [json.dumps({"number": number, "text": text}) for number in range(20_000)]
    (commands.folder / "large.jsonl").write_text("\n".join(lines))
    assert "20,000 rows" in commands.told("import", "large.jsonl")
    [listed] = [
        one for one in json.loads(commands.told("list", "--json"))["data"] if one["identifier"] == "large"
    ]
    assert listed["row_count"] == 20_000 and listed["version"] > 1
    commands.told("export", "large", "back.jsonl")
    back = (commands.folder / "back.jsonl").read_text().splitlines()
    assert [json.loads(line)["number"] for line in back] == list(range(20_000))


def test_hostile_text_does_not_reach_the_terminal(commands: Commands) -> None:
    (commands.folder / "evil.csv").write_text("a\n\x1b[31mred [bold]x[/] \u202eback\n")
    commands.told("import", "evil.csv", "--id", "e[red]vil")
    shown = commands.told("show", "e[red]vil")
    assert "e[red]vil" in shown and "[bold]x[/]" in shown
    assert "\x1b" not in shown and "\u202e" not in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "nothing"), "nothing"),
        (("export", "nothing"), "nothing"),
        (("export", "sums-2", "--version", "9"), "sums-2"),
        (("import", "missing.csv"), "missing.csv"),
        (("import", "sums.csv", "--append"), "--id"),
        (("import", "data:text/csv,a", "--append", "--id", "x"), "--append"),
        (("import", "sums.csv", "--id", "a//b"), "dataset_id"),
        (("import", "sums.csv", "--purpose", "other"), "--purpose"),
        (("lst",), "lst"),
    ],
)
def test_what_cannot_be_done_is_said(commands: Commands, arguments: tuple[str, ...], said: str) -> None:
    assert said in commands.refused(*arguments)


def test_rows_of_other_columns_are_no_csv(commands: Commands) -> None:
    (commands.folder / "odd.jsonl").write_text('{"a":1}\n{"b":[1.50,{"c":null}]}\n')
    commands.told("import", "odd.jsonl")
    assert "'b'" in commands.refused("export", "odd", "odd.csv")
    assert not (commands.folder / "odd.csv").exists()
    assert commands.told("export", "odd").splitlines()[1] == '{"b":[1.50,{"c":null}]}'


def test_without_a_server_it_says_how_to_get_one(tmp_path: Path) -> None:
    done = replaystack("datasets", "list", "--data", tmp_path)
    assert done.returncode != 0 and "replaystack serve" in done.stderr
    done = replaystack("datasets", "list", "--url", "http://127.0.0.1:9")
    assert done.returncode != 0 and "does not answer" in done.stderr
