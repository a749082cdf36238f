"""OTLP's JSON form of a protobuf message: protobuf's own but for ids, which are hexadecimal."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

from google.protobuf.json_format import MessageToDict

_IDS = ("traceId", "spanId", "parentSpanId")


def as_json(message: Any) -> bytes:
    return json.dumps(_with_hex_ids(MessageToDict(message))).encode()


def _with_hex_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: b64decode(held).hex() if key in _IDS else _with_hex_ids(held) for key, held in value.items()
        }
    return [_with_hex_ids(held) for held in value] if isinstance(value, list) else value
