"""The page of the documentation that describes the views and the queries: `docs/sql_views.md`, made of their headers."""

from __future__ import annotations

from collections.abc import Iterable

from projections.user_views import Column, UserView
from projections.user_views.queries import Parameter, UserQuery

_HEAD = """# Views for SQL

Every view below can be read in SQL of DuckDB. Join them by `session_id`, `turn_id`, `step_id` and `trace_id`.
This page is made of the headers of `projections/user_views/*.sql`.

- Times are `TIMESTAMP` in UTC, ids are text, JSON is `JSON`: `config ->> '$.model'` reads a text in it.
- `position` is the place in the event log. Times of events that were recorded together are equal; positions are not.
- A text above 256 KiB is stored apart. Where it would be, the views show a marker: `{"$blob": "<SHA-256>", "bytes": n}`.
  A key `$blob` of your own data is shown as `$$blob`.
- A fork shares turns with the sessions before it: each is one row of `turns`, and one row of `session_turns` for each session.
  `token_usage` counts each inference once.
- Text that a shield refused is not shown. With input shields, text that they have not judged is not shown either.
- `cost_usd` is by the prices of the settings (`[[prices]]`) as they are now. Where a price or a number of tokens is not known it
  is NULL, and a sum leaves it out: `unpriced_inferences` says how many it leaves out.
- What was deleted is not in the views; `events` has its place, name and time only. Events that the read models could not apply are
  in no view (`replaystack doctor` names them).
"""


_QUERIES = """# Named queries

Queries over these views that answer common questions, in `projections/user_views/queries`. Parameters without a default
must be given.

| query | answers | parameters |
|---|---|---|"""


def page(views: Iterable[UserView], queries: Iterable[UserQuery]) -> str:
    """Returns the page as Markdown: a table for each view, and one of the queries."""
    return "\n".join([_HEAD, *map(_section, views), _QUERIES, *map(_query, queries), ""])


def _query(query: UserQuery) -> str:
    said = "; ".join(map(_parameter, query.parameters))
    return f"| `{query.name}` | {query.description} | {said} |".replace("|  |", "| |")


def _parameter(one: Parameter) -> str:
    default = "" if one.default is None else f"`{one.default}`"
    said = " ".join(filter(None, (default, one.unit)))
    return f"`{one.name}`{f' ({said})' if said else ''}: {one.description.removesuffix('.')}"


def _section(view: UserView) -> str:
    rows = [_row(column) for column in view.columns]
    return "\n".join(
        [
            f"## {view.name}",
            "",
            view.description,
            "",
            "| column | type | unit | description |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _row(column: Column) -> str:
    cells = (f"`{column.name}`", f"`{column.type}`", column.unit, column.description)
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")
