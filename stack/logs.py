"""Structured logs on standard error: readable lines on a terminal, one JSON object per line elsewhere.

Each line contains the trace id of its request. No content of conversations and no secrets are logged: known
secrets are masked wherever they would appear, including tracebacks.
"""

from __future__ import annotations

import logging
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import msgspec

from stack.config import MASK
from telemetry.own.tracing import current_trace_id

_encode = msgspec.json.Encoder(enc_hook=repr).encode

# Controls (ESC and C1 begin escape sequences), line separators, bidirectional marks, halves of surrogate
# pairs.
_CONTROLS = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


def _escaped(control: re.Match[str]) -> str:
    return control.group().encode("unicode_escape").decode()


_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "color_message"}

# Only these loggers are shown at debug.
_OWN = ("replaystack", "schemas", "projections", "telemetry", "stack")

# At info these repeat what our own lines contain, or are not useful.
_QUIET = {
    "uvicorn.error": logging.WARNING,
    "uvicorn.access": logging.CRITICAL,
    "httpx2": logging.WARNING,
    "httpcore2": logging.WARNING,
    # The SDK of MCP logs what servers do wrong, with tracebacks and content.
    "mcp": logging.CRITICAL,
    "client": logging.CRITICAL,
}


class _Formatter(logging.Formatter, ABC):
    def __init__(self, secrets: Sequence[str]) -> None:
        super().__init__()
        # In plain form, and as written in JSON text.
        forms = {*secrets, *(_encode(secret).decode()[1:-1] for secret in secrets)}
        self._secrets = sorted(forms, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        line = self.line(record)
        for secret in self._secrets:
            line = line.replace(secret, MASK)
        return line

    @abstractmethod
    def line(self, record: logging.LogRecord) -> str: ...

    def traceback(self, record: logging.LogRecord) -> str:
        return self.formatException(record.exc_info) if record.exc_info else ""


class JsonFormatter(_Formatter):
    """`{"at", "level", "logger", "message", "trace_id"?, <extra fields>, "traceback"?}`"""

    def line(self, record: logging.LogRecord) -> str:
        content: dict[str, Any] = {
            "at": _moment(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if trace_id := current_trace_id():
            content["trace_id"] = trace_id
        content.update(_extra(record))
        if traceback := self.traceback(record):
            content["traceback"] = traceback
        return _json(content)


class TextFormatter(_Formatter):
    """`12:34:56.789 INFO replaystack.turn: message  field=value  trace=<id>`"""

    def line(self, record: logging.LogRecord) -> str:
        moment = _moment(record).astimezone().strftime("%H:%M:%S.%f")[:-3]
        message = record.getMessage()
        fields = {**_extra(record)}
        if trace_id := current_trace_id():
            fields["trace"] = trace_id
        parts = [
            f"{moment} {record.levelname} {record.name}: {message}",
            *(f"{name}={value}" for name, value in fields.items()),
        ]
        # A line break in a message must not look like a new log line, and escape sequences must not reach a
        # terminal.
        line = _CONTROLS.sub(_escaped, "  ".join(parts))
        traceback = "\n".join(_CONTROLS.sub(_escaped, one) for one in self.traceback(record).split("\n"))
        return f"{line}\n{traceback}" if traceback else line


def configure(
    level: str = "info",
    form: Literal["auto", "text", "json"] = "auto",
    secrets: Sequence[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Configures the process's logging, including uvicorn's loggers (start it with `log_config=None`)."""
    stream = stream or sys.stderr
    if form == "auto":
        form = "text" if stream.isatty() else "json"
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter(secrets) if form == "text" else JsonFormatter(secrets))
    # On the handler, because some libraries set the level of their own loggers to debug.
    handler.setLevel(level.upper())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.INFO, handler.level))
    for name in _OWN:
        logging.getLogger(name).setLevel(handler.level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        uvicorn = logging.getLogger(name)
        uvicorn.handlers.clear()
        uvicorn.propagate = True
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(least)
    logging.captureWarnings(True)


def _moment(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _json(content: dict[str, Any]) -> str:
    try:
        return _encode(content).decode()
    except UnicodeEncodeError:
        # A lone surrogate, from a path or from a request that was refused because of it.
        clean = {name: str(value).encode("utf-8", "replace").decode() for name, value in content.items()}
        return _encode(clean).decode()
