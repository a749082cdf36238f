"""`replaystack demo`: a conversation over real HTTP, a crash in the middle of it, and what was recorded."""

from __future__ import annotations

import http.client
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click


@click.command(name="demo")
@click.option("--keep", is_flag=True, help="Keep the data folder and say where it is.")
def command(keep: bool) -> None:
    """Show the idea in a minute.

    Starts a server with a temporary data folder, holds a conversation with an agent, kills the server in the
    middle of a turn, starts it again, and shows every event and read model that came of it. Needs no model, no
    key and no network.
    """
    with _data_folder(keep) as data:
        kept = _Demo(data).run()
    sys.exit(0 if kept else 1)


@contextmanager
def _data_folder(keep: bool) -> Iterator[Path]:
    data = Path(tempfile.mkdtemp(prefix="replaystack-demo-"))
    try:
        yield data
    finally:
        if keep:
            click.echo(f"  Kept in {data}. Look at it with: replaystack serve --data {data}")
        else:
            shutil.rmtree(data, ignore_errors=True)


class _Demo:
    """The demo from its first to its last line. `promises` holds what was promised and whether it was kept."""

    def __init__(self, data: Path) -> None:
        from rich.console import Console

        from stack.cli.demo_server import DemoServer

        self._data = data
        self._server = DemoServer(data)
        self._console = Console(highlight=False)
        if not self._console.is_terminal:
            self._console = Console(highlight=False, width=140)
        self._promises: list[bool] = []
        self._agent = self._session = ""
        self._streamed: dict[str, bytes] = {}
        self._answers: dict[str, str] = {}

    def run(self) -> bool:
        """Returns whether every promise was kept."""
        from rich.panel import Panel

        self._console.print(
            Panel.fit(
                "An agent backend that forgets nothing: all that happens is an event in a log,\n"
                "and everything that is read is made from that log."
            )
        )
        try:
            self._converse()
            killed = self._crash()
            self._come_back(killed)
        finally:
            self._server.stop()
        self._show_records()
        return all(self._promises)

    # --- the story ---------------------------------------------------------------------------------------

    def _converse(self) -> None:
        from stack.cli import demo_story as story

        self._title("A server, an agent, a conversation")
        took_s = self._server.start()
        self._say(f"Server process {self._server.pid} answers at {self._server.url} after {took_s:.1f} s.")
        ask = self._server.connection.ask
        self._agent = ask("POST", "/v1alpha/agents", {"agent_config": story.AGENT})["agent_id"]
        self._session = ask(
            "POST", f"/v1alpha/agents/{self._agent}/session", {"session_name": "museum visit"}
        )["session_id"]
        self._say(
            f"The agent runs on {story.MODEL}: it quotes its documents by lexical search. It is not a language "
            "model; it is built in so that this needs none. It is given a leaflet to read."
        )
        documents = [story.document(story.LEAFLET)]
        for question in story.QUESTIONS:
            self._ask(question, documents)
            documents = []

    def _crash(self) -> str:
        from stack.cli import demo_story as story

        self._title("kill -9 in the middle of a turn")
        self._say(f"The next question comes with {len(story.keepers_log()):,} characters of a keeper's log.")
        self._console.print(f"\n  [bold cyan]visitor[/]  {story.LAST_QUESTION}")
        turn_id = ""
        body = self._turn(story.LAST_QUESTION, [story.document(story.keepers_log())])
        try:
            for frame in self._server.connection.stream("POST", self._turns(), body):
                payload = frame.data["event"]["payload"]
                turn_id = payload.get("turn_id", turn_id)
                if payload["event_type"] == "step_start":
                    break
        finally:
            self._server.kill()
        self._console.print(
            f"  [bold red]SIGKILL[/]  process {self._server.pid} is gone; the agent was at work"
        )
        return turn_id

    def _come_back(self, killed: str) -> None:
        from stack.cli import demo_story as story

        self._title("The same data folder, a new process")
        took_s = self._server.start()
        self._say(f"Server process {self._server.pid} answers at {self._server.url} after {took_s:.1f} s.")
        ask = self._server.connection.ask
        self._console.print("  [bold]It continues the turn that was cut off:[/]")
        self._follow(self._server.connection.stream("GET", f"{self._turns()}/{killed}/stream"), killed)
        session = ask("GET", f"{self._sessions()}/{self._session}")
        there = {turn["turn_id"]: turn["output_message"]["content"] for turn in session["turns"]}
        intact = sum(there.get(turn_id) == answer for turn_id, answer in self._answers.items())
        expected = len(story.QUESTIONS) + 1
        told = f"every acknowledged turn is there with its answer ({intact} of {expected})"
        self._promise(told, intact == expected == len(there))
        outcome = ask("GET", f"{self._turns()}/{killed}/outcome")
        self._promise("the turn that was cut off was finished", outcome["status"] == "completed")
        first = next(iter(self._streamed))
        replayed = b"".join(
            frame.body for frame in self._server.connection.stream("GET", f"{self._turns()}/{first}/stream")
        )
        self._promise(
            f"replaying the first turn gives the stream that was seen, all {len(replayed):,} bytes",
            replayed == self._streamed[first],
        )

    def _show_records(self) -> None:
        from projections import session as session_views
        from stack.cli.demo_tables import events_table, turn_changes_table
        from stack.cli.offline import opened

        with opened(self._data) as offline:
            records = offline.store.feed.read(0, 1000)
            self._title(f"The log: {len(records)} events, the truth")
            self._console.print(events_table(records))
            offline.engine.reached_blocking(records[-1].position)
            self._title("A read model: rows in DuckDB, made from the log and recreated when lost")
            self._console.print(turn_changes_table(offline.reader, self._agent, self._session))
            middle = next(
                record.position for record in records if record.name.startswith("session.turn_closed")
            )
            past = session_views.get(offline.reader, self._agent, self._session, as_of=middle)
            now = session_views.get(offline.reader, self._agent, self._session)
            assert past is not None and now is not None
            self._say("")
            self._say(
                f"Asked as of position {middle} the session has {len(past.turns)} turn, asked now "
                f"{len(now.turns)}: the past can be read like the present."
            )
            self._say("Next: `replaystack serve`, and `replaystack --help`.")

    # --- one turn ----------------------------------------------------------------------------------------

    def _ask(self, question: str, documents: list[dict[str, Any]]) -> None:
        self._console.print(f"\n  [bold cyan]visitor[/]  {question}")
        stream = self._server.connection.stream("POST", self._turns(), self._turn(question, documents))
        self._follow(stream)

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
                        time.sleep(0.02)  # The demo model is done in a blink; people read slower.
                elif payload["event_type"] == "turn_complete":
                    self._answers[turn_id] = payload["turn"]["output_message"]["content"]
        except (OSError, http.client.HTTPException) as error:
            self._promise(f"the stream was whole ({error})", False)
        self._streamed[turn_id] = seen
        self._console.print()

    def _turn(self, question: str, documents: list[dict[str, Any]]) -> dict[str, Any]:
        messages = [{"role": "user", "content": question}]
        return {"messages": messages, "documents": documents, "stream": True}

    def _sessions(self) -> str:
        return f"/v1alpha/agents/{self._agent}/session"

    def _turns(self) -> str:
        return f"{self._sessions()}/{self._session}/turn"

    # --- printing ----------------------------------------------------------------------------------------

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
