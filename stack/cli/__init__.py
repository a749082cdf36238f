"""The command `replaystack`. Each subcommand is a module in this folder, imported when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from stack.cli.terminal import escape_output, one_line
from stack.private_files import restrict_umask
from stack.version import VERSION

COMMANDS = {
    "serve": "Serve the HTTP API until stopped.",
    "demo": "Demonstrate a conversation, a crash, and what was recorded.",
    "doctor": "Check the log, the read models, the port and the model providers.",
    "rebuild": "Rebuild the read models from the log.",
    "backup": "Copy the logs and blobs to a new folder.",
    "verify": "Check the whole log for missing or changed data.",
    "erasure": "Show what was erased after a deletion and what remains.",
    "datasets": "List, show, import and export datasets.",
    "replay": "Play a recorded session, or run it again as a test.",
    "events": "Print the events of the log, and follow it.",
    "diff": "Compare two sessions turn by turn.",
    "bisect": "Find the first change that made the outcome of a session bad.",
    "export": "Write a recorded session to a file.",
    "import": "Import a recorded session from a file.",
    "eval": "Run a benchmark, show its jobs, compare two of them.",
    "train": "Train a model, follow its jobs, cancel and list them.",
    "sql": "Query agents, sessions, turns and telemetry in SQL.",
    "mcp": "Serve tools for assistants over MCP (standard input and output).",
    "traces": "List the newest traces, optionally filtered.",
    "trace": "Show a trace as a tree with times, tokens and errors.",
    "authorize": "Let a person authorize the server at an MCP server.",
    "config": "Show the settings and where each value comes from.",
}


# The modules of commands whose name is a word of Python.
MODULES = {"import": "import_session"}


class _Commands(click.Group):
    """Lists the commands without importing them: the server's libraries take half a second."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"stack.cli.{MODULES.get(cmd_name, cmd_name)}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from stack.domain.near import nearest

            near = nearest(args[0], COMMANDS)
            hint = f" Did you mean {near!r}?" if near else f" There are: {', '.join(COMMANDS)}."
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def main(self, *arguments: Any, **more: Any) -> Any:
        escape_output()
        return super().main(*arguments, **more)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            text = text_of(error)
            if text is None:
                raise
            raise click.ClickException(one_line(text)) from error


def text_of(error: Exception) -> str | None:
    """Returns the text of an expected error; None for a programming error."""
    from projections.warehouse.errors import ProjectionError
    from stack.cli.connection import AnswerError
    from stack.config import ConfigError
    from stack.errors import ReplaystackError

    if isinstance(error, ReplaystackError):
        return error.detail
    if isinstance(error, ConfigError | ProjectionError | AnswerError):
        return str(error)
    if isinstance(error, ConnectionError):
        return f"The server does not answer: {error}. Start it with `replaystack serve`, or check --url."
    return None


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(VERSION, prog_name="replaystack")
def main() -> None:
    """Replaystack: an agent backend that forgets nothing."""
    restrict_umask()
