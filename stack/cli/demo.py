"""`replaystack demo`: a conversation over HTTP, a crash in the middle of it, and the recorded events."""

from __future__ import annotations

import http.client
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click


@click.command(name="demo")
@click.option("--keep", is_flag=True, help="Keep the data folder and say where it is.")
def command(keep: bool) -> None:
    """Show the idea in a minute.

    Starts a server with a temporary data folder, holds a conversation with an agent, kills the server in the
    middle of a turn, starts it again, and shows all events and read models that resulted. Needs no model, no
    key and no network.
    """
    data = Path(tempfile.mkdtemp(prefix="replaystack-demo-"))
    try:
        kept = _Demo(data).run()
    finally:
        if keep:
            click.echo(f"  Kept in {data}. Look at it with: replaystack serve --data {data}")
        else:
            shutil.rmtree(data, ignore_errors=True)
    sys.exit(0 if kept else 1)


class _Demo:
    """Runs the demo."""

    def __init__(self, data: Path) -> None:
        from stack.cli.demo_server import DemoServer
        from stack.cli.terminal import console

        self._data = data
        self._server = DemoServer(data)
        self._console = console(wide=140)
        self._promises: list[bool] = []
        self._agent = self._session = ""
        self._streamed: dict[str, bytes] = {}
        self._answers: dict[str, str] = {}

    def run(self) -> bool:
        """Runs all steps and returns whether every check succeeded."""
        from rich.panel import Panel

        self._console.print(
            Panel.fit(
                "An agent backend that forgets nothing: all that happens is an event in a log,\n"
                "and everything that is read is made from that log."
            )
        )
        try:
            self._converse()
            self._come_back(self._crash())
        finally:
            self._server.stop()
        self._show_records()
        return all(self._promises)

    def _converse(self) -> None:
        from stack.cli import demo_story as story

        self._title("A server, an agent, a conversation")
        self._say(self._server.start())
        ask = self._server.connection.ask
        self._agent = ask("POST", "/v1alpha/agents", {"agent_config": story.AGENT})["agent_id"]
        sessions = f"/v1alpha/agents/{self._agent}/session"
        self._session = f"{sessions}/{ask('POST', sessions, {'session_name': 'museum visit'})['session_id']}"
        self._say(
            f"The agent runs on {story.MODEL}: it quotes its documents by lexical search. It is not a language "
            "model; it is built in so that this needs none. It is given a leaflet to read."
        )
        for question, document in story.QUESTIONS:
            self._follow(self._ask(question, document))

    def _crash(self) -> str:
        from stack.cli import demo_story as story

        self._title("kill -9 in the middle of a turn")
        self._say(f"The next question comes with {len(story.keepers_log()):,} characters of a keeper's log.")
        turn_id = ""
        try:
            for frame in self._ask(story.LAST_QUESTION, story.keepers_log()):
                payload = frame.data["event"]["payload"]
                turn_id = payload.get("turn_id", turn_id)
                if payload["event_type"] == "step_start":
                    break
        finally:
            pid = self._server.kill()
        self._console.print(f"  [bold red]SIGKILL[/]  process {pid} is gone; the agent was at work")
        return turn_id

    def _come_back(self, killed: str) -> None:
        self._title("The same data folder, a new process")
        self._say(self._server.start())
        connection = self._server.connection
        self._console.print("  [bold]It continues the turn that was cut off:[/]")
        self._follow(connection.stream("GET", f"{self._session}/turn/{killed}/stream"), killed)
        turns = connection.ask("GET", self._session)["turns"]
        there = {turn["turn_id"]: turn["output_message"]["content"] for turn in turns}
        first, *_ = asked = list(self._streamed)
        intact = sum(there.get(turn_id) == self._answers.get(turn_id) for turn_id in asked)
        claim = f"every acknowledged turn is there with its answer ({intact} of {len(asked)})"
        self._promise(claim, intact == len(asked) == len(there))
        outcome = connection.ask("GET", f"{self._session}/turn/{killed}/outcome")
        self._promise("the turn that was cut off was finished", outcome["status"] == "completed")
        frames = connection.stream("GET", f"{self._session}/turn/{first}/stream")
        replayed = b"".join(frame.body for frame in frames)
        claim = f"replaying the first turn gives the stream that was seen, all {len(replayed):,} bytes"
        self._promise(claim, replayed == self._streamed[first])

    def _show_records(self) -> None:
        from projections import session as session_views
        from stack.cli.demo_tables import events_table, turn_changes_table
        from stack.cli.offline import opened

        names = self._agent, self._session.rpartition("/")[2]
        with opened(self._data) as offline:
            records = offline.store.feed.read(0, 1000)
            self._title(f"The log: {len(records)} events, the truth")
            self._console.print(events_table(records))
            offline.engine.reached_blocking(records[-1].position)
            self._title("A read model: rows in DuckDB, made from the log and recreated when lost")
            self._console.print(turn_changes_table(offline.reader, *names))
            closed = (one.position for one in records if one.name.startswith("session.turn_closed"))
            middle = next(closed)
            past = session_views.get(offline.reader, *names, as_of=middle)
            now = session_views.get(offline.reader, *names)
            assert past is not None and now is not None
            self._say(
                f"\nAsked as of position {middle} the session has {len(past.turns)} turn, asked now "
                f"{len(now.turns)}: the past can be read like the present."
            )
            self._say("Next: `replaystack serve`, and `replaystack --help`.")

    def _ask(self, question: str, document: str) -> Iterator[Any]:
        self._console.print(f"\n  [bold cyan]visitor[/]  {question}")
        documents = [{"content": document, "mime_type": "text/plain"}] if document else []
        body = {"messages": [{"role": "user", "content": question}], "documents": documents, "stream": True}
        return self._server.connection.stream("POST", f"{self._session}/turn", body)

    def _follow(self, stream: Iterator[Any], turn_id: str = "") -> None:
        """Prints an answer as it streams, and keeps what was streamed."""
        self._console.print("  [bold green]agent[/]    ", end="")
        seen = b""
        try:
            for frame in stream:
                seen += frame.body
                if "error" in frame.data:
                    self._promise(f"the turn ended well ({frame.data['error']['detail']})", False)
                    break
                payload = frame.data["event"]["payload"]
                turn_id = payload.get("turn_id", turn_id)
                if payload["event_type"] == "step_progress":
                    text = payload["delta"]["text"].replace("\n\n", "\n").replace("\n", "\n           ")
                    self._console.out(text, end="")
                    if self._console.is_terminal:
                        time.sleep(0.02)  # The demo model answers immediately; people read more slowly.
                elif payload["event_type"] == "turn_complete":
                    self._answers[turn_id] = payload["turn"]["output_message"]["content"]
        except (OSError, http.client.HTTPException) as error:
            self._promise(f"the stream was whole ({error})", False)
        self._streamed[turn_id] = seen
        self._console.print()

    def _title(self, text: str) -> None:
        self._console.print()
        self._console.rule(f"[bold]{text}", align="left", style="dim")

    def _say(self, text: str) -> None:
        from rich.padding import Padding

        self._console.print(Padding(text, (0, 0, 0, 2)))

    def _promise(self, text: str, kept: bool) -> None:
        self._promises.append(kept)
        self._console.print(
            f"  [bold green]kept[/]     {text}" if kept else f"  [bold red]BROKEN[/]   {text}"
        )
