"""Exports and imports sessions between a server and files."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import click
import msgspec

from schemas.session_file import ENDING
from stack.cli.connection import AnswerError, Connection
from stack.cli.session_path import session_path
from stack.cli.target import target
from stack.cli.terminal import one_line
from stack.cli.whole_file import whole_file

if TYPE_CHECKING:
    from stack.services.replay.redaction_rules import Rules

LINES = "application/jsonl"
SESSION = "session"
_ERROR = b'{"line":"error"'


def export(server: Connection, session_id: str, out: Path, form: str, rules: Rules | None) -> None:
    """Raises AnswerError if the server cannot export the session, or only a part of it, and Invalid if it cannot be
    redacted."""
    asked = SESSION if rules else form
    pieces = whole(server.pieces(f"{session_path(server, session_id)}/export?as={quote(asked, safe='')}"))
    size = 0
    with whole_file(out) as file:
        for piece in _redacted(b"".join(pieces), rules, form) if rules else pieces:
            size += file.write(piece)
    if str(out) != "-":
        click.echo(f"Exported session {one_line(session_id)} to {out} ({size:,} bytes)")
        if form == SESSION and not out.name.endswith(ENDING):
            click.echo(f"Name the file {out.stem}{ENDING} if it shall be run as a test.", err=True)


def session_source(source: str, options: Mapping[str, Any]) -> tuple[bytes, Connection | None]:
    """Returns the content of a session file, `source` or that of a session with this id, and the server that the options
    of a command name; for a file only if they give its address. Raises AnswerError, NotFound."""
    file = Path(source)
    if not file.is_file():
        server: Connection = target(dict(options))
        return exported(server, source, SESSION), server
    return file.read_bytes(), target(dict(options)) if options.get("url") else None


def exported(server: Connection, session_id: str, form: str) -> bytes:
    """Returns a session in this form. Raises AnswerError if the server cannot export it, or only a part of it."""
    path = f"{session_path(server, session_id)}/export?as={quote(form, safe='')}"
    return b"".join(whole(server.pieces(path)))


def _redacted(content: bytes, rules: Rules, form: str) -> Iterable[bytes]:
    import asyncio

    from stack.services.replay.redacted_export import redacted_content

    return asyncio.run(redacted_content(content, rules, form))


def chosen_rules(
    file: Path | None, builtin: Sequence[str], patterns: Sequence[str], paths: Sequence[str]
) -> Rules | None:
    """Returns the rules of the options and of a file; None if there are none. Raises Invalid."""
    if not (file or builtin or patterns or paths):
        return None
    from schemas.api.session_file import RedactionRules
    from stack.services.replay.redaction_rules import listed_paths, rules_in_file, rules_of

    given = rules_in_file(file.read_bytes(), file.suffix) if file else RedactionRules()
    return rules_of(
        [*given.builtin, *builtin],
        [*given.patterns.items(), *(_named(one, "--redact-pattern") for one in patterns)],
        [
            *listed_paths(given),
            *(("", one) if one.startswith("$") else _named(one, "--redact-path") for one in paths),
        ],
    )


def _named(text: str, option: str) -> tuple[str, str]:
    from stack.errors import Invalid

    name, found, value = text.partition("=")
    if not found:
        # It is not shown: a pattern may hold a secret.
        raise Invalid(f"{option} needs a name and a value, as in name=value.")
    return name, value


def whole(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yields the pieces; raises AnswerError if their last line says that the export failed."""
    last = b""
    for piece in pieces:
        last = (last + piece)[-65_536:]
        yield piece
    line = last[last.rstrip(b"\n").rfind(b"\n") + 1 :]
    if line.startswith(_ERROR):
        raise AnswerError(500, str(msgspec.json.decode(line)["detail"]))


def import_file(server: Connection, file: Path, query: Mapping[str, str | None]) -> None:
    content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    given = urlencode({name: value for name, value in query.items() if value is not None})
    done = server.ask("POST", f"/v1alpha/sessions/import?{given}", content, {"content-type": LINES})
    for one in (done, *done.get("others", ())):
        turns = "1 turn" if one["turns"] == 1 else f"{one['turns']} turns"
        click.echo(
            f"Imported session {one_line(one['session_id'])} of agent {one_line(one['agent_id'])}: {turns}"
        )
        for turn_id in one["cancelled_turns"]:
            click.echo(f"  turn {one_line(turn_id)} was running when it was exported; it is cancelled here")
