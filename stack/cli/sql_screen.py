"""Shows results of SQL on the screen of a terminal: as a table, in a pager if it does not fit, or row by row."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from rich.console import Console
from rich.table import Table

from projections.user_views.queries import UserQuery
from schemas.api.sql import SqlView
from stack.cli.plain_text import plain
from stack.cli.sql_result import WIDE, natural_width, row_count, shown, table
from stack.cli.terminal import console

LESS = "-SRX"
"""Options of `less`, unless the user has others: long lines are cut and can be scrolled, colours pass."""


class Screen:
    """`expanded` shows a row as lines, `pages` uses a pager for what does not fit."""

    def __init__(self) -> None:
        self.expanded = False
        self.pages = True

    def show(self, result: Mapping[str, Any]) -> None:
        if self.expanded:
            self._print(_expanded(result))
        else:
            self._print_table(table(result))
        console().print(row_count(result), style="dim")

    def list_views(self, views: Iterable[SqlView]) -> None:
        listed = _columns("view", "description")
        for view in views:
            listed.add_row(plain(view.name), plain(view.description))
        self._print(listed)

    def describe(self, view: SqlView) -> None:
        listed = _columns("column", "type", "unit", "description")
        for one in view.columns:
            listed.add_row(*map(plain, (one.name, one.type, one.unit, one.description)))
        console().print(plain(view.description), style="dim")
        self._print(listed)

    def list_queries(self, queries: Iterable[UserQuery]) -> None:
        listed = _columns("query", "parameters", "description")
        for query in queries:
            names = [
                one.name if one.default is None else f"{one.name}={one.default}" for one in query.parameters
            ]
            listed.add_row(plain(query.name), plain(" ".join(names)), plain(query.description))
        self._print(listed)

    def _print(self, listed: Table) -> None:
        """Prints a table whose texts are broken into lines, so that its width fits."""
        out = console()
        text = _rendered(out, listed, out.width)
        if not (self.pages and text.count("\n") >= out.height and _page(text)):
            out.print(listed)

    def _print_table(self, content: Table) -> None:
        out = console()
        is_wide = natural_width(content) > out.width
        text = _rendered(out, content, WIDE)
        if not (self.pages and (is_wide or text.count("\n") >= out.height) and _page(text)):
            out.print(content)
            if is_wide:
                out.print("Not everything fits the width: \\x shows a row as lines.", style="dim")


def _page(text: str) -> bool:
    """Returns whether there is a pager, which has shown the text."""
    pager = shlex.split(os.environ.get("PAGER", "")) or ["less"]
    program = shutil.which(pager[0])
    if program is None:
        return False
    environment = {"LESS": LESS, **os.environ}
    paging = subprocess.Popen([program, *pager[1:]], stdin=subprocess.PIPE, env=environment)  # noqa: S603
    # Ctrl-C is for the pager, which may end before it has read everything.
    with suppress(BrokenPipeError, KeyboardInterrupt):
        paging.communicate(text.encode(errors="replace"))
    while paging.poll() is None:
        with suppress(KeyboardInterrupt):
            paging.wait()
    return True


def _rendered(out: Console, content: Table, width: int) -> str:
    text = io.StringIO()
    colours: Any = out.color_system
    Console(file=text, width=width, force_terminal=True, color_system=colours, highlight=False).print(content)
    return text.getvalue()


def _expanded(result: Mapping[str, Any]) -> Table:
    names = [column["name"] for column in result["columns"]]
    listed = Table.grid(padding=(0, 2, 0, 0))
    listed.add_column(style="dim", no_wrap=True)
    listed.add_column(overflow="fold")
    for number, row in enumerate(result["rows"], 1):
        listed.add_row(f"row {number}", "", style="bold")
        for name, value in zip(names, row, strict=True):
            listed.add_row(plain(name), plain(shown(value)))
    return listed


def _columns(*names: str) -> Table:
    listed = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for name in names:
        listed.add_column(name, overflow="fold", no_wrap=name in ("view", "column", "type", "query"))
    return listed
