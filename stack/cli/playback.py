"""Plays a session: its frames as they streamed, or as a conversation to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

import click

if TYPE_CHECKING:
    from stack.cli.connection import Connection, StreamFrame

F = TypeVar("F", bound=Callable[..., Any])

_ID = b"id: "


def playback_options(command: F) -> F:
    """Adds `--agent`, `--speed`, `--max-pause`, `--after` and `--raw`."""
    for option in (
        click.option("--raw", is_flag=True, help="Print the frames byte for byte as they streamed."),
        click.option("--after", metavar="ID", help="Continue after this frame, such as 2.3.17."),
        click.option(
            "--max-pause",
            metavar="SECONDS|all",
            help="The longest pause between turns; `all` keeps every pause.  [default: 2]",
        ),
        click.option(
            "--speed",
            metavar="N|max",
            help="1 is the recorded pace, 10 ten times that, max does not wait.  [default: 1; max with --raw and "
            "--json]",
        ),
        click.option("--agent", metavar="ID", help="The agent of the session; it is looked up by default."),
    ):
        command = option(command)
    return command


def play(server: Connection, session_id: str, options: Mapping[str, Any]) -> None:
    """Plays a session of a server. `options` are those of `playback_options`, and `as_json`. Raises AnswerError, OSError,
    and http.client.HTTPException."""
    from stack.cli.session_path import session_path
    from stack.cli.terminal import one_line

    agent, session = options.get("agent"), quote(session_id, safe="")
    path = (
        f"/v1alpha/agents/{quote(agent, safe='')}/session/{session}"
        if agent
        else session_path(server, session_id)
    )
    as_bytes = options["raw"] or options["as_json"]
    query = {
        "speed": options["speed"] or ("max" if as_bytes else "1"),
        "max_pause_s": options["max_pause"],
        "after": options["after"],
    }
    frames = _frames(
        server, f"{path}/stream", {name: text for name, text in query.items() if text is not None}
    )
    if as_bytes:
        _print_bytes(frames, is_raw=options["raw"])
    else:
        from stack.cli.conversation_text import show_conversation

        show_conversation(frames, lambda turn_id: server.fetch(f"{path}/turn/{turn_id}"))
        for line in _damage(server, path):
            click.echo(one_line(line), err=True)


def _frames(server: Connection, path: str, query: Mapping[str, str]) -> Iterator[tuple[int, StreamFrame]]:
    """Yields frames with the number of their turn, as the callers of the turns got them, until nothing follows: a server
    that shuts down ends the stream too."""
    from stack.cli.connection import StreamFrame

    given = dict(query)
    more = True
    while more:
        more = False
        for body, data in server.stream("GET", f"{path}?{urlencode(given)}"):
            more = True
            id = body[len(_ID) : body.index(b"\n")]
            turn, _, own = id.partition(b".")
            given["after"] = id.decode()
            yield int(turn), StreamFrame(_ID + own + body[len(_ID) + len(id) :], data)


def _damage(server: Connection, path: str) -> Iterator[str]:
    """Yields what cannot be read of the turns of a session: their streams cannot say it."""
    after, more = "0.0.0", True
    while more:
        page = server.ask("GET", f"{path}/frames?after={after}")
        for turn in page["turns"]:
            yield from (f"Turn {turn['turn']} is not complete. {damage}" for damage in turn.get("damage", ()))
        after, more = page["next"], page["has_more"]


def _print_bytes(frames: Iterator[tuple[int, StreamFrame]], *, is_raw: bool) -> None:
    from stack.cli.terminal import write_out

    for _, frame in frames:
        write_out(frame.body if is_raw else frame.body.partition(b"\ndata: ")[2][:-1])
