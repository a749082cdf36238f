"""Takes captured content out of the tables of telemetry.

Within one transaction the content attributes of deleted things are removed from the spans, the schemas that were kept
from a damaged log are dropped, and a row of `telemetry.main.erasing` says that the blocks of the file may still hold the
content. The row stays until a copy of the file has taken its place, so a crash in between is made up for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from msgspec import Struct, json

from projections.span_store import write_text
from projections.telemetry_build import TelemetryWrites, drop_kept
from projections.warehouse.transaction import Transaction

_ERASING = "CREATE TABLE IF NOT EXISTS telemetry.main.erasing (spans VARCHAR NOT NULL, kept VARCHAR NOT NULL)"


class Deletion(Struct, frozen=True):
    """`kind` is agent, session, dataset or benchmark; spans that began up to `deleted_ns` (since 1970) belong to it."""

    kind: str
    id: str
    deleted_ns: int


class ContentAttributes(Struct, frozen=True):
    """Names of attributes whose values are texts, on spans of the scope `scope`."""

    names: Sequence[str]
    scope: str


class Cleaned(Struct):
    """What was removed: how many spans lost content, by the id of what was deleted, and the schemas dropped."""

    spans: dict[str, int]
    kept: list[str]

    @property
    def leaves_blocks(self) -> bool:
        """Whether the file may still hold the content in blocks that are not in use."""
        return bool(self.spans or self.kept)


def clean(
    target: TelemetryWrites, schema: str, deleted: Sequence[Deletion], content: ContentAttributes
) -> Cleaned:
    """Removes the content of `deleted` from the tables of `schema`, such as `telemetry.build_3`. The answer includes what
    earlier calls removed since the file was last replaced. Raises StatementRefused, StorageFailed."""
    with target.write_concurrently("telemetry") as transaction:
        before = _before(transaction)
        kept = drop_kept(transaction)
        spans = _without_content(transaction, schema, deleted, content)
        found = Cleaned(dict(Counter(before.spans) + spans), [*before.kept, *kept])
        if spans or kept:
            transaction.run("DELETE FROM telemetry.main.erasing")
            transaction.run(
                "INSERT INTO telemetry.main.erasing VALUES (?, ?)",
                [json.encode(found.spans).decode(), json.encode(found.kept).decode()],
            )
    return found


def finish(copy: TelemetryWrites) -> None:
    """Called with a copy of the file: its blocks hold nothing that was removed."""
    with copy.write("telemetry") as transaction:
        transaction.run("DROP TABLE IF EXISTS telemetry.main.erasing")


def _before(transaction: Transaction) -> Cleaned:
    transaction.run(_ERASING)
    found = transaction.rows("SELECT spans, kept FROM telemetry.main.erasing")
    if not found:
        return Cleaned({}, [])
    [(spans, kept)] = found
    return Cleaned(json.decode(spans, type=dict[str, int]), json.decode(kept, type=list[str]))


def _without_content(
    transaction: Transaction, schema: str, deleted: Sequence[Deletion], content: ContentAttributes
) -> Counter[str]:
    names = "|".join(re.escape(name) for name in content.names)
    # RE2 takes time in proportion to the text. Quotes within values are escaped, so a match is never part of one.
    attribute = rf'"(?:{names})":"(?:[^"\\]|\\.)*"'
    transaction.run("CREATE OR REPLACE TEMP TABLE deleted (kind VARCHAR, id VARCHAR, deleted_ns BIGINT)")
    transaction.run(
        "INSERT INTO deleted SELECT unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::BIGINT[])",
        [[one.kind for one in deleted], [one.id for one in deleted], [one.deleted_ns for one in deleted]],
    )
    transaction.run(write_text("spans_captured", schema), [f'"(?:{names})":', content.scope])
    found = transaction.rows("SELECT owner, count(*) FROM captured GROUP BY owner")
    if found:
        transaction.run(
            "CREATE OR REPLACE TEMP TABLE erasing AS SELECT ? AS attribute, ? AS later, ? AS first",
            [attribute, f",{attribute}", rf"^\{{{attribute},?"],
        )
        transaction.run(write_text("spans_erase", schema))
    return Counter(dict(found))
