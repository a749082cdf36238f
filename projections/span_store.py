"""Writes to the store of spans: arriving spans, and the traces that they change."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any
from uuid import UUID

from projections.seen_spans import SPANS as PART_SPANS
from projections.seen_spans import SeenSpans, hashes_of
from projections.telemetry_columns import NO_COUNT, NUMBER, SPANS
from projections.token_branches import LinkedSpans, counted
from projections.warehouse.column_batch import Batch, Rows
from projections.warehouse.plan import in_schema
from projections.warehouse.transaction import Transaction

MAX_COUNTED = 65_536
"""Maximum number of spans that are read per batch to count the tokens of their traces."""

_COLUMNS = {**SPANS, **NUMBER}
_OF_TRACES = frozenset(
    (
        "trace_id",
        "span_id",
        "parent_span_id",
        "name",
        "status",
        "start_ns",
        "end_ns",
        "resource_id",
        "request_model",
        "response_model",
        "input_tokens",
        "output_tokens",
        "number",
    )
)


class SpanStore:
    """Adds spans to one schema, each once. Used by one thread; another one may call `forget_before`."""

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._seen: SeenSpans | None = None
        self._added: tuple[Any, int] | None = None
        self._forgotten = 0

    def arrive(self, transaction: Transaction, batches: Sequence[Batch]) -> None:
        """Adds the spans of batches that have numbers, except those that exist already. Call `committed`
        after the commit of the transaction."""
        rows = Rows(_COLUMNS, batches)
        hashes = _hashes(rows)
        last = rows.last_number
        suspects = self._known(transaction).suspects(hashes)
        if suspects:
            rows = rows.without(self._repeated(transaction, rows, suspects))
        if rows.rows:
            transaction.run_over(write_text("spans_arrive", self._schema), arriving=rows)
            transaction.run_over(write_text("traces_arrive", self._schema), arriving=_with_counts(rows))
            merge_traces(transaction, self._schema)
        self._added = hashes, last

    def committed(self) -> None:
        if self._added is not None and self._seen is not None:
            self._seen.add(*self._added)
        self._added = None

    def forget_before(self, number: int) -> None:
        """Must be called after spans with smaller numbers were removed."""
        self._forgotten = number

    def _known(self, transaction: Transaction) -> SeenSpans:
        if self._seen is None:
            self._seen = SeenSpans()
            _load(transaction, self._schema, self._seen)
        self._seen.drop_before(self._forgotten)
        return self._seen

    def _repeated(self, transaction: Transaction, rows: Rows, suspects: Sequence[int]) -> set[int]:
        """Returns those of the suspected rows that are in the store, or earlier in `rows`."""
        traces = [UUID(bytes=trace) for trace in rows.values("trace_id", suspects)]
        keys = list(zip(traces, rows.values("span_id", suspects), strict=True))
        sql = write_text("spans_known", self._schema)
        known = set(transaction.rows(sql, [list(set(traces)), list({span for _, span in keys})]))
        repeated = set()
        for row, key in zip(suspects, keys, strict=True):
            if key in known:
                repeated.add(row)
            known.add(key)
        return repeated


def merge_traces(transaction: Transaction, schema: str) -> None:
    """Builds the traces of the temporary table `touched`; their spans are in the tables of spans."""
    transaction.run(write_text("traces_merge", schema))
    [(known,)] = transaction.rows("SELECT count(*) FROM touched WHERE NOT is_counted")
    if known:
        transaction.run(write_text("traces_counting", schema), [MAX_COUNTED])
        [(traces, first)] = transaction.rows("SELECT count(*), min(first_number) FROM counting")
        if traces:
            _count_tokens(transaction, schema, first)
    transaction.run("DROP TABLE touched")


def _count_tokens(transaction: Transaction, schema: str, first: int) -> None:
    """Counts the tokens of the traces in the temporary table `counting`."""
    spans = LinkedSpans.of(transaction.columns(write_text("traces_links", schema), [first]))
    counts: dict[str, Any] = {"place": spans.trace}
    for name, mask in zip(("input_tokens", "output_tokens"), counted(spans), strict=True):
        tokens = getattr(spans, name).copy()
        tokens[~mask] = NO_COUNT
        counts[name] = tokens
    transaction.run_over(write_text("traces_counted", schema), counts=counts)


def _with_counts(rows: Rows) -> Rows:
    """Returns the columns from which traces are built, and which tokens count among these rows alone."""
    import numpy as np

    high, low = _halves(rows.content("trace_id"))
    _, high_ranks = np.unique(high, return_inverse=True)
    lows, low_ranks = np.unique(low, return_inverse=True)
    kinds = {"span_id": np.uint64, "parent_span_id": np.uint64}
    names = ("span_id", "parent_span_id", "start_ns", "input_tokens", "output_tokens")
    columns = [np.frombuffer(rows.content(name), dtype=kinds.get(name, np.int64)) for name in names]
    by_input, by_output = counted(LinkedSpans(high_ranks * len(lows) + low_ranks, *columns))
    counts = by_input.astype(np.uint8) | by_output.astype(np.uint8) << 1
    return rows.only(_OF_TRACES).with_column("counts", counts.tobytes())


def _load(transaction: Transaction, schema: str, seen: SeenSpans) -> None:
    """Loads all existing spans, about a million at a time."""
    import numpy as np

    [(first, last, count)] = transaction.rows(write_text("spans_range", schema))
    if not count:
        return
    step = (last - first) // -(-count // PART_SPANS) + 1
    for begin in range(first, last + 1, step):
        found = transaction.columns(write_text("spans_ids", schema), [begin, begin + step - 1])
        traces = np.stack([found["high"], found["low"]], axis=1)
        seen.add(hashes_of(traces, found["span_id"]), min(begin + step - 1, last))


def _hashes(rows: Rows) -> Any:
    import numpy as np

    traces = np.stack(_halves(rows.content("trace_id")), axis=1)
    return hashes_of(traces, np.frombuffer(rows.content("span_id"), dtype=np.uint64))


def _halves(traces: bytes) -> tuple[Any, Any]:
    """Returns the upper and the lower 64 bits of trace ids: two arrays of uint64."""
    import numpy as np

    both = np.frombuffer(traces, dtype=">u8").astype(np.uint64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def write_text(name: str, schema: str) -> str:
    """Returns the statements of `sql/writes/<name>.sql` for a schema."""
    return in_schema(_sql(name), schema)


@cache
def _sql(name: str) -> str:
    return (files(__package__) / "sql" / "writes" / f"{name}.sql").read_text(encoding="utf-8")
