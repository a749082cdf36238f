"""Log lines: their form, their trace id, and what they must not show."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from stack import logs
from stack.config import MASK
from telemetry.own.tracing import Tracing

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"
SECRET = 'sk-"zebra"-secret'

logger = logging.getLogger("replaystack.test")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The process's logging as it was: it is one for all tests."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    names = [*logs._OWN, *logs._QUIET]
    levels = {name: logging.getLogger(name).level for name in names}
    yield
    root.handlers[:] = before
    root.setLevel(level)
    for name, own in levels.items():
        logging.getLogger(name).setLevel(own)
    logging.captureWarnings(False)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_lines_hold_trace_fields_and_traceback() -> None:
    stream = io.StringIO()
    logs.configure("info", "auto", stream=stream)
    with Tracing(None).server_span("GET", traceparent=TRACEPARENT):
        try:
            raise ValueError("in the middle")
        except ValueError:
            logger.exception("it failed", extra={"turn": "t1"})
    (line,) = lines(stream)
    assert line["level"] == "error"
    assert line["message"] == "it failed"
    assert line["trace_id"] == TRACE_ID
    assert line["turn"] == "t1"
    assert "in the middle" in str(line["traceback"])
    assert str(line["at"]).endswith("Z")


@pytest.mark.parametrize("form", ["json", "text"])
def test_known_secrets_are_masked_everywhere(form: str) -> None:
    stream = io.StringIO()
    logs.configure("info", form, [SECRET], stream=stream)  # type: ignore[arg-type]
    try:
        raise ValueError(SECRET)
    except ValueError:
        logger.exception("key %s", SECRET, extra={"key": SECRET})
    assert "zebra" not in stream.getvalue()
    assert MASK in stream.getvalue()


def test_text_lines_cannot_be_forged() -> None:
    stream = io.StringIO()
    logs.configure("info", "text", stream=stream)
    logger.warning("path /x\n12:00:00.000 INFO replaystack: all is well")
    assert len(stream.getvalue().splitlines()) == 1


def test_levels_are_for_the_projects_own_loggers() -> None:
    stream = io.StringIO()
    chatty = logging.getLogger("some.library")
    chatty.setLevel(logging.DEBUG)
    logs.configure("info", "json", stream=stream)
    logger.debug("hidden")
    chatty.debug("hidden")
    logging.getLogger("uvicorn.error").info("hidden: our own lines say it")
    logging.getLogger("uvicorn.error").error("seen")
    assert [line["message"] for line in lines(stream)] == ["seen"]
    logs.configure("debug", "json", stream=stream)
    logger.debug("now seen")
    assert lines(stream)[-1]["message"] == "now seen"
    chatty.setLevel(logging.NOTSET)


def test_odd_text_is_no_obstacle() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream=stream)
    logger.warning("lone \ud800 surrogate, NUL \0, newline \n")
    assert "lone" in str(lines(stream)[0]["message"])


def test_control_characters_do_not_reach_a_terminal() -> None:
    stream = io.StringIO()
    logs.configure("info", "text", stream=stream)
    nasty = "a\x1b]0;title\x07b\r\nINFO c\x9b31m"
    try:
        raise ValueError(nasty)
    except ValueError:
        logging.getLogger("replaystack.test").exception(nasty, extra={"path": nasty})
    told = stream.getvalue()
    assert not any(sign in told for sign in "\x1b\x07\r\x9b")
    assert "title" in told.splitlines()[0] and "path=" in told.splitlines()[0]
    assert "ValueError" in told and "INFO c" not in [line[:6] for line in told.splitlines()[:1]]
