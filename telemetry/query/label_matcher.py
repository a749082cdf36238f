"""Label matchers of metric queries, with Prometheus's semantics: a missing label equals the empty text, and
patterns match the whole value. Patterns are RE2 patterns, which run in linear time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from schemas.api.telemetry import MetricLabelMatcher
from telemetry.query.errors import QueryInvalid

MAX_MATCHERS = 64
MAX_PATTERN_CHARACTERS = 4_096
RESOURCE = "resource."
"""`resource.<name>` is the resource's attribute, unless a label has exactly that name."""

Labels = Mapping[str, str]


class Matcher(Struct, frozen=True):
    """A test of the label `name`."""

    name: str
    accepts: Callable[[str], bool]

    def matches(self, labels: Labels, resource: Labels) -> bool:
        found = labels.get(self.name)
        if found is None and self.name.startswith(RESOURCE):
            found = resource.get(self.name.removeprefix(RESOURCE))
        return self.accepts(found or "")


def matchers(asked: Sequence[MetricLabelMatcher] | None) -> tuple[Matcher, ...]:
    """Parses the conditions, all of which a series must meet. Raises QueryInvalid."""
    asked = asked or ()
    if len(asked) > MAX_MATCHERS:
        raise QueryInvalid(f"label_matchers holds {len(asked)} matchers; at most {MAX_MATCHERS} can be used.")
    return tuple(_matcher(one, f"label_matchers[{number}]") for number, one in enumerate(asked))


def _matcher(asked: MetricLabelMatcher, where: str) -> Matcher:
    name, wanted = asked.name, asked.operator in ("=", "=~")
    if not name:
        raise QueryInvalid(f"{where}.name is empty; name a label.")
    if len(name) > MAX_PATTERN_CHARACTERS or len(asked.value) > MAX_PATTERN_CHARACTERS:
        raise QueryInvalid(f"{where} has a name or value of more than {MAX_PATTERN_CHARACTERS} characters.")
    if asked.operator in ("=", "!="):
        return Matcher(name, lambda label: (label == asked.value) is wanted)
    pattern = _compiled(asked.value, where)
    return Matcher(name, lambda label: (pattern.fullmatch(label) is not None) is wanted)


def _compiled(pattern: str, where: str) -> Any:
    import re2  # type: ignore[import-untyped]

    options = re2.Options()
    options.log_errors = False
    options.max_mem = 4 << 20
    options.dot_nl = True
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        said = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise QueryInvalid(
            f"{where}.value is not a valid pattern: {said[:200]}. Patterns are RE2's, which has no look-around and no "
            "back-references."
        ) from None
