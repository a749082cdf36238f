"""Named queries over the views for users' SQL: one file each, a SELECT with a header that describes it and its parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from msgspec import Struct

NAMES = (
    "costs",
    "dearest_sessions",
    "loops",
    "slowest_tools",
    "tool_errors_by_version",
    "time_to_first_token",
    "context_growth",
    "continued_turns",
    "waiting_approvals",
    "version_changes",
    "first_divergence",
    "eval_score_by_slice",
    "rows_that_flip",
    "tool_result_share",
    "shield_hits",
    "uncited_documents",
    "who_saw",
    "table_contents",
    "cache_share",
    "error_budgets",
)

_PARAMETER = re.compile(r"--   \$(\w+) \| (VARCHAR|BIGINT|DOUBLE|TIMESTAMP) \| ([^|]*)\| ([^|]*)\| (.+)")
_NUMBERS: Mapping[str, type[int | float]] = {"BIGINT": int, "DOUBLE": float}


class Parameter(Struct, frozen=True):
    """A parameter of a query. `default` is None for one that must be given; `type` is VARCHAR, BIGINT, DOUBLE or TIMESTAMP
    (a text); `unit` is empty for one without."""

    name: str
    type: str
    default: str | float | None
    unit: str
    description: str


class UserQuery(Struct, frozen=True):
    """A query with parameters in the form `$name`."""

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    sql: str


@cache
def user_queries() -> Mapping[str, UserQuery]:
    """Returns the queries by name, in the order of `NAMES`. They are read from their files once."""
    folder = files("projections") / "user_views" / "queries"
    return {name: parsed(name, (folder / f"{name}.sql").read_text(encoding="utf-8")) for name in NAMES}


def parsed(name: str, text: str) -> UserQuery:
    """Returns the query of a file's text. Raises ValueError if a line of the header has a wrong form.

    The header is a block of comments: lines that describe the query, then a line for each parameter in the form
    `--   $name | TYPE | default | unit | description`. A parameter without a default must be given.
    """
    head, separator, sql = text.partition("\n\n")
    description: list[str] = []
    parameters: list[Parameter] = []
    for line in head.splitlines():
        if (found := _PARAMETER.fullmatch(line)) is not None:
            parameter, type, default, unit, said = (
                found[1],
                found[2],
                found[3].strip(),
                found[4].strip(),
                found[5],
            )
            value = _NUMBERS.get(type, str)(default) if default else None
            parameters.append(Parameter(parameter, type, value, unit, said))
        elif line.startswith("-- ") and not parameters and line[3] != " ":
            description.append(line[3:])
        else:
            raise ValueError(
                f"{name}.sql: the line {line!r} of the header is neither a description of the query nor of a parameter;"
                " write '--   $name | TYPE | default | unit | description'."
            )
    if not (separator and description):
        raise ValueError(f"{name}.sql needs a header with a description, an empty line, and a SELECT.")
    return UserQuery(name, " ".join(description), tuple(parameters), sql.strip().removesuffix(";"))
