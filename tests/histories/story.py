"""The content of a recorded history: each kind of event, and each way in which a turn or a job can end."""

from __future__ import annotations

from typing import Any

import httpx

from tests.server.api import Api, Conversation
from tests.server.datasets import Datasets, numbered
from tests.server.evals import ACCURACY, EQUALITY, Evals, agent, asked, model
from tests.server.process import Replaystack, wait_until
from tests.server.telemetry import Telemetry
from tests.server.telemetry_samples import family, odd_spans
from tests.server.tool_calls import late, rain, user, waiting, weather_man

LONG = "Öffnet um zehn; " + "äöü" * 50_000
"""A document of 300 kB: above the limit from which content is kept as a blob."""
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
STALLS = "scripted/stall;chunks=2"


def tell(server: Replaystack) -> None:
    """Makes the history on an empty server, which is killed once and started again."""
    with server.http() as http:
        _conversations(Api(http))
        _tools(Api(http))
        _deletes(Api(http))
        _datasets(Datasets(http))
        _evaluations(Evals(http))
        _telemetry(Telemetry(http))
        interrupted = Api(http).conversation("scripted/text;chunks=40;gap_ms=50")
        with interrupted.streaming("Go on after a crash.") as stream:
            stream.until("step_progress")
            server.kill9()
    server.start()
    with server.http() as http:
        path = interrupted.path
        wait_until(lambda: "completed_at" in http.get(path).json()["turns"][0])


def _conversations(api: Api) -> None:
    plain = api.conversation(instructions="Answer briefly.", name="harbour master")
    plain.turn("When does the harbour open?", documents=[{"content": "At ten.", "mime_type": "text/plain"}])
    plain.streamed([user([{"type": "text", "text": "What is this?"}, _image()])])
    plain.turn("Read this.", documents=[{"content": LONG, "mime_type": "text/plain"}])
    limits = {
        "strategy": {"type": "top_p", "temperature": 0.5, "top_p": 0.9},
        "max_tokens": 64,
        "stop": ["END"],
    }
    api.conversation(sampling_params=limits, enable_session_persistence=True, max_infer_iters=3).turn(
        "Hello."
    )
    failing = api.conversation("scripted/status;code=400;message=no such thing")
    failing.post("This fails.")
    cut = api.conversation("scripted/cut;chunks=3")
    cut.post("This is cut off.")
    stalled = api.conversation(STALLS)
    with stalled.streaming("Cancel me.") as stream:
        stream.until("step_progress")
        assert stalled.cancel(stalled.only_turn_id()).status_code == 200


def _image() -> dict[str, Any]:
    return {"type": "image", "image": {"url": {"uri": PIXEL}}}


def _tools(api: Api) -> None:
    resumed = weather_man(api)
    turn = waiting(resumed)
    assert resumed.resume(turn["turn_id"], rain(metadata={"took_ms": 3})).status_code == 200
    abandoned = weather_man(api)
    waiting(abandoned)
    abandoned.turn([late(), user("And tomorrow?")])
    waiting(weather_man(api))


def _deletes(api: Api) -> None:
    kept = api.conversation(instructions="One session of mine is deleted.")
    kept.turn("Stay.")
    gone = Conversation(api, kept.agent_id, api.create_session(kept.agent_id, "deleted later"))
    gone.turn("This is deleted.")
    assert api.http.delete(gone.path).status_code == 200
    deleted = api.conversation(instructions="Deleted whole.")
    deleted.turn("This goes with its agent.")
    assert api.http.delete(f"{api.prefix}/agents/{deleted.agent_id}").status_code == 200


def _datasets(datasets: Datasets) -> None:
    rows = [
        {
            "text": "ä \u0000 \U0001f600",
            "whole": 2**63,
            "real": 0.1,
            "none": None,
            "deep": {"a": [1, {"b": []}]},
        }
    ]
    assert datasets.register(rows, dataset_id="kept/rows", metadata={"origin": "hand"}).status_code == 200
    for first in (0, 3):
        assert datasets.append("kept/rows", numbered(first, 3)).status_code == 200
    assert datasets.append("kept/rows", numbered(0, 200, 2000)).status_code == 200
    assert datasets.register(uri="data:text/csv,a,b%0A1,x%0A2,y", dataset_id="from-csv").status_code == 200
    assert datasets.register(numbered(0, 2), dataset_id="gone").status_code == 200
    assert datasets.unregister("gone").status_code == 200


def _evaluations(evals: Evals) -> None:
    bench = evals.registered(asked(6), name="reading")
    bench.job(model(scoring_params={EQUALITY: ACCURACY}))
    bench.job(agent())
    bench.job(model("scripted/status;code=400"))
    slow = bench.job(model(STALLS), wait=0)
    assert bench.cancel(slow).status_code == 200
    bench.ended(slow)
    gone = evals.registered(asked(1), name="gone-benchmark")
    gone.job()
    assert evals.unregister("gone-benchmark").status_code == 200


def _telemetry(telemetry: Telemetry) -> None:
    telemetry.send([*family("history"), *odd_spans()])


def answers(http: httpx.Client) -> dict[str, Any]:
    """Returns the server's responses about everything in the history: status and body (JSON or text) by
    path."""
    found: dict[str, Any] = {}

    def get(path: str, filters: list[dict[str, Any]] | None = None) -> Any:
        body = {"attribute_filters": filters}
        answer = http.get(path) if filters is None else http.post(path, json=body)
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        found[path] = {"status": answer.status_code, "body": answer.json() if is_json else answer.text}
        return found[path]["body"]

    for agent_ in get("/v1alpha/agents")["data"]:
        path = f"/v1alpha/agents/{agent_['agent_id']}"
        get(path)
        for session in get(f"{path}/sessions")["data"]:
            of_session = f"{path}/session/{session['session_id']}"
            for turn in get(of_session)["turns"]:
                of_turn = f"{of_session}/turn/{turn['turn_id']}"
                get(of_turn)
                get(f"{of_turn}/outcome")
                if "completed_at" in turn:
                    get(f"{of_turn}/stream")
                for step in turn["steps"]:
                    get(f"{of_turn}/step/{step['step_id']}")
    for dataset in get("/v1beta/datasets")["data"]:
        name = dataset["identifier"]
        for path in (
            "datasets/{}",
            "datasets/{}/versions",
            "datasetio/iterrows/{}",
            "datasetio/iterrows/{}?version=1",
        ):
            get(f"/v1beta/{path.format(name)}")
    for benchmark in get("/v1alpha/eval/benchmarks")["data"]:
        path = f"/v1alpha/eval/benchmarks/{benchmark['identifier']}"
        get(path)
        get(f"{path}/compare?a=0&b=1")
        for job in range(4):
            for suffix in ("", "/result", "/outcome", "/events"):
                get(f"{path}/jobs/{job}{suffix}")
    family_only = [{"key": "family", "op": "eq", "value": "history"}]
    for trace in get("/v1alpha/telemetry/traces", family_only)["data"]:
        get(f"/v1alpha/telemetry/traces/{trace['trace_id']}")
        get(f"/v1alpha/telemetry/traces/{trace['trace_id']}/spans")
    return found


def is_served_as(said: Any, now: Any) -> bool:
    """Whether an answer is that of the release, or differs by what was changed on purpose since: tokens that no model
    reported are absent, and were 0 in release 0.1.0; and an outcome names the version of the agent, which was the first."""
    if now == said or not said or "usage" not in said["body"]:
        return bool(now == said)
    usage = {name: tokens for name, tokens in said["body"]["usage"].items() if tokens}
    of_agent = "num_rows" not in said["body"] or "agent_id" in said["body"]
    version = {"agent_version": 1} if of_agent else {}
    return bool(now == {**said, "body": {**said["body"], "usage": usage, **version}})
