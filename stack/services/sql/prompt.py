"""The views as text that fits the prompt of a model."""

from __future__ import annotations

from schemas.api.sql import SqlSchema

DIALECT = "DuckDB 2.0. One SELECT, or EXPLAIN of one. Times are in UTC."


def prompt(schema: SqlSchema) -> str:
    """Returns a line for each view and each of its columns."""
    lines = [f"Dialect: {schema.dialect}", ""]
    for view in schema.views:
        lines.append(f"{view.name}: {view.description}")
        for column in view.columns:
            unit = f" [{column.unit}]" if column.unit else ""
            lines.append(f"  {column.name} {column.type}{unit}: {column.description}")
        lines.append("")
    return "\n".join(lines)
