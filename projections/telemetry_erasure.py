"""Removes captured content from the tables of telemetry.

Sealed files with content attributes of deleted things are rewritten without them. One transaction removes
these attributes from the recent spans, names the new files, drops the schemas that were kept from a damaged
log, and adds a row to `telemetry.main.erasing`, which means that the blocks of the file may still hold the
content. The row stays until a copy of the file has replaced it, so the removal is completed after a crash.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from msgspec import Struct, json

from projections.sealed_spans import SealedWrites, replace_runs, runs_with_content, without_erased
from projections.span_store import write_text
from projections.telemetry_build import TelemetryWrites, drop_kept
from projections.warehouse.transaction import Transaction

_ERASING = "CREATE TABLE IF NOT EXISTS telemetry.main.erasing (spans VARCHAR NOT NULL, kept VARCHAR NOT NULL)"


class Deletion(Struct, frozen=True):
    """`kind` is agent, session, turn, dataset or benchmark; spans that started up to `deleted_ns` (since 1970)
    belong to it. They are counted for the id `by`."""

    kind: str
    id: str
    deleted_ns: int
    by: str


class ContentAttributes(Struct, frozen=True):
    """Names of attributes with text values, on spans of the scope `scope`. The turns in `kept` are not deleted with their
    session."""

    names: Sequence[str]
    scope: str
    kept: Sequence[str] = ()


class Cleaned(Struct):
    """The result of an erasure: the number of spans that lost content, by deleted id, and the dropped
    schemas."""

    spans: dict[str, int]
    kept: list[str]

    @property
    def leaves_blocks(self) -> bool:
        """Returns whether unused blocks of the file may still hold the content."""
        return bool(self.spans or self.kept)


def clean(
    target: SealedWrites, schema: str, deleted: Sequence[Deletion], content: ContentAttributes
) -> Cleaned:
    """Removes the content of `deleted` from the tables of `schema`, such as `telemetry.build_3`: sealed files
    that hold it are no longer named by the tables. The result includes what earlier calls removed since the
    file was last replaced. Raises StatementRefused, StorageFailed."""
    attributes = f'"(?:{_alternatives(content)})":'
    with target.sealing() as sealed:
        with target.write_concurrently("telemetry") as transaction:
            spans = _find_content(transaction, schema, deleted, content)
            old = runs_with_content(transaction, schema, attributes)
        new = [without_erased(target, sealed, schema, run) for run in old]
        with target.write_concurrently("telemetry") as transaction:
            before = _before(transaction)
            kept = drop_kept(transaction)
            transaction.run(write_text("spans_erase", schema))
            transaction.run("DROP TABLE erased")
            if old:
                replace_runs(transaction, schema, old, new)
            found = Cleaned(dict(Counter(before.spans) + spans), [*before.kept, *kept])
            if spans or kept:
                transaction.run("DELETE FROM telemetry.main.erasing")
                transaction.run(
                    "INSERT INTO telemetry.main.erasing VALUES (?, ?)",
                    [json.encode(found.spans).decode(), json.encode(found.kept).decode()],
                )
    return found


def finish(copy: TelemetryWrites) -> None:
    """Must be called with a copy of the file, whose blocks hold none of the removed content."""
    with copy.write("telemetry") as transaction:
        transaction.run("DROP TABLE IF EXISTS telemetry.main.erasing")


def _before(transaction: Transaction) -> Cleaned:
    transaction.run(_ERASING)
    found = transaction.rows("SELECT spans, kept FROM telemetry.main.erasing")
    if not found:
        return Cleaned({}, [])
    [(spans, kept)] = found
    return Cleaned(json.decode(spans, type=dict[str, int]), json.decode(kept, type=list[str]))


def _alternatives(content: ContentAttributes) -> str:
    return "|".join(re.escape(name) for name in content.names)


def _find_content(
    transaction: Transaction, schema: str, deleted: Sequence[Deletion], content: ContentAttributes
) -> Counter[str]:
    """Creates the temporary table `erased`; returns the number of its spans by deleted id."""
    # RE2 runs in linear time. Quotes within values are escaped, so a match is never part of a value.
    attribute = rf'"(?:{_alternatives(content)})":"(?:[^"\\]|\\.)*"'
    transaction.run(
        "CREATE OR REPLACE TEMP TABLE deleted (kind VARCHAR, id VARCHAR, deleted_ns BIGINT, owner VARCHAR)"
    )
    columns = zip(*((one.kind, one.id, one.deleted_ns, one.by) for one in deleted), strict=True)
    transaction.run(
        "INSERT INTO deleted "
        "SELECT unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::BIGINT[]), unnest(?::VARCHAR[])",
        [list(column) for column in columns] or [[], [], [], []],
    )
    transaction.run(
        "CREATE OR REPLACE TEMP TABLE kept_turns AS SELECT unnest(?::VARCHAR[]) AS turn_id",
        [list(content.kept)],
    )
    transaction.run(write_text("spans_captured", schema), [f'"(?:{_alternatives(content)})":', content.scope])
    transaction.run(
        "CREATE OR REPLACE TEMP TABLE erasing AS SELECT ? AS attribute, ? AS later, ? AS first",
        [attribute, f",{attribute}", rf"^\{{{attribute},?"],
    )
    transaction.run(write_text("spans_erased", schema))
    return Counter(dict(transaction.rows("SELECT owner, count(*) FROM captured GROUP BY owner")))
