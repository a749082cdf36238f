"""Views that are created when a query first names them: to create all of them takes 80 ms."""

from __future__ import annotations

import re
from collections.abc import Mapping

import duckdb

_WORD = re.compile(r"\w+")


class Views:
    """Views of one schema, by the statements that create them."""

    def __init__(self, schema: str, statements: Mapping[str, str]) -> None:
        self._schema = schema
        self._statements = statements
        self._needed = {name: self._in(statement) - {name} for name, statement in statements.items()}
        self._created: set[str] = set()

    def use(self, cursor: duckdb.DuckDBPyConnection, query: str) -> None:
        """Makes the schema the default one of a connection, with all views that the text of the query names."""
        if not self._created:
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {self._schema}")
        cursor.execute(f"SET schema = '{self._schema}'")
        wanted = self._in(query.lower())
        while more := {one for name in wanted for one in self._needed[name]} - wanted:
            wanted |= more
        for name, statement in self._statements.items():
            if name in wanted and name not in self._created:
                cursor.execute(statement)
                self._created.add(name)

    def _in(self, text: str) -> set[str]:
        return self._statements.keys() & set(_WORD.findall(text))
