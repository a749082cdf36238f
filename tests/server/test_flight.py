"""Arrow Flight SQL through a real server: what ADBC, pandas, polars and another DuckDB read, and what tools ask first."""

from __future__ import annotations

import datetime
import math
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import adbc_driver_flightsql.dbapi as dbapi
import duckdb
import pandas
import polars
import pyarrow as pa
import pytest

from projections.user_views import user_views
from tests.server.api import Api
from tests.server.flight import ENVIRONMENT, KEYS, Client, connect, wait_until_open
from tests.server.process import ROOT, Replaystack, free_port
from tests.server.sql_queries import asked
from tests.servers.processes import RunningServer

pytestmark = pytest.mark.slow

PORT = free_port()
SETTINGS = {"flight_port": PORT, "sql_max_rows": 3_000_000, "sql_max_bytes": 64 * 2**20, "sql_waiting": 64}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, scripted_server: RunningServer) -> Iterator[Replaystack]:
    data = tmp_path_factory.mktemp("flight") / "data"
    with Replaystack(
        data, model_url=scripted_server.base_url, settings=SETTINGS, environment=ENVIRONMENT
    ) as server:
        wait_until_open(server)
        yield server
        server.check_healthy()
    assert server.wait() == 0
    assert '"level":"error"' not in server.log, server.log


@pytest.fixture(scope="module")
def connection(server: Replaystack) -> Iterator[dbapi.Connection]:
    with connect(PORT) as connection:
        yield connection


@pytest.fixture(scope="module")
def client(server: Replaystack) -> Iterator[Client]:
    with Client(PORT) as client:
        yield client


def refusal(connection: dbapi.Connection, query: str) -> str:
    with connection.cursor() as cursor, pytest.raises(dbapi.Error) as error:
        cursor.execute(query)
        cursor.fetchall()
    return str(error.value)


def test_a_query_sees_what_was_acknowledged(server: Replaystack, connection: dbapi.Connection) -> None:
    with (
        server.http(headers={"authorization": f"Bearer {KEYS['ann']}"}) as http,
        connection.cursor() as cursor,
    ):
        for _ in range(2):
            conversation = Api(http).conversation()
            turn = conversation.turn()
            cursor.execute(
                "SELECT turn_id, status FROM memory.main.turns WHERE session_id = $1",
                [conversation.session_id],
            )
            assert cursor.fetchall() == [(turn["turn_id"], "completed")]


TYPES: dict[str, tuple[pa.DataType, Any]] = {
    "NULL": (pa.null(), None),
    "true": (pa.bool_(), True),
    "1::UTINYINT": (pa.uint8(), 1),
    "170141183460469231731687303715884105727::HUGEINT // 10": (pa.decimal128(38, 0), Decimal(2**127 // 10)),
    "1.50::DECIMAL(9, 2)": (pa.decimal128(9, 2), Decimal("1.50")),
    "'inf'::DOUBLE": (pa.float64(), math.inf),
    "'名前 🙂'": (pa.string(), "名前 🙂"),
    "'\\xFFa'::BLOB": (pa.binary(), b"\xffa"),
    "DATE '2026-01-31'": (pa.date32(), datetime.date(2026, 1, 31)),
    "TIMESTAMP '2026-01-31 10:00:00.5'": (
        pa.timestamp("us"),
        datetime.datetime(2026, 1, 31, 10, 0, 0, 500_000),
    ),
    "epoch_us(TIMESTAMPTZ '2026-01-31 10:00:00+02')": (pa.int64(), 1_769_846_400_000_000),
    "TIME '10:00:00'": (pa.time64("us"), datetime.time(10)),
    "[1, NULL]": (pa.list_(pa.field("l", pa.int32())), [1, None]),
    "{'a': 1, 'b c': ['x']}": (
        pa.struct([("a", pa.int32()), ("b c", pa.list_(pa.field("l", pa.string())))]),
        {"a": 1, "b c": ["x"]},
    ),
    "MAP {1: 'a'}": (pa.map_(pa.int32(), pa.string()), [(1, "a")]),
    "'{\"a\":[1]}'::JSON": (pa.string(), '{"a":[1]}'),
    "'11111111-1111-1111-1111-111111111111'::UUID": (pa.string(), "11111111-1111-1111-1111-111111111111"),
}


def test_values_have_the_types_that_duckdb_gives_them(client: Client) -> None:
    query = "SELECT " + ", ".join(f"{one} AS c{number}" for number, one in enumerate(TYPES))
    table = client.table("CommandStatementQuery", query=query)
    for (expression, (kind, value)), field, column in zip(
        TYPES.items(), table.schema, table.columns, strict=True
    ):
        assert (expression, field.type, column[0].as_py()) == (expression, kind, value)
    zones = client.table("CommandStatementQuery", query="SELECT now() AS at, 'nan'::FLOAT AS nan")
    assert zones.schema.field("at").type.tz in ("UTC", "Etc/UTC")
    assert math.isnan(zones["nan"][0].as_py())


def test_results_are_those_over_http(server: Replaystack, client: Client) -> None:
    query = "SELECT * FROM (SELECT i, 'x' || i AS t, [i] AS l FROM range(100000) r(i))"
    with server.http(headers={"authorization": f"Bearer {KEYS['ann']}"}) as http:
        answer = asked(http, query, format="arrow")
    over_http = pa.ipc.open_stream(answer.content).read_all()
    assert client.table("CommandStatementQuery", query=query) == over_http
    assert over_http.num_rows == 100_000


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 AS a WHERE false",
        "SELECT * FROM spans WHERE name = 'none'",
        'SELECT 1 AS "a""b", 2 AS "名", 3 AS " ", 4 AS "a.b"',
        "SELECT 1 AS a, 2 AS a",
        "EXPLAIN SELECT 1",
        "SELECT 1 -- with a comment",
    ],
)
def test_columns_are_announced_as_they_come(client: Client, query: str) -> None:
    found = client.table("CommandStatementQuery", query=query)
    assert found.num_columns >= 1


def test_pandas_polars_and_another_duckdb(connection: dbapi.Connection) -> None:
    query = "SELECT i AS id, i * 0.5 AS half, 'n' || i AS name FROM range(1000) r(i)"
    frame = pandas.read_sql(query, connection)
    assert frame.shape == (1000, 3)
    assert frame["half"].sum() == 249_750.0
    other = polars.read_database(query, connection)
    assert other["name"].to_list() == [f"n{number}" for number in range(1000)]
    with connection.cursor() as cursor:
        cursor.execute(query)
        ours = cursor.fetch_record_batch()
        database = duckdb.connect()
        [row] = database.execute("SELECT count(*), sum(id), max(half) FROM ours").fetchall()
        assert row == (1000, 499_500, 499.5)
        del ours


def test_parameters(connection: dbapi.Connection, client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT $1 + 1 AS n, $2 AS t, $3 IS NULL AS z, DATE '2026-01-02' = $4 AS d, 1.50::DECIMAL(9, 2) = $5 AS e",
            [41, "it's", None, datetime.date(2026, 1, 2), Decimal("1.50")],
        )
        assert cursor.fetchall() == [(42, "it's", True, True, True)]
        cursor.execute("SELECT ? AS a, ? AS b", ["x", 2.5])
        assert cursor.fetchall() == [("x", 2.5)]
        with pytest.raises(dbapi.Error, match=r"Missing: \$1"):
            cursor.execute("SELECT $1")
    statement = client.prepared("SELECT $1 AS a, $2 AS b FROM range(3)")
    wanted = pa.ipc.read_schema(pa.py_buffer(statement.parameter_schema))
    assert wanted.names == ["1", "2"]
    handle = statement.prepared_statement_handle
    for value in ("x", "y"):
        client.bind(handle, pa.table({"1": [value], "2": [True]}))
        found = client.table("CommandPreparedStatementQuery", prepared_statement_handle=handle)
        assert found.to_pylist() == [{"a": value, "b": True}] * 3
    with pytest.raises(pa.ArrowInvalid, match="one row at a time"):
        client.bind(handle, pa.table({"1": ["x", "y"], "2": [True, True]}))


def test_a_result_that_is_cut_ends_with_an_error(connection: dbapi.Connection, client: Client) -> None:
    assert "after 3000000 rows it exceeds the setting sql_max_rows" in refusal(
        connection, "SELECT i FROM range(3000001) r(i)"
    )
    query = "SELECT i, repeat('x', 100) AS t FROM range(1000000) r(i)"
    assert "not complete" in refusal(connection, query)
    # A tool that shows the first rows gets them.
    [endpoint] = client.info("CommandStatementQuery", query=query).endpoints
    reader = client.flight.do_get(endpoint.ticket, client.options)
    assert reader.read_chunk().data.column(0)[0].as_py() == 0
    with pytest.raises(pa.ArrowInvalid, match=r"after \d+ rows it exceeds the setting sql_max_bytes"):
        for _ in reader:
            pass


def test_long_rows_come_in_messages_that_clients_take(connection: dbapi.Connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT i, repeat('x', 8000) AS t, [i, i + 1] AS l, i % 2 = 0 AS b FROM range(6001) r(i)"
        )
        table = cursor.fetch_arrow_table()
    table.validate(full=True)
    rows = table.to_pylist()
    assert [(row["i"], row["l"], row["b"], len(row["t"])) for row in rows] == [
        (number, [number, number + 1], number % 2 == 0, 8000) for number in range(6001)
    ]


def test_the_examples_of_the_page_run(server: Replaystack) -> None:
    page = (ROOT / "docs" / "flight.md").read_text()
    examples = [block.partition("```")[0] for block in page.split("```python\n")[1:]]
    assert len(examples) >= 2
    for example in examples:
        exec(example.replace(":8322", f":{PORT}").replace("A_KEY", KEYS["ann"]), {})


def test_two_clients_at_once(server: Replaystack) -> None:
    found: list[Any] = []

    def read(name: str) -> None:
        with connect(PORT, name) as connection, connection.cursor() as cursor:
            for number in range(5):
                cursor.execute("SELECT count(*) FROM range($1)", [number * 1000])
                found.append((name, number, cursor.fetchall()))

    threads = [threading.Thread(target=read, args=(name,)) for name in KEYS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted((name, number, [(number * 1000,)]) for name in KEYS for number in range(5))


def test_what_tools_ask_first(connection: dbapi.Connection, client: Client) -> None:
    assert connection.adbc_get_info()["vendor_name"] == "Replaystack"
    [catalog] = connection.adbc_get_objects(depth="all").read_all().to_pylist()
    [schema] = catalog["catalog_db_schemas"]
    assert (catalog["catalog_name"], schema["db_schema_name"]) == ("memory", "main")
    views = {table["table_name"]: table for table in schema["db_schema_tables"]}
    assert set(views) == set(user_views())
    for name, view in user_views().items():
        columns = [column["column_name"] for column in views[name]["table_columns"]]
        assert columns == [column.name for column in view.columns]
    assert connection.adbc_get_table_types() == ["VIEW"]
    assert connection.adbc_get_table_schema("turns") == client.columns(
        "CommandStatementQuery", query="SELECT * FROM turns"
    )
    tables = client.table("CommandGetTables", table_name_filter_pattern="eval\\_%", include_schema=True)
    assert tables["table_name"].to_pylist() == ["eval_jobs", "eval_results"]
    assert pa.ipc.read_schema(pa.py_buffer(tables["table_schema"][0].as_py())).names[0] == "benchmark_id"


@pytest.mark.parametrize(
    ("name", "fields", "rows"),
    [
        ("CommandGetCatalogs", {}, 1),
        ("CommandGetDbSchemas", {}, 1),
        ("CommandGetDbSchemas", {"catalog": "other"}, 0),
        ("CommandGetDbSchemas", {"catalog": ""}, 0),
        ("CommandGetDbSchemas", {"db_schema_filter_pattern": "m_in"}, 1),
        ("CommandGetTables", {"table_types": ["TABLE"]}, 0),
        ("CommandGetTables", {"table_types": ["TABLE", "VIEW"], "table_name_filter_pattern": "span%"}, 2),
        ("CommandGetTables", {"db_schema_filter_pattern": "x%"}, 0),
        ("CommandGetTables", {"table_name_filter_pattern": "%" * 1000 + "zz"}, 0),
        ("CommandGetTableTypes", {}, 1),
        ("CommandGetPrimaryKeys", {"table": "turns"}, 0),
        ("CommandGetImportedKeys", {"table": "turns"}, 0),
        ("CommandGetExportedKeys", {"table": "turns"}, 0),
        ("CommandGetCrossReference", {"pk_table": "turns", "fk_table": "steps"}, 0),
        ("CommandGetXdbcTypeInfo", {"data_type": 12}, 1),
        ("CommandGetSqlInfo", {"info": [0, 3, 508, 99_999]}, 3),
    ],
)
def test_metadata(client: Client, name: str, fields: dict[str, Any], rows: int) -> None:
    assert client.table(name, **fields).num_rows == rows


def test_types_are_sorted_as_jdbc_wants(client: Client) -> None:
    types = client.table("CommandGetXdbcTypeInfo").select(["data_type", "type_name"]).to_pylist()
    assert types == sorted(types, key=lambda one: (one["data_type"], one["type_name"]))
    info = {row["info_name"]: row["value"] for row in client.table("CommandGetSqlInfo").to_pylist()}
    assert info[0] == "Replaystack"
    assert info[3] is True
    assert "PIVOT" in info[508]
