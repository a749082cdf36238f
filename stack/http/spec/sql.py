"""Description of SQL over the documented views."""

from __future__ import annotations

from schemas.api.sql import SqlRequest, SqlResult, SqlSchema
from stack.http.spec.operation import Operation, Parameter


def operations(tag: str) -> tuple[Operation, ...]:
    return (
        Operation(
            method="post",
            path="/v1alpha/sql",
            id="run_sql",
            tag=tag,
            summary="Run an SQL query over the documented views.",
            description="One SELECT, or EXPLAIN of one, in DuckDB's dialect, over a snapshot that has everything that was "
            "acknowledged before, or what was there at `as_of`. `format` is json, ndjson, csv, arrow or parquet; without it, the header "
            "`Accept` chooses. The header `x-truncated` names the setting of the "
            "limit that cut the result. See docs/sql.md.",
            body=SqlRequest,
            answer=SqlResult,
            says="The result.",
        ),
        Operation(
            method="get",
            path="/v1alpha/sql/schema",
            id="get_sql_schema",
            tag=tag,
            summary="Describe the views that SQL can read.",
            parameters=(
                Parameter(
                    name="format",
                    kind=str,
                    description="json, or prompt for text that fits a model's prompt; json where absent.",
                ),
            ),
            answer=SqlSchema,
            says="The views, with their columns, types, units and descriptions.",
        ),
    )
