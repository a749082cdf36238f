"""`replaystack traces` and `replaystack trace` as a user runs them, against a real server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData, SeverityNumber

from stack.cli.trace_filter import filters_of
from stack.data_folder import running_server
from stack.errors import Invalid
from tests.cli.folders import converse, replaystack, served
from tests.server.telemetry import Telemetry
from tests.telemetry.otlp_requests import BASE_NS, PlainSpan, any_value

pytestmark = pytest.mark.slow

SHOP = 0x4BF92F3577B34DA6A3CE929D0E0E4736
TWIN = SHOP ^ 1
EVIL = 0x5EED << 100


def spans_of_the_shop() -> list[PlainSpan]:
    root = PlainSpan(
        trace=SHOP,
        span=1,
        name="POST /order",
        kind=2,
        end_ns=BASE_NS + 10**9,
        resource={"service.name": "shop"},
    )
    call = PlainSpan(
        trace=SHOP,
        span=2,
        parent=1,
        name="chat gpt-x",
        start_ns=BASE_NS + 1_000_000,
        end_ns=BASE_NS + 900_000_000,
        attributes={
            "gen_ai.operation.name": "chat",
            "gen_ai.response.model": "gpt-x",
            "gen_ai.usage.input_tokens": 1200,
            "gen_ai.usage.output_tokens": 34,
        },
        resource={"service.name": "shop"},
    )
    tool = PlainSpan(
        trace=SHOP,
        span=3,
        parent=1,
        name="execute_tool pay",
        status=2,
        message="card refused",
        start_ns=BASE_NS + 900_000_000,
        end_ns=BASE_NS + 950_000_000,
        resource={"service.name": "shop"},
    )
    twin = PlainSpan(
        trace=TWIN, span=1, name="another order", start_ns=BASE_NS - 10**9, attributes={"n": 5, "t": "5"}
    )
    evil = PlainSpan(trace=EVIL, span=1, name="\x1b[31m[bold]evil[/] \u202e", start_ns=BASE_NS - 2 * 10**9)
    return [root, call, tool, twin, evil]


def log_of_the_shop() -> bytes:
    """Returns a log record of the tool's span."""
    made = LogsData()
    made.resource_logs.add().scope_logs.add().log_records.add(
        time_unix_nano=BASE_NS + 910_000_000,
        severity_number=SeverityNumber.SEVERITY_NUMBER_WARN,
        body=any_value("paying"),
        trace_id=SHOP.to_bytes(16, "big"),
        span_id=(3).to_bytes(8, "big"),
    )
    return bytes(made.SerializeToString())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("traces") / "data"
    with served(folder) as connection:
        server = running_server(folder)
        assert server is not None
        with httpx.Client(base_url=server.url, trust_env=False) as http:
            Telemetry(http).send(spans_of_the_shop())
            Telemetry(http).send_raw("logs", log_of_the_shop())
        converse(connection)
        yield folder


def run(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return replaystack(*arguments, "--data", data)


def told(data: Path, *arguments: str) -> str:
    done = run(data, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(data: Path, *arguments: str) -> str:
    done = run(data, *arguments)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    return done.stderr


def test_the_newest_traces(data: Path) -> None:
    lines = told(data, "traces").splitlines()
    assert lines[0].split()[:2] == ["trace", "at"]
    shop = next(line for line in lines if f"{SHOP:032x}" in line)
    for piece in ("1.00 s", "1,200 → 34", "POST /order", "gpt-x", "shop"):
        assert piece in shop
    # The server's own: the turn that was asked for.
    assert any("/v1alpha/agents" in line for line in lines)
    assert "\x1b" not in "".join(lines) and "\u202e" not in "".join(lines)


def test_traces_that_match(data: Path) -> None:
    def ids(*arguments: str) -> list[str]:
        found = json.loads(told(data, "traces", "--json", *arguments))["data"]
        return [trace["trace_id"] for trace in found]

    assert ids("--errors") == [f"{SHOP:032x}"]
    assert ids("--where", "gen_ai.response.model=gpt-x") == [f"{SHOP:032x}"]
    assert ids("--where", "n=5") == ids("--where", "n>4") == ids("--where", 't="5"') == [f"{TWIN:032x}"]
    assert ids("--where", "n=6") == []
    assert ids("--where", "resource.service.name=shop", "--where", "span.duration_ms>999") == [f"{SHOP:032x}"]
    assert len(ids("--limit", "2")) == 2
    assert "No trace matches" in told(data, "traces", "--where", "n=6")


def test_a_trace_as_a_tree(data: Path) -> None:
    text = told(data, "trace", f"{SHOP:032x}")
    lines = text.splitlines()
    assert f"{SHOP:032x}" in lines[0] and "3 spans  1 error  tokens 1,200 → 34" in lines[1]
    assert lines[3].startswith("POST /order")
    assert lines[4].startswith("├─ chat gpt-x") and "899 ms" in lines[4]
    assert lines[5].startswith("└─ execute_tool pay") and "! card refused" in lines[6]
    assert lines[7].strip() == "· +910 ms WARN paying"


def test_the_beginning_of_an_id_will_do(data: Path) -> None:
    assert "another order" in told(data, "trace", f"{TWIN:032x}".upper())
    assert "evil" in told(data, "trace", f"{EVIL:032x}"[:8])
    said = refused(data, "trace", f"{SHOP:032x}"[:12])
    assert "Several traces" in said and f"{SHOP:032x}" in said and f"{TWIN:032x}" in said
    assert "No trace begins with" in refused(data, "trace", "ffffffffff")
    assert "is not a trace id" in refused(data, "trace", "'; DROP TABLE traces")
    assert "There is no trace" in refused(data, "trace", "f" * 32)


def test_a_trace_as_json(data: Path) -> None:
    both = json.loads(told(data, "trace", f"{SHOP:032x}", "--json"))
    assert [record["body"] for record in both["logs"]] == ["paying"]
    found = both["data"]
    assert [span["name"] for span in found] == ["POST /order", "chat gpt-x", "execute_tool pay"]
    assert found[2]["status_message"] == "card refused" and found[0]["kind"] == "server"


def test_without_a_server_it_says_how_to_get_one(tmp_path: Path) -> None:
    for arguments in (("traces",), ("trace", "abc")):
        assert "replaystack serve" in refused(tmp_path, *arguments)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=b", ("a", "eq", "b")),
        ("a=5", ("a", "eq", 5)),
        ('a="5"', ("a", "eq", "5")),
        ("a!=true", ("a", "ne", True)),
        ("a>1.5", ("a", "gt", 1.5)),
        ("a<b=c", ("a", "lt", "b=c")),
        ("a = null", ("a", "eq", None)),
        ("a=", ("a", "eq", "")),
        ("a=[1]", ("a", "eq", [1])),
        ("trace_id=12345678", ("trace_id", "eq", "12345678")),
        ("span.name=5", ("span.name", "eq", "5")),
        ('span.name="5"', ("span.name", "eq", "5")),
    ],
)
def test_conditions(text: str, expected: tuple[str, str, object]) -> None:
    key, op, value = expected
    assert filters_of([text], errors=False) == [{"key": key, "op": op, "value": value}]


def test_what_is_no_condition() -> None:
    for text in ("", "a", "=b", ">", "a=\ud800"):
        with pytest.raises(Invalid, match="KEY=VALUE"):
            filters_of([text], errors=False)
