"""The documented views for users' SQL: one file each, a SELECT with a header that describes the view and its columns.

The views are stable; the tables of the read models that they read are not. They are created in a database of their own,
to which the two files of a warehouse are attached, and use nothing but built-in functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files

from msgspec import Struct

from projections.user_views import prices
from projections.user_views.prices import Price

PARTS = (
    "_started_turns",
    "_verdicts",
    "_passed_inputs",
    "_passed_results",
    "_model_prices",
    "_priced",
    "_usage",
)
"""Undocumented views that others read, created before them, in this order, after `_prices`."""

NAMES = (
    "agents",
    "agent_versions",
    "session_turns",
    "sessions",
    "turns",
    "steps",
    "tool_calls",
    "approvals",
    "messages",
    "token_usage",
    "datasets",
    "dataset_rows",
    "benchmarks",
    "eval_jobs",
    "eval_results",
    "events",
    "training_jobs",
    "training_metrics",
    "training_checkpoints",
    "traces",
    "spans",
    "span_events",
    "metrics",
    "logs",
)
"""The views in an order in which they can be created: a view reads only earlier ones."""

PAST_PARTS = ("_past_traces",)
"""Like `PARTS`, for views of the past only."""

AS_OF_POSITION, AS_OF_NS = "as_of_position", "as_of_ns"
"""Variables of a connection that reads views of the past (see `past_statements`)."""

_TIMES = {
    "spans_recent": "coalesce(end_ns, start_ns)",
    "spans_stored": "coalesce(end_ns, start_ns)",
    "metric_points": "time_ns",
    "metric_histograms": "time_ns",
    "log_records": "coalesce(time_ns, observed_ns)",
}
"""When the rows of a table of telemetry happened, in ns since 1970. What is missing here has no time of its own."""

_TABLE = re.compile(r"(?<![\w.$])(views|telemetry)\.([a-z_]+)")
_COLUMN = re.compile(r"--   (\w+) \| ([A-Z]\S*) \| ([^|]*)\| (.+)")


class Column(Struct, frozen=True):
    """A column of a view. `type` is DuckDB's; `unit` is empty for a column without one."""

    name: str
    type: str
    unit: str
    description: str


class UserView(Struct, frozen=True):
    """`sql` is a SELECT without a header, for the placeholder schemas `views` and `telemetry`."""

    name: str
    description: str
    columns: tuple[Column, ...]
    sql: str


@cache
def user_views() -> Mapping[str, UserView]:
    """Returns the views by name, in the order of `NAMES`. They are read from their files once."""
    return {name: parsed(name, _text(name)) for name in NAMES}


def statements(views_schema: str, telemetry_schema: str, priced: Sequence[Price] = ()) -> dict[str, str]:
    """Returns the CREATE VIEW statements by the name of the view, in order, for the default schema of a connection.

    `views_schema` and `telemetry_schema` are the schemas of the builds that the two files serve, with the names under
    which the files are attached, such as `views.build_3`: valid SQL. Of the prices `priced` the first one whose pattern
    matches a model is its price.
    """
    schemas = {"views": views_schema, "telemetry": telemetry_schema}
    return _created(PARTS, priced, lambda _, file, table: f"{schemas[file]}.{table}")


def past_statements(views_schema: str, telemetry_schema: str, priced: Sequence[Price] = ()) -> dict[str, str]:
    """Like `statements`, for views that show what was at an earlier time, with the present prices.

    They read two variables of the connection, which are constants when a query is planned: views of agents, datasets and
    evaluations show what was recorded up to the position `as_of_position` of the event log; those of telemetry, which has a
    log of its own, what had happened by `as_of_ns`, in ns since 1970.
    """
    schemas = {"views": views_schema, "telemetry": telemetry_schema}

    def addressed(view: str, file: str, table: str) -> str:
        name = f"{schemas[file]}.{table}"
        # What was deleted since is hidden at all moments.
        if file == "views" and table != "agent_deletions":
            return f"(SELECT * FROM {name} WHERE position <= getvariable('{AS_OF_POSITION}'))"
        if table in _TIMES:
            return f"(SELECT * FROM {name} WHERE {_TIMES[table]} <= getvariable('{AS_OF_NS}'))"
        if table == "traces" and view not in PAST_PARTS:
            return "_past_traces"
        return name

    return _created((*PAST_PARTS, *PARTS), priced, addressed)


def _created(
    parts: Sequence[str], priced: Sequence[Price], addressed: Callable[[str, str, str], str]
) -> dict[str, str]:
    """`addressed` returns what a view reads in place of a table of a file."""
    selects = {name: _select(_text(name)) for name in parts}
    selects |= {view.name: view.sql for view in user_views().values()}

    def created(name: str, select: str) -> str:
        read = _TABLE.sub(lambda match: addressed(name, match[1], match[2]), select)
        return f"CREATE VIEW {name} AS\n{read}"

    return {
        "_prices": prices.statement(priced),
        **{name: created(name, select) for name, select in selects.items()},
    }


def parsed(name: str, text: str) -> UserView:
    """Returns the view of a file's text. Raises ValueError if a line of the header has a wrong form.

    The header is a block of comments: lines that describe the view, then a line for each column in the form
    `--   name | type | unit | description`; lines that continue a description are indented more.
    """
    head, separator, _ = text.partition("\n\n")
    description: list[str] = []
    columns: list[Column] = []
    for line in head.splitlines():
        if (found := _COLUMN.fullmatch(line)) is not None:
            column, type, unit, said = found.groups()
            columns.append(Column(column, type, unit.strip(), said))
        elif columns and line.startswith("--      "):
            last = columns[-1]
            columns[-1] = Column(last.name, last.type, last.unit, f"{last.description} {line[2:].strip()}")
        elif line.startswith("-- ") and not columns and line[3] != " ":
            description.append(line[3:])
        else:
            raise ValueError(
                f"{name}.sql: the line {line!r} of the header is neither a description of the view nor of a column;"
                " write '--   name | TYPE | unit | description'."
            )
    if not (separator and description and columns):
        raise ValueError(
            f"{name}.sql needs a header (a description, then columns), an empty line, and a SELECT."
        )
    return UserView(name, " ".join(description), tuple(columns), _select(text))


def _select(text: str) -> str:
    return text.partition("\n\n")[2].strip().removesuffix(";")


def _text(name: str) -> str:
    return (files("projections") / "user_views" / f"{name}.sql").read_text(encoding="utf-8")
