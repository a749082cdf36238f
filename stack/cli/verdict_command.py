"""Commands whose exit code is a verdict: an error of the command is none, and has a code of its own."""

from __future__ import annotations

import traceback
from typing import Any

import click

from stack.cli import text_of
from stack.cli.terminal import one_line

NO_VERDICT = 4
"""The exit code of a command that has no verdict: wrong options, no server, a file that cannot be read."""


class VerdictCommand(click.Command):
    """Ends with 4 for every error, and with 130 if it is interrupted."""

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        try:
            return super().make_context(*arguments, **more)
        except click.ClickException as error:
            raise _ended(error) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            raise _ended(error) from None
        except click.exceptions.Exit:
            raise
        except (KeyboardInterrupt, click.Abort):
            raise SystemExit(130) from None
        except Exception as error:
            text = text_of(error)
            if text is None:
                traceback.print_exc()
                raise SystemExit(NO_VERDICT) from None
            raise _ended(click.ClickException(one_line(text))) from error


def _ended(error: click.ClickException) -> click.ClickException:
    error.exit_code = NO_VERDICT  # type: ignore[misc]
    return error
