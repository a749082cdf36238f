"""The words that the prompt of `replaystack sql` offers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from projections.user_views.queries import UserQuery
from schemas.api.sql import SqlSchema, SqlView
from stack.cli.sql_statements import is_open, last_statement

KEYWORDS = [
    "ALL",
    "AND",
    "ANTI",
    "AS",
    "ASC",
    "ASOF",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CROSS",
    "CUBE",
    "CURRENT",
    "DESC",
    "DISTINCT",
    "ELSE",
    "END",
    "ESCAPE",
    "EXCEPT",
    "EXCLUDE",
    "EXISTS",
    "EXPLAIN",
    "FALSE",
    "FILTER",
    "FIRST",
    "FOLLOWING",
    "FROM",
    "FULL",
    "GROUP",
    "GROUPING",
    "HAVING",
    "ILIKE",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LAST",
    "LATERAL",
    "LEFT",
    "LIKE",
    "LIMIT",
    "MATERIALIZED",
    "NAME",
    "NATURAL",
    "NOT",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "PIVOT",
    "POSITIONAL",
    "PRECEDING",
    "QUALIFY",
    "RANGE",
    "RECURSIVE",
    "REPLACE",
    "RIGHT",
    "ROLLUP",
    "ROW",
    "ROWS",
    "SAMPLE",
    "SELECT",
    "SEMI",
    "SETS",
    "SIMILAR",
    "SUMMARIZE",
    "THEN",
    "TO",
    "TRUE",
    "UNBOUNDED",
    "UNION",
    "UNNEST",
    "UNPIVOT",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
    "BIGINT",
    "BOOLEAN",
    "DATE",
    "DOUBLE",
    "HUGEINT",
    "INTEGER",
    "JSON",
    "TIME",
    "TIMESTAMP",
    "TIMESTAMPTZ",
    "UUID",
    "VARCHAR",
]

_WORD = re.compile(r"[\w.]*$")
_FUNCTION = re.compile(r"[a-z]\w*")
_READS = re.compile(r"\b(?:FROM|JOIN)\s+(?:[\w\s,]*,\s*)?$", re.I)
_READ = re.compile(r"(?:\b(?:FROM|JOIN)|,)\s+(\w+)(?:\s+(?:AS\s+)?(\w+))?", re.I)
_COMMON_TABLE = re.compile(r"(?:\bWITH(?:\s+RECURSIVE)?|,)\s+(\w+)\s+AS\b", re.I)
_DESCRIPTION_CHARS = 70

Arguments = Callable[[str], Iterable[str]]
"""From what is written of the arguments of a command to the words that can come next."""


class SqlCompleter(Completer):
    """Offers views, their columns, functions and keywords; after a backslash commands and their arguments."""

    def __init__(
        self, schema: SqlSchema, functions: Iterable[str], commands: Mapping[str, tuple[str, Arguments]]
    ) -> None:
        self._views = {view.name: view for view in schema.views}
        self._functions = sorted(one for one in functions if _FUNCTION.fullmatch(one))
        self._commands = commands

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        before = document.text_before_cursor
        if before.lstrip().startswith("\\"):
            yield from self._of_command(before.lstrip())
        elif not is_open(before):
            found = _WORD.search(before)
            word = found[0] if found else ""
            if word or complete_event.completion_requested:
                yield from self._of_statement(before, document.text_after_cursor, word)

    def _of_command(self, text: str) -> Iterator[Completion]:
        name, separator, arguments = text.partition(" ")
        if not separator:
            for command, (description, _) in self._commands.items():
                if command.startswith(name):
                    yield Completion(command, -len(name), display_meta=description)
        elif name in self._commands:
            word = arguments.rpartition(" ")[2]
            for one in self._commands[name][1](arguments):
                if one.startswith(word):
                    yield Completion(one, -len(word))

    def _of_statement(self, before: str, after: str, word: str) -> Iterator[Completion]:
        statement = last_statement(before)
        read = self._read(statement + after)
        qualifier, dot, part = word.rpartition(".")
        if dot:
            view = read.get(qualifier.lower())
            if view is not None:
                yield from _columns([view], part)
            return
        tables = dict.fromkeys(_COMMON_TABLE.findall(statement), "in this query")
        tables |= {view.name: _short(view.description) for view in self._views.values()}
        is_table = _READS.search(statement[: len(statement) - len(word)]) is not None
        if not is_table:
            yield from _columns(read.values() or self._views.values(), word)
            yield from _matching(read, word, "alias")
        for name, description in tables.items():
            if name.startswith(word.lower()):
                yield Completion(name, -len(word), display_meta=description)
        if word and not is_table:
            for name in self._functions:
                if name.startswith(word.lower()):
                    yield Completion(f"{name}(", -len(word), display=name, display_meta="function")
            keywords = map(str.lower, KEYWORDS) if word.islower() else KEYWORDS
            yield from _matching(keywords, word, "keyword")

    def _read(self, statement: str) -> dict[str, SqlView]:
        """Returns the views that a statement reads, by the name or alias that it gives them."""
        found = {}
        for name, alias in _READ.findall(statement):
            view = self._views.get(name.lower())
            if view is not None:
                is_alias = alias and alias.upper() not in KEYWORDS
                found[alias.lower() if is_alias else view.name] = view
        return found


def named_arguments(queries: Mapping[str, UserQuery]) -> Arguments:
    """Completes the name of a named query, then its parameters."""

    def offered(arguments: str) -> Iterable[str]:
        name, separator, rest = arguments.partition(" ")
        if not separator:
            return queries
        known = queries[name].parameters if name in queries else ()
        return [f"{one.name}=" for one in known if f"{one.name}=" not in rest]

    return offered


def _columns(views: Iterable[SqlView], word: str) -> Iterator[Completion]:
    """Offers each name once: views share names such as `turn_id`."""
    offered: set[str] = set()
    for view in views:
        for column in view.columns:
            if column.name.startswith(word.lower()) and column.name not in offered:
                offered.add(column.name)
                unit = f" [{column.unit}]" if column.unit else ""
                meta = f"{column.type}{unit}: {_short(column.description)}"
                yield Completion(column.name, -len(word), display_meta=meta)


def _matching(names: Iterable[str], word: str, meta: str) -> Iterator[Completion]:
    for name in names:
        if name.upper().startswith(word.upper()) and name.upper() != word.upper():
            yield Completion(name, -len(word), display_meta=meta)


def _short(text: str) -> str:
    return text if len(text) <= _DESCRIPTION_CHARS else text[: _DESCRIPTION_CHARS - 1] + "…"
