"""`replaystack bisect SESSION --good X --bad Y`: the first change that made the outcome bad."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from stack.cli.options import loaded
from stack.cli.target import target_options
from stack.cli.verdict_command import VerdictCommand


@click.command(name="bisect", cls=VerdictCommand)
@click.argument("source", metavar="SESSION|FILE")
@target_options
@click.option(
    "--good", required=True, help="A version of the agent (v2), a prompt (a file), or an event (2.5)."
)
@click.option("--bad", required=True, help="A later one of the same kind.")
@click.option(
    "--prompts",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder of the prompts in order of their names, if --good and --bad are prompts.",
)
@click.option("--model", help="The live model; by default that of the agent.")
@click.option("--contains", metavar="TEXT", help="A run is good if its last answer contains the text.")
@click.option(
    "--score", metavar="FUNCTION", help="A run is good if this function gives its last answer 0.5 or more."
)
@click.option("--expected", metavar="TEXT", help="The expected answer, for --score.")
@click.option("--repeat", type=click.IntRange(1, 100), default=1, help="Runs of each candidate; most decide.")
def command(source: str, **options: Any) -> None:
    """Find the first version of the agent, the first prompt, or the first event that made the outcome of the session
    bad. Each candidate is run with a live model and the recorded results of tools.

    Without --contains and --score a run is good if it does what was recorded. An event is named by the numbers of its turn
    and of the event in it: the answers up to there are the recorded ones, and the later ones live.

    The exit code is 0 if it is found, and 4 if not: the ends are not as given, a live model fails, or the command cannot run.
    """
    from stack.cli.bisect_runs import Question, bisect
    from stack.cli.replay_models import LiveModels
    from stack.cli.session_transfer import session_source

    content, server = session_source(source, options)
    question = Question(
        good=options["good"],
        bad=options["bad"],
        prompts=options["prompts"],
        model=options["model"],
        contains=options["contains"],
        score=options["score"],
        expected=options["expected"],
        repeat=options["repeat"],
    )
    bisect(content, question, LiveModels(server, loaded(options).settings))
