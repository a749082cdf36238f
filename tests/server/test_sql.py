"""SQL over the documented views, through a real server: results in every form, limits, and what ends a query."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import httpx
import nanoarrow
import pytest

from projections.user_views.queries import user_queries
from tests.cli.folders import replaystack
from tests.server.api import Api
from tests.server.process import Replaystack, wait_until
from tests.server.sql_queries import ENDLESS, SQL, asked, busy_worker, refusal, rows, workers
from tests.servers.processes import RunningServer

pytestmark = pytest.mark.slow

LIMITS = {
    "sql_max_rows": 1000,
    "sql_max_bytes": 100_000,
    "sql_timeout_s": 20.0,
    "sql_waiting": 1,
    "telemetry_sealed_spans": 32,
}
PRICES = [{"model": "*", "input_per_million": 1e6, "output_per_million": 0}]


@pytest.fixture(scope="module")
def sql_server(
    tmp_path_factory: pytest.TempPathFactory, scripted_server: RunningServer
) -> Iterator[Replaystack]:
    data = tmp_path_factory.mktemp("sql") / "data"
    with Replaystack(
        data,
        model_url=scripted_server.base_url,
        settings=LIMITS,
        environment={"REPLAYSTACK_PRICES": json.dumps(PRICES)},
    ) as server:
        yield server
        server.check_healthy()
    assert server.wait() == 0
    assert '"level":"error"' not in server.log, server.log


@pytest.fixture(scope="module")
def http(sql_server: Replaystack) -> Iterator[httpx.Client]:
    with sql_server.http() as client:
        yield client


def test_a_query_sees_what_was_acknowledged(http: httpx.Client, scripted: RunningServer) -> None:
    for _ in range(3):
        conversation = Api(http).conversation()
        turn = conversation.turn()
        query = "SELECT turn_id, status FROM turns WHERE session_id = $1"
        assert rows(http, query, [conversation.session_id]) == [[turn["turn_id"], "completed"]]


def test_costs_are_by_the_prices_of_the_settings(http: httpx.Client, scripted: RunningServer) -> None:
    turn = Api(http).conversation().turn()
    query = "SELECT cost_usd = input_tokens, unpriced_inferences FROM turns WHERE turn_id = $1"
    assert rows(http, query, [turn["turn_id"]]) == [[True, 0]]


@pytest.mark.parametrize("name", user_queries())
def test_named_queries_are_answered(http: httpx.Client, name: str) -> None:
    """The check of queries lets all of them pass."""
    query = user_queries()[name]
    values = {one.name: "x" if one.default is None else one.default for one in query.parameters}
    assert asked(http, query.sql, values).status_code == 200


def test_spans_join_turns(http: httpx.Client, scripted: RunningServer) -> None:
    turn = Api(http).conversation().turn()
    query = "SELECT count(*) > 0 FROM turns JOIN spans USING (trace_id) WHERE turns.turn_id = $id"
    assert rows(http, query, {"id": turn["turn_id"]}) == [[True]]


TYPES = {
    "NULL": None,
    "true": True,
    "1::TINYINT": 1,
    "9223372036854775807": 9223372036854775807,
    "18446744073709551615::UBIGINT": 18446744073709551615,
    "170141183460469231731687303715884105727::HUGEINT": "170141183460469231731687303715884105727",
    "1.50::DECIMAL(9, 2)": "1.50",
    "0.5::DOUBLE": 0.5,
    "'nan'::DOUBLE": "NaN",
    "'inf'::FLOAT": "Infinity",
    "'-inf'::DOUBLE": "-Infinity",
    "'text with \"quotes\", and a line\n'": 'text with "quotes", and a line\n',
    "''": "",
    "'名前 🙂'": "名前 🙂",
    "'\\xFFa'::BLOB": "\\xFFa",
    "DATE '2026-01-31'": "2026-01-31",
    "TIMESTAMP '2026-01-31 10:00:00.5'": "2026-01-31 10:00:00.5",
    "TIMESTAMP 'infinity'": "infinity",
    "TIMESTAMP '290000-01-01'": "290000-01-01 00:00:00",
    "TIMESTAMPTZ '2026-01-31 10:00:00+02'": "2026-01-31 08:00:00+00",
    "TIME '10:00:00'": "10:00:00",
    "INTERVAL 90 MINUTE": "01:30:00",
    "'11111111-1111-1111-1111-111111111111'::UUID": "11111111-1111-1111-1111-111111111111",
    "'a'::ENUM('a', 'b, c')": "a",
    "'101'::BIT": "101",
    "[1, NULL]": [1, None],
    "[['nan'::DOUBLE]]": [["NaN"]],
    "{'a': 1, 'b c': {'d': [1::HUGEINT]}}": {"a": 1, "b c": {"d": ["1"]}},
    "{'UUID': 1, 'HUGEINT': [2::HUGEINT]}": {"UUID": 1, "HUGEINT": ["2"]},
    "{'TIMESTAMP': 1, 'at': TIMESTAMP '2026-01-31'}": {"TIMESTAMP": 1, "at": "2026-01-31 00:00:00"},
    "MAP {1: 'a', 2: 'b'}": {"1": "a", "2": "b"},
    "'{\"a\":[1,null]}'::JSON": {"a": [1, None]},
    "['{\"a\": 1}'::JSON]": [{"a": 1}],
    "to_json({'a': 'nan'::DOUBLE})": {"a": "NaN"},
    "{'a': 1}::VARIANT": {"a": 1},
    "[1::BIGNUM]": ["1"],
}


@pytest.mark.parametrize("expression", TYPES)
def test_values_in_json(http: httpx.Client, expression: str) -> None:
    assert rows(http, f"SELECT {expression} AS value") == [[TYPES[expression]]]
    lines = asked(http, f"SELECT {expression} AS value", format="ndjson")
    assert json.loads(lines.text) == {"value": TYPES[expression]}


def test_all_values_in_csv(http: httpx.Client) -> None:
    selected = ", ".join(TYPES)
    table = list(csv.reader(io.StringIO(asked(http, f"SELECT {selected}", format="csv").text)))
    texts = [
        value if isinstance(value, str) else "" if value is None else json.dumps(value, separators=(",", ":"))
        for value in TYPES.values()
    ]
    assert table[1] == texts


TEXTS = {
    "'a'::ENUM('a', 'b, c')": "a",
    "['x'::ENUM('x'), NULL]": ["x", None],
    "{'TIMETZ': '10:00:00+02'::TIMETZ}": {"TIMETZ": "10:00:00+02"},
    "['101'::BIT]": ["101"],
    "2::BIGNUM": "2",
    "{'a': 1}::VARIANT": '{"a":1}',
    "'{\"a\":1}'::JSON": '{"a":1}',
}
"""Values that are texts over Arrow and in Parquet."""


def test_all_values_in_arrow(http: httpx.Client) -> None:
    selected = ", ".join([*TEXTS, *TYPES, "union_value(a := 1)", "MAP {'x'::ENUM('x'): [1]}"])
    answer = asked(http, f"SELECT {selected}", format="arrow")
    assert answer.headers["content-type"] == "application/vnd.apache.arrow.stream"
    batch = nanoarrow.ArrayStream.from_readable(io.BytesIO(answer.content)).read_all()
    columns = [batch.child(number) for number in range(batch.n_children)]
    assert len(batch) == 1
    assert [column.to_pylist()[0] for column in columns[: len(TEXTS)]] == list(TEXTS.values())


def test_all_values_in_parquet(http: httpx.Client, tmp_path: Path) -> None:
    fitting = [one for one in TYPES if "1701411834604692317" not in one]
    answer = asked(
        http, f"SELECT {', '.join([*TEXTS, *fitting])}, 1::HUGEINT, -INTERVAL 1 DAY", format="parquet"
    )
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    path = tmp_path / "result.parquet"
    path.write_bytes(answer.content)
    casts = "SELECT COLUMNS(*)::VARCHAR FROM read_parquet($path)"
    described = duckdb.execute("DESCRIBE FROM read_parquet($path)", {"path": str(path)}).fetchall()
    values = duckdb.execute(casts, {"path": str(path)}).fetchall()[0]
    assert values[0] == "a" and values[-2:] == ("1", "-1 day")
    assert described[-2][1] == "DECIMAL(38,0)"
    expected = duckdb.execute(
        f"SELECT {', '.join([f'CAST({one} AS VARCHAR)' for one in fitting])}"
    ).fetchall()[0]
    assert len(values) == len(TEXTS) + len(expected) + 2
    too_large = "SELECT 170141183460469231731687303715884105727::HUGEINT"
    assert "DECIMAL(38,0)" in refusal(asked(http, too_large, format="parquet"))


@pytest.mark.parametrize(
    ("accept", "sent"),
    [
        ("*/*", "application/json"),
        ("text/html, text/csv;q=0.5, application/json;q=0.4", "text/csv; charset=utf-8"),
        ("application/vnd.apache.parquet", "application/vnd.apache.parquet"),
        ("application/json;q=0, application/*", "application/x-ndjson"),
        ("application/vnd.apache.arrow.stream;q=1, */*;q=0.1", "application/vnd.apache.arrow.stream"),
    ],
)
def test_the_format_is_that_which_is_accepted(http: httpx.Client, accept: str, sent: str) -> None:
    body = {"query": "SELECT 1 AS a"}
    answer = http.post(SQL, json=body, headers={"accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, sent)
    named = http.post(SQL, json={**body, "format": "ndjson"}, headers={"accept": accept})
    assert named.json() == {"a": 1}


def test_nothing_is_sent_that_is_not_accepted(http: httpx.Client) -> None:
    for accept in ("text/html", "application/json;q=0", "image/*;q=x"):
        answer = http.post(SQL, json={"query": "SELECT 1"}, headers={"accept": accept})
        assert "application/vnd.apache.parquet" in refusal(answer, 406)


def test_columns_have_names_and_types(http: httpx.Client) -> None:
    answer = asked(http, 'SELECT 1 AS a, 2 AS a, 3 AS "列 "",x"').json()
    assert answer["columns"] == [
        {"name": "a", "type": "INTEGER"},
        {"name": "a", "type": "INTEGER"},
        {"name": '列 ",x', "type": "INTEGER"},
    ]
    assert asked(http, "SELECT 1 AS a, 2 AS a", format="ndjson").json() == {"a": 1, "a_1": 2}


def test_the_order_of_a_query_is_kept(http: httpx.Client) -> None:
    assert rows(http, "SELECT range FROM range(500) ORDER BY range DESC") == [[n] for n in range(499, -1, -1)]


@pytest.mark.parametrize(
    ("parameters", "query", "value"),
    [
        (["x' OR 1=1 --"], "SELECT $1", "x' OR 1=1 --"),
        ([1, 2.5], "SELECT ? + ?", 3.5),
        ({"a": [1, 2]}, "SELECT list_sum($a)", "3"),
        ({"a": {"b": None}}, "SELECT $a", {"b": None}),
        ([2**70], "SELECT $1", str(2**70)),
        ([None, True], "SELECT coalesce($1, $2)", True),
    ],
)
def test_parameters_are_values(http: httpx.Client, parameters: Any, query: str, value: Any) -> None:
    assert rows(http, query, parameters) == [[value]]


@pytest.mark.parametrize(
    ("parameters", "query", "named"),
    [
        ([], "SELECT $1", "$1"),
        ([1], "SELECT 1", "not in the query: 1"),
        ({"b": 1}, "SELECT $a", "$a"),
        (["\0"], "SELECT $1", "null character"),
    ],
)
def test_wrong_parameters_are_named(http: httpx.Client, parameters: Any, query: str, named: str) -> None:
    detail = refusal(asked(http, query, parameters))
    assert detail.startswith("parameters")
    assert named in detail


LARGE = "SELECT array_to_string([md5((range * 40 + i)::VARCHAR) FOR i IN range(40)], '') FROM range(1000)"
"""1,280 characters a row that cannot be compressed well."""


@pytest.mark.parametrize("form", ["json", "ndjson", "csv", "arrow", "parquet"])
def test_a_cut_result_names_the_setting(http: httpx.Client, form: str) -> None:
    by_rows = asked(http, "SELECT range FROM range(1001)", format=form)
    assert by_rows.headers["x-truncated"] == "sql_max_rows"
    by_bytes = asked(http, LARGE, format=form)
    assert by_bytes.headers["x-truncated"] == "sql_max_bytes"
    assert 50_000 < len(by_bytes.content) < 101_000
    assert "x-truncated" not in asked(http, "SELECT range FROM range(1000)", format=form).headers
    if form == "json":
        assert (by_rows.json()["row_count"], by_rows.json()["truncated"]) == (1000, "rows")


def test_explain_is_text(http: httpx.Client) -> None:
    [[kind, text]] = rows(http, "EXPLAIN SELECT range FROM range(3) WHERE range > ?", [1])
    assert kind == "physical_plan"
    assert "RANGE" in text


@pytest.mark.parametrize(
    "body",
    [{}, {"query": ""}, {"query": "SELECT 1", "format": "xml"}, {"query": 1}, {"query": "SELECT 1", "x": 1}],
)
def test_wrong_requests(http: httpx.Client, body: Any) -> None:
    refusal(http.post(SQL, json=body))


def test_a_wrong_query_is_explained_and_the_worker_is_kept(
    http: httpx.Client, sql_server: Replaystack
) -> None:
    def is_kept() -> bool:
        """Unless the server recorded spans of its own meanwhile, which a new process has."""
        rows(http, "SELECT 1")
        before = {one.pid for one in workers(sql_server)}
        assert "Did you mean" in refusal(asked(http, "SELECT sum_(1)"))
        assert "syntax error" in refusal(asked(http, "SELEC 1"))
        assert "Conversion Error" in refusal(asked(http, "SELECT 'x'::INT"))
        rows(http, "SELECT 1")
        return {one.pid for one in workers(sql_server)} == before

    wait_until(is_kept)


def test_the_schema_describes_what_can_be_read(http: httpx.Client) -> None:
    schema = http.get(f"{SQL}/schema").json()
    for view in schema["views"]:
        described = rows(http, f"SELECT column_name, column_type FROM (DESCRIBE {view['name']})")
        assert described == [[column["name"], column["type"]] for column in view["columns"]]
        rows(http, f"SELECT * FROM {view['name']} LIMIT 1")
    prompt = http.get(f"{SQL}/schema", params={"format": "prompt"})
    assert all(view["name"] in prompt.text for view in schema["views"])
    refusal(http.get(f"{SQL}/schema", params={"format": "x"}))


def test_a_killed_worker_is_named_and_replaced(http: httpx.Client, sql_server: Replaystack) -> None:
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(asked(http, ENDLESS)))
    asking.start()
    busy = busy_worker(sql_server)
    os.kill(busy.pid, signal.SIGKILL)
    asking.join()
    assert "SIGKILL" in refusal(answers[0])
    assert rows(http, "SELECT 1") == [[1]]


def test_a_client_that_leaves_ends_its_query(http: httpx.Client, sql_server: Replaystack) -> None:
    leaving = HTTPConnection(urlsplit(sql_server.url).netloc)
    leaving.request("POST", SQL, json.dumps({"query": ENDLESS}), {"content-type": "application/json"})
    busy = busy_worker(sql_server)
    leaving.close()
    wait_until(lambda: not busy.is_running())


def test_more_than_may_wait_are_refused(http: httpx.Client, sql_server: Replaystack) -> None:
    """Two run, one waits, one is refused at once. The clients of the others leave after a while."""
    refused: list[httpx.Response] = []

    def ask() -> None:
        with sql_server.http() as client, suppress(httpx.ReadTimeout):
            refused.append(client.post(SQL, json={"query": ENDLESS}, timeout=8))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [answer] = refused
    assert "sql_waiting" in refusal(answer, 503)
    assert int(answer.headers["retry-after"]) >= 1
    wait_until(lambda: asked(http, "SELECT 1").status_code == 200)


def test_the_files_of_the_server_stay_locked(http: httpx.Client, sql_server: Replaystack) -> None:
    """Closing a file that a process has open releases its locks: the server must never open them for a copy."""
    Api(http).conversation()
    rows(http, "SELECT 1")
    for name in ("views", "telemetry"):
        opening = f"import duckdb; duckdb.connect({str(sql_server.data / name)!r} + '.duckdb')"
        tried = subprocess.run([sys.executable, "-c", opening], capture_output=True, text=True, timeout=60)
        assert "lock" in tried.stderr


def test_the_command_prints_a_table(http: httpx.Client, sql_server: Replaystack) -> None:
    shown = replaystack(
        "sql", "SELECT $n AS number, 'x' AS text", "--param", "n=5", "--data", str(sql_server.data)
    )
    assert shown.stdout.split() == ["number", "text", "5", "x", "1", "row"]
    cut = replaystack("sql", "FROM range(1001)", "--format", "csv", "--data", str(sql_server.data))
    assert len(cut.stdout.splitlines()) == 1001
    assert "sql_max_rows" in cut.stderr
    listed = replaystack("sql", "--list")
    assert "loops" in listed.stdout and "--param least=BIGINT (default 3, calls)" in listed.stdout
    named = ("sql", "--named", "loops", "--format", "ndjson", "--data", str(sql_server.data))
    assert replaystack(*named, "--param", "least=1").returncode == 0
    assert "no parameter 'most'" in replaystack(*named, "--param", "most=1").stderr
    wrong = replaystack("sql", "--named", "loop", "--data", str(sql_server.data))
    assert wrong.returncode == 1 and "Did you mean 'loops'?" in wrong.stderr
    schema = replaystack("sql", "--schema", "--data", str(sql_server.data))
    assert "turns: " in schema.stdout


def test_a_request_may_limit_its_rows(http: httpx.Client) -> None:
    cut = asked(http, "FROM range(9)", limit=3)
    assert (cut.headers["x-truncated"], cut.json()["rows"]) == ("limit", [[0], [1], [2]])
    assert "x-truncated" not in asked(http, "FROM range(3)", limit=3).headers
    assert asked(http, "FROM range(1001)", limit=5000).headers["x-truncated"] == "sql_max_rows"
    refusal(asked(http, "SELECT 1", limit=0))
