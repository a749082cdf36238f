"""Shields of servers under test, and turns that they judged."""

from __future__ import annotations

import json
from typing import Any

REFUSAL = "I can't answer that. Can I help with something else?"
GUARD = "guard;word=bomb"
SHIELDS: list[dict[str, Any]] = [
    {"id": "words", "kind": "pattern", "patterns": [{"name": "explosive", "pattern": "(?i)bomb"}]},
    {"id": "answers", "kind": "pattern", "patterns": [{"name": "secret", "pattern": "secret"}]},
    {"id": "warns", "kind": "pattern", "level": "warn", "patterns": [{"name": "w", "pattern": "Hello"}]},
    {"id": "guard", "kind": "llama-guard", "model": f"scripted/{GUARD}"},
    {"id": "slow", "kind": "llama-guard", "model": "scripted/guard;word=bomb;first_ms=600000"},
    {"id": "mute", "kind": "llama-guard", "model": "scripted/mute", "timeout_s": 0.3},
    {"id": "odd", "kind": "llama-guard", "model": "scripted/say;text=Sure!"},
]
ENVIRONMENT = {
    "REPLAYSTACK_SHIELDS": json.dumps(SHIELDS),
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true",
}
SECRET = "say;text=the secret is xyzzy4711"


def steps_of(turn: dict[str, Any]) -> list[str]:
    return [step["step_type"] for step in turn["steps"]]
