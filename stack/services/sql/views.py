"""The views that queries may read, as they are described to users."""

from __future__ import annotations

from projections.user_views import user_views
from schemas.api.sql import SqlColumn, SqlSchema, SqlView
from stack.services.sql.prompt import DIALECT


def schema() -> SqlSchema:
    shown = [
        SqlView(
            view.name,
            view.description,
            [SqlColumn(one.name, one.type, one.unit, one.description) for one in view.columns],
        )
        for view in user_views().values()
    ]
    return SqlSchema(DIALECT, shown)
