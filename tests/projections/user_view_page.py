"""Writes docs/sql_views.md: `python -m tests.projections.user_view_page`."""

from __future__ import annotations

from pathlib import Path

from projections.user_views import user_views
from projections.user_views.page import page
from projections.user_views.queries import user_queries

PATH = Path(__file__).parents[2] / "docs/sql_views.md"


def text() -> str:
    return page(user_views().values(), user_queries().values())


if __name__ == "__main__":
    PATH.write_text(text())
