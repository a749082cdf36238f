"""Every event that was ever released keeps decoding: its stored JSON lies in `tests/golden/<name>.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.events import REGISTRY
from schemas.events.base import Redacted, Unknown
from schemas.upcasts import UPCASTS
from stack.eventstore.codec import Codec
from tests.eventstore.newer_events import with_unknown_fields

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = sorted(file.name.removesuffix(".json") for file in GOLDEN.glob("*.json"))


def same(state: bytes) -> bytes:
    return state


def test_every_event_has_a_golden_file() -> None:
    missing = sorted((REGISTRY.keys() | UPCASTS.keys()) - set(NAMES))
    assert not missing, f"write tests/golden/<name>.json, with every field set, for {missing}"


def test_every_golden_file_is_of_a_known_event() -> None:
    assert not set(NAMES) - REGISTRY.keys() - UPCASTS.keys(), "a released event may not be removed"


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_event_decodes(name: str) -> None:
    event = Codec().decode(name, (GOLDEN / f"{name}.json").read_bytes(), same)
    assert not isinstance(event, Redacted | Unknown)


@pytest.mark.parametrize("name", sorted(REGISTRY.keys() & set(NAMES)))
def test_a_present_event_is_written_as_its_golden_file_says(name: str) -> None:
    stored = (GOLDEN / f"{name}.json").read_bytes()
    codec = Codec()
    event = codec.decode(name, stored, same)
    assert type(event) is REGISTRY[name]
    again, state = codec.encode(event)
    assert again == name
    assert msgspec.json.decode(state) == msgspec.json.decode(stored)
    assert codec.decode(name, state, same) == event


@pytest.mark.parametrize("name", NAMES)
def test_unknown_fields_at_any_depth_are_ignored(name: str) -> None:
    stored = (GOLDEN / f"{name}.json").read_bytes()
    newer = msgspec.json.encode(with_unknown_fields(msgspec.json.decode(stored)))
    assert b"x_later" in newer
    codec = Codec()
    [kept, known] = [codec.encode(codec.decode(name, state, same))[1] for state in (newer, stored)]
    assert msgspec.json.decode(kept) == msgspec.json.decode(known)


@pytest.mark.parametrize("name", NAMES)
def test_unknown_kinds_and_values_do_not_make_an_event_unreadable(name: str) -> None:
    """Whatever tells kinds apart or has a fixed set of values may have others in a newer release."""
    sets = (
        "role",
        "type",
        "status",
        "stop_reason",
        "step_type",
        "purpose",
        "tool_choice",
        "tool_prompt_format",
    )

    def newer(value: Any) -> Any:
        if isinstance(value, list):
            return [newer(one) for one in value]
        if isinstance(value, dict):
            return {
                key: "later" if key in sets and isinstance(one, str) else newer(one)
                for key, one in value.items()
            }
        return value

    stored = msgspec.json.decode((GOLDEN / f"{name}.json").read_bytes())
    event = Codec().decode(name, msgspec.json.encode(newer(stored)), same)
    assert type(event) is type(Codec().decode(name, msgspec.json.encode(stored), same))
