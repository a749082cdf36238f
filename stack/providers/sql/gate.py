"""Checks a query before it is run, so that errors are good ones: it names what is not offered and the remedy.

The wall is the worker's confinement, and not this check. A query is one SELECT, or EXPLAIN of one. Its syntax tree
names only the documented views; its bound plan, in which views, macros and `*` are resolved, has only the
operators and functions of two lists.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator
from typing import Any

import duckdb
from msgspec import Struct

from stack.providers.sql.functions import functions
from stack.providers.sql.refusal import QueryRefused
from stack.providers.sql.tasks import Parameters

MAX_QUERY_CHARS = 100_000
_SCHEMA_HINT = "GET /v1alpha/sql/schema describes the views"
_EXPLAIN = re.compile(
    r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*EXPLAIN\b(?:\s+ANALYZE\b)?(?:\s*\([^()]*\))?", re.I | re.S
)

_NO_JSON = re.compile(r"(?<=[:\[,])-?(?:nan|inf|infinity)(?=[,}\]])", re.I)

_TABLE_FUNCTIONS = frozenset(
    ("generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "unnest")
)
_SCAN = "seq_scan"
QUALIFIERS = (("main",), ("memory", "main"))
"""Catalog and schema before the name of a view of the present: tools write both."""
_OPERATORS = frozenset(
    f"LOGICAL_{name}"
    for name in (
        "AGGREGATE_AND_GROUP_BY",
        "ANY_JOIN",
        "ASOF_JOIN",
        "CHUNK_GET",
        "COMPARISON_JOIN",
        "CROSS_PRODUCT",
        "CTE_REF",
        "DELIM_GET",
        "DELIM_JOIN",
        "DEPENDENT_JOIN",
        "DISTINCT",
        "DUMMY_SCAN",
        "EMPTY_RESULT",
        "EXCEPT",
        "EXPRESSION_GET",
        "FILTER",
        "GET",
        "INTERSECT",
        "JOIN",
        "LIMIT",
        "MATERIALIZED_CTE",
        "ORDER_BY",
        "PIVOT",
        "POSITIONAL_JOIN",
        "PROJECTION",
        "RECURSIVE_CTE",
        "SAMPLE",
        "TOP_N",
        "UNION",
        "UNNEST",
        "WINDOW",
    )
)


class Statement(Struct, frozen=True):
    """A statement without its final semicolon. `is_explained` is true for EXPLAIN, whose result is text. `parameters` has
    the names of the parameters, in order."""

    sql: str
    is_explained: bool
    parameters: tuple[str, ...]


class Gate:
    """`views` are the names of the views in the default schema of a connection, which may stand before them in the form of
    one of the `qualifiers`."""

    def __init__(self, views: Collection[str], qualifiers: Collection[tuple[str, ...]] = ()) -> None:
        self._views = frozenset(views)
        self._qualifiers = {(), *qualifiers}

    def checked(
        self, cursor: duckdb.DuckDBPyConnection, query: str, parameters: Parameters | None
    ) -> Statement:
        """Returns the one statement of the query. Without `parameters`, all of them are NULL. Raises QueryRefused, and
        duckdb.Error for other faults of the query."""
        if len(query) > MAX_QUERY_CHARS:
            raise QueryRefused(
                f"query: it has {len(query)} characters; at most {MAX_QUERY_CHARS} are allowed."
            )
        if "\0" in query:
            raise QueryRefused("query: it contains a null character; leave it out.")
        found = cursor.extract_statements(query)
        if len(found) != 1:
            raise QueryRefused(f"query: it has {len(found)} statements; send exactly one SELECT or EXPLAIN.")
        [one] = found
        kind = one.type.name
        if kind == "MULTI":
            raise QueryRefused("query: PIVOT needs its values: name them with IN (...).")
        if kind not in ("SELECT", "EXPLAIN"):
            raise QueryRefused(f"query: {kind} is not offered; only SELECT and EXPLAIN of one are.")
        text = one.query.rstrip().rstrip(";")
        inner = text
        if kind == "EXPLAIN":
            beginning = _EXPLAIN.match(text)
            if beginning is None:
                raise QueryRefused("query: write EXPLAIN or EXPLAIN ANALYZE directly before the SELECT.")
            inner = text[beginning.end() :]
        names = sorted(one.named_parameters, key=_in_order)
        given = dict.fromkeys(names) if parameters is None else _named(parameters)
        if set(names) != set(given):
            raise QueryRefused(_difference(set(names), set(given)))
        tree = _answer(cursor, "json_serialize_sql", inner)
        self._check_tables(tree)
        if given:
            inner = _substituted(cursor, tree, given)
        _check_plan(_answer(cursor, "json_serialize_plan", inner))
        return Statement(text, kind == "EXPLAIN", tuple(names))

    def _check_tables(self, tree: Any) -> None:
        known = self._views | {name for node in _nodes(tree) for name in _common_tables(node)}
        for node in _nodes(tree):
            kind = node.get("type")
            if kind == "BASE_TABLE" or (kind == "SHOW_REF" and not node.get("query")):
                path = [part for part in _path(node) if part]
                views = known if len(path) == 1 else self._views
                if not path or tuple(path[:-1]) not in self._qualifiers or path[-1] not in views:
                    shown = ".".join(path)[:100] or "SHOW"
                    raise QueryRefused(
                        f"query: {shown!r} is not a view that is offered; {_SCHEMA_HINT}, and there are: "
                        f"{', '.join(sorted(self._views))}."
                    )
            elif kind == "TABLE_FUNCTION":
                name = str(node.get("function", {}).get("function_name", ""))
                if name not in _TABLE_FUNCTIONS:
                    raise QueryRefused(f"query: the table function {name[:100]!r} is not offered.")


def _check_plan(plan: Any) -> None:
    for node in _nodes(plan):
        kind = node.get("type")
        if isinstance(kind, str) and kind.startswith("LOGICAL_") and kind not in _OPERATORS:
            name = kind.removeprefix("LOGICAL_").replace("_", " ")
            raise QueryRefused(f"query: {name} is not offered; only SELECT and EXPLAIN of one are.")
        called = node.get("qname")
        if not isinstance(called, dict):
            continue
        function = str(called.get("path", [""])[-1])
        offered = (*_TABLE_FUNCTIONS, _SCAN) if kind == "LOGICAL_GET" else functions()
        if function not in offered:
            raise QueryRefused(f"query: the function {function[:100]!r} is not offered.")


def _answer(cursor: duckdb.DuckDBPyConnection, function: str, sql: str) -> Any:
    """Returns what DuckDB says of a statement. Raises QueryRefused with its error."""
    [[text]] = cursor.execute(f"SELECT {function}(?)", [sql]).fetchall()
    found = _decoded(text)
    if not found["error"]:
        return found
    message = str(found.get("error_message", ""))
    if "does not support serialization" in message:
        message = "It uses a table function, file or statement that is not offered."
    raise QueryRefused(f"query: {message[:2000]}")


def _decoded(text: str) -> Any:
    """Returns DuckDB's description of a statement, whose NaN and infinities are no JSON."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return json.loads(_NO_JSON.sub("null", text))
    except ValueError:
        raise QueryRefused("query: it cannot be checked; write its constants in another form.") from None


def _substituted(cursor: duckdb.DuckDBPyConnection, tree: Any, given: dict[str, Any]) -> str:
    """Returns the statement with the values in place of its parameters: plans with parameters are not shown."""
    literals = ", ".join([_literal(value) for value in given.values()])
    values = _answer(cursor, "json_serialize_sql", f"SELECT {literals}")
    nodes = dict(zip(given, values["statements"][0]["node"]["select_list"], strict=True))
    [[text]] = cursor.execute(
        "SELECT json_deserialize_sql(?::JSON)", [json.dumps(_replaced(tree, nodes))]
    ).fetchall()
    return str(text)


def _replaced(node: Any, values: dict[str, Any]) -> Any:
    if isinstance(node, dict):
        if node.get("class") == "PARAMETER":
            return values[node["identifier"]] | {"alias": node.get("alias", "")}
        return {key: _replaced(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [_replaced(value, values) for value in node]
    return node


def _literal(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case bool():
            return "true" if value else "false"
        case int():
            return f"({value})"
        case float():
            return f"'{value!r}'::DOUBLE" if math.isfinite(value) else f"'{value}'::DOUBLE"
        case str():
            if "\0" in value:
                raise QueryRefused("parameters: a text contains a null character; leave it out.")
            return "'" + value.replace("'", "''") + "'"
        case list():
            return f"[{', '.join([_literal(one) for one in value])}]"
        case dict():
            if not value:
                raise QueryRefused("parameters: an empty object has no type; leave it out.")
            members = [f"{_literal(key)}: {_literal(one)}" for key, one in value.items()]
            return "{" + ", ".join(members) + "}"
    raise QueryRefused(f"parameters: a value of the type {type(value).__name__} is not supported.")


def _named(parameters: Parameters) -> dict[str, Any]:
    if isinstance(parameters, dict):
        return parameters
    return {str(number): value for number, value in enumerate(parameters, 1)}


def _in_order(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdecimal() else (0, name)


def _difference(wanted: set[str], given: set[str]) -> str:
    lacking = ", ".join(f"${name}" for name in sorted(wanted - given)) or "none"
    unused = ", ".join(sorted(given - wanted))[:200] or "none"
    return (
        f"parameters: they are not those of the query. Missing: {lacking}; not in the query: {unused}. Send a list for "
        "$1 or ?, an object for $name."
    )


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yields every object of a tree, without recursion: a caller chooses its depth."""
    left = [tree]
    while left:
        node = left.pop()
        if isinstance(node, dict):
            yield node
            left.extend(node.values())
        elif isinstance(node, list):
            left.extend(node)


def _common_tables(node: dict[str, Any]) -> Iterator[str]:
    entries = node.get("cte_map")
    if isinstance(entries, dict):
        for entry in entries.get("map", ()):
            yield str(entry["key"])


def _path(node: dict[str, Any]) -> list[str]:
    """Returns the catalog, schema and name of a table, as far as they are given."""
    qualified = node.get("qualified_name")
    if isinstance(qualified, dict):
        return [str(part) for part in qualified.get("path", ())]
    return [str(node.get(part, "")) for part in ("catalog_name", "schema_name", "table_name")]
