"""Values in texts are found and replaced by placeholders."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from stack.errors import Invalid
from stack.services.replay.redacted_text import Placeholders, TextRedaction
from stack.services.replay.redaction_rules import BUILT_IN, Rules, rules_in_file, rules_of

EMAIL = "ann@example.com"
KEY = "sk-proj-0123456789abcdefghij"
CARD = "4111 1111 1111 1111"
ALL = rules_of(["all"])


def text(value: str, rules: Rules = ALL) -> str:
    return TextRedaction(rules, Placeholders(())).text(value, (("field",),))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Write to ann@example.com, or bob@example.org.", "Write to [email:1], or [email:2]."),
        ("ann@example.com ann@example.com", "[email:1] [email:1]"),
        ("grüße@bücher.example and é", "[email:1] and é"),
        ("no @ address, a@b", "no @ address, a@b"),
        (f"key {KEY}.", "key [api_key:1]."),
        ("ghp_0123456789012345678901234567890123456", "[api_key:1]"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer [bearer:1]"),
        (f"card {CARD} or 4111111111111111", "card [card:1] or [card:2]"),
        ("order 4111111111111112, not a card", "order 4111111111111112, not a card"),
        ('{"to": "ann@example.com",\n "n": 7}', '{"to": "[email:1]",\n "n": 7}'),
        (r'{"to": "ann\u0040example.com"}', '{"to": "[email:1]"}'),
        ('{"ann@example.com": 1}', '{"[email:1]": 1}'),
        ('{"card": 4111111111111111, "x": 4111111111111112}', '{"card": 1, "x": 4111111111111112}'),
        (
            r'{"inner": "{\"to\": \"ann@example.com\"}"}',
            r'{"inner":"{\"to\": \"[email:1]\"}"}'.replace(':"{', ': "{'),
        ),
        ('[1, ["ann@example.com", null, true]]', '[1, ["[email:1]", null, true]]'),
        ('{"to": "ann@example.com"', '{"to": "[email:1]"'),
        (
            "data:text/plain;base64," + base64.b64encode(EMAIL.encode()).decode(),
            "data:text/plain;base64," + base64.b64encode(b"[email:1]").decode(),
        ),
        ("data:text/plain,hi%20ann%40example.com", "data:text/plain,hi%20%5Bemail%3A1%5D"),
        ("", ""),
    ],
)
def test_patterns(given: str, expected: str) -> None:
    assert text(given) == expected


@pytest.mark.parametrize(
    ("path", "given", "expected"),
    [
        ("$.password", '{"password": "hunter2", "user": "x"}', '{"password": "[password:1]", "user": "x"}'),
        (
            "$..pin",
            '{"a": [{"pin": 1234}, {"pin": 99}, {"pin": 1234}]}',
            '{"a": [{"pin": 1}, {"pin": 2}, {"pin": 1}]}',
        ),
        ("$.field.password", '{"password": "x"}', '{"password": "[password:1]"}'),
        ("$.field", "all of it", "[field:1]"),
        ("$.field", '{"a": "b", "c": [1.5, true]}', '{"a": "[field:1]", "c": [1, true]}'),
        ("$..a", r'{"a": "\"quoted\""}', '{"a": "[a:1]"}'),
        ("$.other", '{"a": 1}', '{"a": 1}'),
    ],
)
def test_paths(path: str, given: str, expected: str) -> None:
    assert text(given, rules_of(paths=[("", path)])) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        {"builtin": ["emails"]},
        {"own": [("Name!", "x")]},
        {"own": [("name", "(?=hunter2)")]},
        {"own": [("name", "hunter2(")]},
        {"paths": [("", "hunter2")]},
        {"paths": [("a b", "$.a")]},
    ],
)
def test_rules_that_cannot_be_used_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refusal:
        rules_of(**arguments)
    if "own" in arguments:
        assert "hunter2" not in refusal.value.detail


def test_own_patterns_replace_their_group() -> None:
    rules = rules_of(own=[("customer", r"customer (\d+)"), ("word", "secret")])
    assert text("customer 17, customer 18, customer 17: secret", rules) == (
        "customer [customer:1], customer [customer:2], customer [customer:1]: [word:1]"
    )


def test_rules_in_a_file() -> None:
    toml = b'builtin = ["email"]\n[patterns]\ncustomer = "C-[0-9]+"\n[paths]\npassword = ["$..password", "$..pw"]\n'
    found = rules_in_file(toml, ".toml")
    assert (found.builtin, found.patterns) == (["email"], {"customer": "C-[0-9]+"})
    assert rules_in_file(msgspec.json.encode(found), ".json") == found
    for wrong in (b"builtin = 1", b"other = 1", b"\xff"):
        with pytest.raises(Invalid, match="rules of redaction"):
            rules_in_file(wrong, ".toml")


def test_the_built_in_patterns_do_not_find_ids_and_times() -> None:
    harmless = (
        "018bcfe5-6800-8000-8001-d6d36ab5c0b5 1700000000000000 2026-11-30T17:00:00.000000Z demo/extractive"
    )
    assert text(harmless) == harmless
    assert set(BUILT_IN) == {"email", "api_key", "bearer", "card"}
