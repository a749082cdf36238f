"""Sessions of a real server, checked over HTTP and by the command; runs with changes, other models, and bisections."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.folders import replaystack
from tests.server.api import TEXT, Api, Conversation
from tests.server.process import Replaystack, wait_until
from tests.server.tool_calls import rain, waiting, weather_man

pytestmark = pytest.mark.slow

GROUP = "builtin::code_interpreter"
CODE = 'scripted/tools;name=code_interpreter;arguments={"code":"6 * 7"}'


def checked(conversation: Conversation) -> dict[str, Any]:
    answer = conversation.http.get(f"{conversation.path}/check")
    assert answer.status_code == 200, answer.text
    report: dict[str, Any] = answer.json()
    return report


def saved(conversation: Conversation, folder: Path) -> Path:
    file = folder / "it.session.jsonl"
    file.write_bytes(conversation.http.get(f"{conversation.path}/export").content)
    return file


def run(code: int, *arguments: str | Path) -> str:
    """The output of the command, which must end with this code."""
    done: subprocess.CompletedProcess[str] = replaystack(*arguments)
    assert done.returncode == code and "Traceback" not in done.stderr, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_sessions_of_all_kinds_are_identical(api: Api) -> None:
    text, served, asked = api.conversation(), api.conversation(CODE, toolgroups=[GROUP]), weather_man(api)
    for conversation in (text, served):
        conversation.streamed()
        conversation.turn()
    turn = waiting(asked)
    asked.http.post(f"{asked.path}/turn/{turn['turn_id']}/resume", json={"tool_responses": [rain()]})
    waiting(asked)
    asked.turn("Never mind.")
    failing = api.conversation("scripted/status;code=400;message=no")
    failing.post()
    cut = api.conversation("scripted/cut;chunks=2")
    cut.post(stream=True)
    stopped = api.conversation("scripted/stall;chunks=2")
    with stopped.streaming() as stream:
        turn_id = stream.answer.headers["x-turn-id"]
        stopped.cancel(turn_id)
    for conversation in (text, served, asked, failing, cut, stopped):
        report = checked(conversation)
        assert report["verdict"] == "identical", report
        assert report["session_id"] == conversation.session_id and report["turns"]


def test_an_unknown_session_is_not_checked(api: Api) -> None:
    agent_id = api.create_agent()
    for path in (f"agents/{agent_id}/session/none/check", "agents/none/session/none/check"):
        assert api.http.get(f"/v1alpha/{path}").status_code == 404


def test_the_command_checks_a_session_and_a_file(server: Replaystack, api: Api, tmp_path: Path) -> None:
    conversation = weather_man(api)
    turn = waiting(conversation)
    path = f"{conversation.path}/turn/{turn['turn_id']}/resume"
    conversation.http.post(path, json={"tool_responses": [rain()]})
    said = run(0, "replay", conversation.session_id, "--check", "--data", server.data)
    assert said.splitlines()[-1] == "identical: 1 turn"
    file = saved(conversation, tmp_path)
    assert run(0, "replay", file, "--check") == said
    report = json.loads(run(0, "replay", file, "--check", "--json"))
    assert report["verdict"] == "identical" and report["turns"][0]["events"] == 10
    assert "404" in run(4, "replay", "no-such-session", "--check", "--data", server.data)


def test_a_changed_file_is_refused_and_a_scenario_shows_what_changes(api: Api, tmp_path: Path) -> None:
    conversation = weather_man(api)
    turn = waiting(conversation)
    path = f"{conversation.path}/turn/{turn['turn_id']}/resume"
    conversation.http.post(path, json={"tool_responses": [rain()]})
    file = saved(conversation, tmp_path)
    forged = tmp_path / "forged.session.jsonl"
    forged.write_bytes(file.read_bytes().replace(b'"rain"', b'"snow"'))
    assert "is not what was written" in run(4, "replay", forged, "--check")
    scenario = tmp_path / "scenario.toml"
    scenario.write_text('[agent]\ninstructions = "Be brief."\n')
    assert "equivalent in turn 1, event 2: request" in run(1, "replay", file, "--scenario", scenario)
    scenario.write_text("[agent]\nclient_tools = []\n")
    assert "diverged in turn 1, event 4: tool set" in run(2, "replay", file, "--scenario", scenario)
    scenario.write_text("[agent]\ninstructions = 7\n")
    assert "does not fit" in run(4, "replay", file, "--scenario", scenario)


def test_a_session_is_run_against_models_of_the_server(server: Replaystack, api: Api, tmp_path: Path) -> None:
    conversation = api.conversation(CODE, toolgroups=[GROUP])
    conversation.turn()
    ours = (conversation.session_id, "--data", server.data)
    assert "equivalent: 1 turn" in run(1, "replay", *ours, "--against", CODE)
    assert "3 of 3 runs pass; 3 are needed" in run(1, "replay", *ours, "--against", CODE, "--repeat", "3")
    assert "diverged in turn 1" in run(2, "replay", *ours, "--against", TEXT)
    other = api.create_agent(TEXT)
    assert "diverged in turn 1" in run(2, "replay", *ours, "--against", f"agent:{other}")
    live = ("--against", CODE, "--live", "code_interpreter")
    assert "equivalent: 1 turn" in run(1, "replay", *ours, *live)
    changed = CODE.replace("6 * 7", "6 * 8")
    assert "No result is recorded for code_interpreter" in run(2, "replay", *ours, "--against", changed)
    assert "diverged" in run(2, "replay", *ours, "--against", changed, "--unrecorded", "error")
    assert "404" in run(4, "replay", *ours, "--against", "agent:none")
    file = saved(conversation, tmp_path)
    assert "needs a server" in run(4, "replay", file, "--against", "agent:none")


def test_an_update_writes_the_new_run(server: Replaystack, api: Api, tmp_path: Path) -> None:
    conversation = api.conversation(CODE, toolgroups=[GROUP])
    conversation.turn()
    file = saved(conversation, tmp_path)
    scenario = tmp_path / "scenario.toml"
    scenario.write_text("[agent]\nmax_infer_iters = 1\n")
    before = file.read_bytes()
    run(2, "replay", file, "--scenario", scenario)
    assert file.read_bytes() == before
    said = run(0, "replay", file, "--scenario", scenario, "--update")
    assert "diverged in turn 1" in said and "1 of 1 turns changed" in said
    assert "identical: 1 turn" in run(0, "replay", file, "--check")
    assert "identical: 1 turn" in run(0, "replay", file, "--check", "--update")


def test_a_killed_server_leaves_sessions_that_are_identical(fresh_server: Any) -> None:
    server = fresh_server()
    with server.http() as http:
        conversation = Api(http).conversation("scripted/text;chunks=50;gap_ms=40")
        with conversation.streaming() as stream:
            turn_id = stream.answer.headers["x-turn-id"]
    server.kill9()
    server.start()
    with server.http() as http:
        again = Conversation(Api(http), conversation.agent_id, conversation.session_id)
        wait_until(lambda: again.outcome(turn_id)["status"] == "completed")
        report = checked(again)
        assert report["verdict"] == "identical", report


def test_the_first_bad_version_prompt_and_event(server: Replaystack, api: Api, tmp_path: Path) -> None:
    words = [f"scripted/say;text=answer{number}" for number in range(1, 8)]
    agent_id = api.create_agent(words[0])
    conversation = Conversation(api, agent_id, api.create_session(agent_id))
    for number, model in enumerate(words, 1):
        config = {"agent_config": {"model": model, "instructions": ""}}
        assert api.http.post(f"/v1alpha/agents/{agent_id}", json=config).json()["agent_version"] == number
    conversation.turn()
    ours = (conversation.session_id, "--data", server.data)
    ends = ("--good", "v1", "--bad", "v7")
    said = run(0, "bisect", *ours, *ends, "--score", "basic::equality", "--expected", "answer1")
    assert "first bad: version 2 (after version 1)" in said
    assert "What was given as bad is good" in run(4, "bisect", *ours, *ends, "--contains", "answer")
    assert "must come after" in run(4, "bisect", *ours, "--good", "v2", "--bad", "v2")
    assert "must be two versions" in run(4, "bisect", *ours, "--good", "v2", "--bad", "x")
    failing = run(
        4, "bisect", *ours, *ends, "--model", "scripted/status;code=400;message=no", "--contains", "x"
    )
    assert "version 1 has no outcome: its model failed with 400" in failing
    run(4, "bisect", *ours, "--good", "v1")
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    for number in range(1, 6):
        (prompts / f"{number}.txt").write_text("good" if number < 4 else "bad")
    ends = ("--good", str(prompts / "1.txt"), "--bad", str(prompts / "5.txt"), "--prompts", str(prompts))
    echo = ("--model", "scripted/echo", "--contains", '"good"')
    assert f"first bad: {prompts / '4.txt'}" in run(0, "bisect", *ours, *ends, *echo)


def test_the_first_event_that_decides(server: Replaystack, api: Api) -> None:
    conversation = api.conversation("scripted/say;text=bad")
    for _ in range(4):
        conversation.turn()
    ours = (conversation.session_id, "--data", server.data)
    model = ("--model", "scripted/say;text=good", "--contains", "good")
    said = run(0, "bisect", *ours, "--good", "1.1", "--bad", "4.9", *model)
    assert "first bad: event 4.3 (after event 3.3)" in said


def test_a_fork_at_any_event_is_identical(api: Api) -> None:
    conversation = weather_man(api)
    turn = waiting(conversation)
    path = f"{conversation.path}/turn/{turn['turn_id']}/resume"
    conversation.http.post(path, json={"tool_responses": [rain()]})
    stream = f"turn/{turn['turn_id']}"
    events = api.http.get("/v1alpha/events", params={"stream": stream}).json()["data"]
    forked = 0
    for event in events:
        for continues in (False, True):
            body = {"event": event["position"], "continue": continues}
            answer = api.http.post(f"{conversation.path}/fork", json=body)
            if answer.status_code == 400 and continues:
                continue  # the turn has ended, or waits, at this event
            fork = Conversation(api, conversation.agent_id, answer.json()["session_id"])
            [last] = fork.show()["turns"]
            wait_until(lambda fork=fork, last=last: fork.outcome(last["turn_id"])["status"] != "running")
            assert checked(fork)["verdict"] == "identical", (event, checked(fork))
            forked += 1
    assert forked > len(events)
