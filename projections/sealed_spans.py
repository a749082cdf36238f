"""Old spans in sealed files: chunks of recent ones are moved there, small files are merged.

Each change writes a new file first, then changes the tables in one transaction: the rows of `runs`, the views
over the files that they name, and the rows that have moved. Files that no table names are removed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from projections.span_store import write_text
from projections.warehouse.sealed_files import SealedFiles, sealed_name
from projections.warehouse.transaction import File, Transaction

CHUNK = 122_880
"""Number of spans that are moved at once, unless it is set: whole row groups."""
MERGED = 4
"""So many consecutive files of about the same size are merged: those of chunks always, and larger ones if
there are many files."""
MANY_FILES = 24
"""To plan a query takes about 0.5 ms for each file."""

_NEW_FILE = re.compile(r"\bsealed\.(?=[a-z_])")
_RUN = "file, first_number, last_number, first_ns, last_ns, spans, is_cut"


class Run(NamedTuple):
    """A row of `runs`."""

    file: int
    first_number: int
    last_number: int
    first_ns: int
    last_ns: int
    spans: int
    is_cut: bool

    def select(self, table: str, columns: str = "*") -> str:
        """Returns a select from the rows of the file that were not removed."""
        cut = f" WHERE number >= {self.first_number:d}" if self.is_cut else ""
        return f"SELECT {columns} FROM {sealed_name(self.file)}.main.{table}{cut}"


class SealedWrites(Protocol):
    """The warehouse."""

    def write_concurrently(self, file: File) -> AbstractContextManager[Transaction]: ...

    def sealing(self) -> AbstractContextManager[SealedFiles]: ...


def runs(transaction: Transaction, schema: str) -> list[Run]:
    """Returns the files of the tables in a schema, such as `telemetry.build_3`, the oldest spans first."""
    rows = transaction.rows(f"SELECT {_RUN} FROM {schema}.runs ORDER BY first_number")
    return [Run(*row) for row in rows]


def seal_chunk(target: SealedWrites, schema: str, chunk: int) -> bool:
    """Moves the oldest recent spans to a file, while others arrive; returns False if there are fewer than
    `chunk`, or if it cannot be done now. Raises StatementRefused, StorageFailed."""
    newest = f"SELECT number FROM {schema}.spans_recent ORDER BY number LIMIT 1 OFFSET ?"
    with target.sealing() as sealed:
        if not sealed.can_change:
            return False
        with target.write_concurrently("telemetry") as transaction:
            [(first,)] = transaction.rows(f"SELECT min(number) FROM {schema}.spans_recent")
            last = transaction.rows(newest, [chunk - 1])
        if last:
            seal(target, sealed, schema, first, last[0][0])
        return bool(last)


def seal(target: SealedWrites, sealed: SealedFiles, schema: str, first: int, last: int) -> None:
    """Moves the recent spans with numbers from `first` to `last`, both included."""

    def fill(transaction: Transaction, into: str) -> None:
        transaction.run(
            "CREATE OR REPLACE TEMP TABLE sealing AS SELECT ?::BIGINT AS first, ?::BIGINT AS last",
            [first, last],
        )
        transaction.run(_into(write_text("spans_seal", schema), into))
        transaction.run("DROP TABLE sealing")

    made = _made(target, sealed, fill)
    with target.write_concurrently("telemetry") as transaction:
        transaction.run(f"DELETE FROM {schema}.spans_recent WHERE number BETWEEN ? AND ?", [first, last])
        replace_runs(transaction, schema, [], [made])


def merge_once(target: SealedWrites, schema: str, chunk: int) -> bool:
    """Merges some small files to one; returns False if there are none to merge, or if it cannot be done now.
    Raises StatementRefused, StorageFailed."""
    with target.sealing() as sealed:
        if not sealed.can_change:
            return False
        with target.write_concurrently("telemetry") as transaction:
            parts = _mergeable(runs(transaction, schema), chunk)
        if not parts:
            return False
        made = _made(target, sealed, lambda transaction, into: _merge(transaction, into, parts))
        with target.write_concurrently("telemetry") as transaction:
            replace_runs(transaction, schema, parts, [made])
    return True


def remove_unneeded(target: SealedWrites) -> bool:
    """Removes the files that no tables name, of whichever schema; returns whether all were removed. Raises
    StatementRefused, StorageFailed."""
    with target.sealing() as sealed:
        with target.write_concurrently("telemetry") as transaction:
            schemas = transaction.rows(
                "SELECT schema_name FROM duckdb_tables() "
                "WHERE database_name = 'telemetry' AND table_name = 'runs'"
            )
            named = {run.file for (name,) in schemas for run in runs(transaction, f"telemetry.{name}")}
        return sealed.keep_only(named)


def forget_runs(transaction: Transaction, schema: str, number: int) -> None:
    """Removes the spans with smaller numbers: files that have only those are no longer named; others still
    have the rows, which are no longer read."""
    transaction.run(f"DELETE FROM {schema}.runs WHERE last_number < ?", [number])
    transaction.run(
        f"UPDATE {schema}.runs SET first_number = ?, is_cut = true WHERE first_number < ?", [number, number]
    )
    replace_runs(transaction, schema, [], [])


def replace_runs(transaction: Transaction, schema: str, old: Sequence[Run], new: Sequence[Run]) -> None:
    """Replaces rows of `runs`, and makes the views over the files that it names then."""
    for run in old:
        transaction.run(f"DELETE FROM {schema}.runs WHERE file = ?", [run.file])
    for run in new:
        transaction.run(f"INSERT INTO {schema}.runs ({_RUN}) VALUES (?, ?, ?, ?, ?, ?, ?)", list(run))
    found = runs(transaction, schema)
    views = {
        "spans_stored": ("spans", f"SELECT * EXCLUDE (pairs) FROM {schema}.spans_recent WHERE false"),
        "span_pairs": ("span_pairs", "SELECT 0::UBIGINT AS pair, 0 AS start_ns, 0 AS number WHERE false"),
    }
    for view, (table, empty) in views.items():
        selects = " UNION ALL ".join([run.select(table) for run in found]) or empty
        transaction.run(f"CREATE OR REPLACE VIEW {schema}.{view} AS {selects}")


def without_erased(target: SealedWrites, sealed: SealedFiles, schema: str, old: Run) -> Run:
    """Returns the run of a new file with the spans of `old`, without the content in the temporary table
    `erased`, and without removed rows."""
    sql = write_text("spans_erase_sealed", schema)
    for table in ("spans", "span_pairs"):
        sql = sql.replace(f"old.{table} ", f"({old.select(table)}) ")
    return _made(target, sealed, lambda transaction, into: transaction.run(_into(sql, into)))


def runs_with_content(transaction: Transaction, schema: str, content: str) -> list[Run]:
    """Returns the files that have spans of the temporary table `erased`, or removed rows whose attributes
    match `content`, a regular expression."""
    erased = transaction.rows(
        f"SELECT DISTINCT r.file FROM {schema}.runs AS r "
        "JOIN erased AS e ON e.number BETWEEN r.first_number AND r.last_number"
    )
    files = {file for (file,) in erased}
    found = []
    for run in runs(transaction, schema):
        if run.file not in files and run.is_cut:
            removed = f"SELECT 1 FROM {sealed_name(run.file)}.main.spans WHERE number < ?"
            if transaction.rows(
                f"{removed} AND regexp_matches(attributes, ?) LIMIT 1", [run.first_number, content]
            ):
                files.add(run.file)
        if run.file in files:
            found.append(run)
    return found


def _made(target: SealedWrites, sealed: SealedFiles, fill: Callable[[Transaction, str], None]) -> Run:
    found: list[tuple[int, int, int, int, int]] = []

    def filled(transaction: Transaction, into: str) -> None:
        fill(transaction, into)
        transaction.run(f"CREATE INDEX spans_by_number ON {into}.spans (number)")
        found.extend(transaction.rows(_into(write_text("spans_sealed", ""), into)))

    file = sealed.create(filled)
    return Run(file, *found[0], is_cut=False)


def _mergeable(found: Sequence[Run], chunk: int) -> Sequence[Run]:
    """Returns consecutive files to be merged, the oldest possible ones: files of a chunk each or, if there are
    many files, larger ones of about the same size."""
    windows = [found[first : first + MERGED] for first in range(len(found) - MERGED + 1)]
    for some in windows:
        if all(run.spans < chunk * MERGED // 2 for run in some):
            return some
    for some in windows if len(found) > MANY_FILES else ():
        if max(run.spans for run in some) < 2 * min(run.spans for run in some):
            return some
    return ()


def _merge(transaction: Transaction, into: str, parts: Sequence[Run]) -> None:
    """Sorts a slice of the spans, and of their pairs, at a time: all of them would take much memory."""
    slices = max(len(parts), sum(part.spans for part in parts) // CHUNK)
    shares = [number / slices for number in range(1, slices)]
    # Those of one file are near enough.
    [(traces,)] = transaction.rows(
        f"SELECT quantile_disc(trace_id, {shares}) FROM ({parts[0].select('spans', 'trace_id')})"
    )
    # Pairs are hashes, which are distributed evenly.
    pairs = [int(share * 2**64) for share in shares]
    _merge_table(transaction, into, parts, _Sorted("spans", "trace_id", "trace_id, start_ns", traces))
    _merge_table(transaction, into, parts, _Sorted("span_pairs", "pair", "pair, start_ns", pairs))


class _Sorted(NamedTuple):
    """The order of a table in a sealed file; `ends` are those of its slices, except the last one."""

    table: str
    key: str
    order: str
    ends: Sequence[object]


def _merge_table(transaction: Transaction, into: str, parts: Sequence[Run], of: _Sorted) -> None:
    source = " UNION ALL ".join([part.select(of.table) for part in parts])
    transaction.run(f"CREATE TABLE {into}.{of.table} AS FROM ({source}) WHERE false")
    for lower, upper in zip([None, *of.ends], [*of.ends, None], strict=True):
        bounds = {"lower": (f"{of.key} > $lower", lower), "upper": (f"{of.key} <= $upper", upper)}
        given = {name: bound for name, bound in bounds.items() if bound[1] is not None}
        where = " AND ".join([condition for condition, _ in given.values()]) or "true"
        transaction.run(
            f"INSERT INTO {into}.{of.table} FROM ({source}) WHERE {where} ORDER BY {of.order}",
            {name: value for name, (_, value) in given.items()},
        )


def _into(sql: str, schema: str) -> str:
    """Returns `sql` with the schema of a new file in place of the placeholder."""
    return _NEW_FILE.sub(f"{schema}.", sql)
