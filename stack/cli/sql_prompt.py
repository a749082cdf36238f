"""The prompt of `replaystack sql`: statements that end with a semicolon, and commands that begin with a backslash."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from http.client import HTTPException
from typing import Any

import click
import msgspec
from prompt_toolkit import PromptSession
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from prompt_toolkit.output import create_output
from pygments.lexers.sql import PostgresLexer

from projections.user_views.queries import user_queries
from schemas.api.sql import SqlSchema
from stack.cli import text_of
from stack.cli.connection import AnswerError
from stack.cli.sql_completion import Arguments, SqlCompleter, named_arguments
from stack.cli.sql_history import history_path, opened_history
from stack.cli.sql_named import named_query
from stack.cli.sql_result import TABLE, asked, given, warn_if_cut
from stack.cli.sql_screen import Screen
from stack.cli.sql_source import source
from stack.cli.sql_statements import is_complete, statements
from stack.cli.terminal import console, unescaped, write_out
from stack.providers.sql.functions import functions

PROMPT, CONTINUED = "sql> ", "...> "
FORMATS = (TABLE, "json", "ndjson", "csv")
_LEAVING = ("exit", "quit")


class SqlPrompt:
    """`options` are those of the command, for `source`: the server may be another one for each query."""

    def __init__(self, options: Mapping[str, Any], form: str, as_of: str | None) -> None:
        self._options = options
        self._form = form if form in FORMATS else TABLE
        self._as_of = as_of
        self._shows_time = False
        self._screen = Screen()
        self._schema: SqlSchema | None = None
        self._commands: dict[str, tuple[Callable[[list[str]], None], str, Arguments]] = {
            "\\d": (self._describe, "[VIEW]  list the views, or the columns of one", self._views),
            "\\named": (
                self._named,
                "[NAME [PARAMETER=VALUE...]]  list the named queries, or run one",
                named_arguments(user_queries()),
            ),
            "\\asof": (
                self._set_as_of,
                "[POSITION|TIME|now]  show what was there at a position of the log or a time",
                lambda _: ("now",),
            ),
            "\\format": (self._set_format, "[FORMAT]  table, json, ndjson or csv", lambda _: FORMATS),
            "\\timing": (self._set_timing, "[on|off]  show how long a query takes", _switch),
            "\\x": (self._set_expanded, "[on|off]  show a row as lines, one for each column", _switch),
            "\\pager": (self._set_pager, "[on|off]  page results that do not fit the screen", _switch),
            "\\?": (self._help, "this list", _nothing),
            "\\q": (self._leave, "leave, as ctrl-d does", _nothing),
        }

    def run(self) -> None:
        session = self._session()
        while True:
            try:
                text = session.prompt(self._text())
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            try:
                self.answer(text)
            except EOFError:
                return
            except KeyboardInterrupt:
                click.echo("Cancelled.", err=True)
            except Exception as error:
                problem = _problem(error)
                if problem is None:
                    raise
                click.echo(problem, err=True)

    def answer(self, text: str) -> None:
        """Runs what was typed: a command, or statements one by one. Raises EOFError to leave."""
        text = text.strip()
        if text.lower().rstrip(";") in _LEAVING:
            raise EOFError
        if not text.startswith("\\"):
            for statement in statements(text):
                self._run(statement, {})
            return
        try:
            name, *arguments = shlex.split(text.replace("\\", "\\\\", 1).rstrip(";"))
        except ValueError as error:
            raise click.UsageError(f"{text}: {error}.") from None
        if name not in self._commands:
            raise click.UsageError(f"There is no command {name}; \\? lists them.")
        self._commands[name][0](arguments)

    def _run(self, query: str, parameters: Mapping[str, Any]) -> None:
        began = time.monotonic()
        answered = source(self._options).answer(asked(query, parameters, self._form, self._as_of))
        if self._form == TABLE:
            result = msgspec.json.decode(b"".join(answered.pieces))
            took_s = time.monotonic() - began
            self._screen.show(result)
        else:
            for piece in answered.pieces:
                write_out(piece)
            if self._form == "json":
                click.echo()
            took_s = time.monotonic() - began
        warn_if_cut(answered.limit)
        if self._shows_time:
            click.echo(f"{took_s * 1000:,.1f} ms")

    def _text(self) -> str:
        return PROMPT if self._as_of is None else f"{self._as_of} {PROMPT}"

    def _session(self) -> PromptSession[str]:
        history, problem = opened_history(history_path())
        if problem:
            click.echo(problem, err=True)
        described = {name: (one[1], one[2]) for name, one in self._commands.items()}
        where = source(self._options).name
        console().print(
            f"SQL (DuckDB's dialect) over {where}. \\? lists the commands, \\q leaves.", style="dim"
        )
        return PromptSession(
            multiline=True,
            prompt_continuation=lambda width, _number, _is_wrapped: CONTINUED.rjust(width),
            history=history,
            lexer=PygmentsLexer(PostgresLexer),
            completer=SqlCompleter(self._known(), functions(), described),
            key_bindings=_bindings(),
            # It escapes what it writes itself.
            output=create_output(stdout=unescaped(sys.stdout)),
        )

    def _known(self) -> SqlSchema:
        if self._schema is None:
            self._schema = source(self._options).schema()
        return self._schema

    def _views(self, _: str) -> Iterable[str]:
        return [view.name for view in self._known().views]

    def _describe(self, arguments: list[str]) -> None:
        if not arguments:
            self._screen.list_views(self._known().views)
            return
        found = [view for view in self._known().views if view.name == arguments[0].lower()]
        if not found:
            raise click.UsageError(f"There is no view {arguments[0]!r}; \\d lists them.")
        self._screen.describe(found[0])

    def _named(self, arguments: list[str]) -> None:
        if arguments:
            self._run(*named_query(arguments[0], dict(map(given, arguments[1:]))))
        else:
            self._screen.list_queries(user_queries().values())

    def _set_as_of(self, arguments: list[str]) -> None:
        if arguments and arguments[0] != "now":
            moment = " ".join(arguments)
            # Refused at once if it is none.
            source(self._options).answer(asked("SELECT 1", {}, "csv", moment))
            self._as_of = moment
        elif arguments:
            self._as_of = None
        click.echo(
            "Queries show what is there now."
            if self._as_of is None
            else f"Queries show what was there at {self._as_of}."
        )

    def _set_format(self, arguments: list[str]) -> None:
        if arguments and arguments[0] not in FORMATS:
            raise click.UsageError(f"The format is one of these: {', '.join(FORMATS)}.")
        self._form = arguments[0] if arguments else self._form
        click.echo(f"The format is {self._form}.")

    def _set_timing(self, arguments: list[str]) -> None:
        self._shows_time = _switched(arguments, self._shows_time)
        click.echo(f"Timing is {'on' if self._shows_time else 'off'}.")

    def _set_expanded(self, arguments: list[str]) -> None:
        self._screen.expanded = _switched(arguments, self._screen.expanded)
        click.echo(f"Rows are shown as {'lines' if self._screen.expanded else 'a table'}.")

    def _set_pager(self, arguments: list[str]) -> None:
        self._screen.pages = _switched(arguments, self._screen.pages)
        click.echo(f"The pager is {'on' if self._screen.pages else 'off'}.")

    def _help(self, _: list[str]) -> None:
        click.echo("A statement ends with a semicolon; ctrl-c ends a running one. Tab completes.\n")
        for name, (_run, description, _arguments) in self._commands.items():
            click.echo(f"  {name:<8} {description}")

    def _leave(self, _: list[str]) -> None:
        raise EOFError


def run_prompt(options: Mapping[str, Any], form: str, as_of: str | None) -> None:
    """Asks for statements and answers them until the user leaves. Raises the errors of `source`."""
    with suppress(KeyboardInterrupt):
        SqlPrompt(options, form, as_of).run()


def _problem(error: Exception) -> str | None:
    """Returns the text of an expected error, which may have several lines; None for a programming error."""
    if isinstance(error, AnswerError):
        return error.detail
    if isinstance(error, click.ClickException):
        return error.message
    if isinstance(error, OSError | HTTPException):
        return text_of(error) or str(error) or type(error).__name__
    return text_of(error)


def _bindings() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        text = buffer.text.strip()
        if not text or text.startswith("\\") or text.lower() in _LEAVING or is_complete(text):
            buffer.validate_and_handle()
        else:
            buffer.newline(copy_margin=not event.app.current_buffer.complete_state)

    return bindings


def _nothing(_: str) -> Iterable[str]:
    return ()


def _switch(_: str) -> Iterable[str]:
    return ("on", "off")


def _switched(arguments: list[str], now: bool) -> bool:
    """Returns the new state: the one given, or else the other one."""
    if not arguments:
        return not now
    if arguments[0] not in ("on", "off"):
        raise click.UsageError("It is on or off.")
    return arguments[0] == "on"
