"""Rows of CSV files: converted exactly, or refused with the number of the invalid line.

- The first line names the columns. An empty name becomes `column_<position>`; a duplicate name is refused.
- The separator is a comma, a semicolon, a tab or a bar: the one with which most lines have as many cells as the first
  line (or that of `sep=` in the first line). Quotes are as in RFC 4180; lines end in LF, CRLF or CR; a byte order mark
  is not part of the first name. Blank lines are skipped. A line with more or fewer cells than names is refused.
- An empty cell without quotes is null; `""` is the empty string.
- A column contains integers, numbers or booleans only if each of its cells has the same text after being parsed and
  written again: 12, -3.5, 1e-07, true. All other columns are strings: 007, 1.10, +1, 1e5, TRUE, NaN, and integers
  larger than 64 bits are kept unchanged.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

import msgspec

from stack.errors import Invalid, TooLarge
from stack.providers.rows.content import Content
from stack.providers.rows.csv_types import Cell, ColumnKinds, values
from stack.providers.rows.port import RowBlock
from stack.providers.rows.row_text import packed

SEPARATORS = (",", ";", "\t", "|")
_SAMPLE_BYTES = 256 * 1024
_SAMPLE_RECORDS = 50
# Types are determined for batches of rows, column by column.
_BATCH_CHARACTERS = 2**20
_BATCH_CELLS = 50_000
# The cells of smaller content are kept in memory, so that they are read only once.
_KEPT_BYTES = 96 * 2**20
_ROW_BYTES, _CELL_BYTES = 64, 58

Batch = Sequence[Sequence[Cell]]
"""Rows, each with as many cells as there are columns."""

_encode = msgspec.json.Encoder().encode
_SEP_LINE = re.compile(r'sep=([^"\r\n])(?:\r?\n|\r|$)')


def csv_rows(content: Content, separator: str | None = None) -> Iterator[RowBlock]:
    """`separator` is known for TSV. Large content is read twice, because the type of a column is only known
    at its end. Raises Invalid, TooLarge."""
    csv.field_size_limit(content.limits.max_row_bytes)
    separator = separator or _separator_of(content)
    records = _Records(content, separator)
    names = _names(records.header, content.shown)
    kinds = ColumnKinds(len(names))
    batches = records.batches()
    seen: list[Batch] = []
    for batch in batches:
        kinds.look_at(batch)
        if records.kept_bytes <= _KEPT_BYTES:
            seen.append(batch)
        if kinds.decided:
            break
    if records.kept_bytes <= _KEPT_BYTES:
        batches = chain(seen, batches)
    else:
        seen.clear()
        batches = _Records(content, separator).batches()
    columns = kinds.kinds()
    texts = (
        _encode(dict(zip(names, row, strict=True)))
        for batch in batches
        for row in zip(*map(values, zip(*batch, strict=True), columns), strict=True)
    )
    return packed(texts, lambda index: f"{content.shown}: a row", content.limits)


class _Records:
    """One pass over the records. Raises Invalid with the number of the line in which the invalid record
    begins."""

    def __init__(self, content: Content, separator: str) -> None:
        self._content = content
        self._separator = separator
        self._quoting = _Quoting(separator)
        self._raw: list[str] = []
        self.characters = self.count = 0
        self._batch_began = 0
        self._lines = self._read_lines()
        self._reader = csv.reader(self._lines, delimiter=separator, strict=True)
        self._before = 0
        header = self._next()
        while header == [] or (header and self._before == 0 and _SEP_LINE.fullmatch("".join(self._raw))):
            self._begin_next()
            header = self._next()
        if header is None:
            raise Invalid(f"{content.shown} is empty; the first line of CSV names the columns.")
        if len(header) > content.limits.max_columns:
            raise Invalid(
                f"{content.shown} has {len(header)} columns; at most {content.limits.max_columns} are read."
            )
        self.header = header
        self._begin_next()

    @property
    def kept_bytes(self) -> int:
        """The approximate memory of the rows so far, in bytes."""
        return self.characters + self.count * (_ROW_BYTES + _CELL_BYTES * len(self.header))

    def batches(self) -> Iterator[Batch]:
        """Yields the rows in batches."""
        width = len(self.header)
        most = max(1, _BATCH_CELLS // width)
        batch: list[Sequence[Cell]] = []
        limit = self._content.limits.max_rows
        while (cells := self._next()) is not None:
            # Checked here, because all rows may be read for the types of columns before the first one is
            # returned.
            self.count += 1
            if self.count > limit:
                raise Invalid(
                    f"{self._content.shown} has more than {limit} rows, blank lines included (setting max_dataset_rows)."
                )
            if len(cells) != width:
                if cells:
                    raise self._ragged(len(cells))
            else:
                batch.append(self._with_nulls(cells) if "" in cells else cells)
            self._begin_next()
            if len(batch) >= most or self.characters - self._batch_began >= _BATCH_CHARACTERS:
                if batch:
                    yield batch
                batch, self._batch_began = [], self.characters
        if batch:
            yield batch

    def _next(self) -> list[str] | None:
        try:
            return next(self._reader, None)
        except csv.Error as error:
            raise self._wrong(_reason(error)) from None
        except UnicodeDecodeError:
            raise _not_utf8(self._content) from None

    def _begin_next(self) -> None:
        self._before = self._reader.line_num
        self._raw.clear()

    def _read_lines(self) -> Iterator[str]:
        limit = self._content.limits.max_row_bytes
        with io.TextIOWrapper(self._content.open(), encoding="utf-8-sig", newline="") as text:
            while line := text.readline(limit + 1):
                self.characters += len(line)
                self._raw.append(line)
                if len(line) > limit:
                    raise TooLarge(
                        f"{self._content.shown}: line {self._before + 1} has more than {limit} characters; no row may."
                    )
                yield line

    def _with_nulls(self, cells: list[str]) -> list[Cell]:
        raw = "".join(self._raw)
        quoted = self._quoting.quoted_cells(raw) if '""' in raw else frozenset()
        return [cell or ("" if index in quoted else None) for index, cell in enumerate(cells)]

    def _ragged(self, count: int) -> Invalid:
        return self._wrong(f"it has {count} cells, the first line names {len(self.header)} columns")

    def _wrong(self, reason: str) -> Invalid:
        separator = {"\t": "tab"}.get(self._separator, self._separator)
        return Invalid(
            f"{self._content.shown}: line {self._before + 1}: {reason} (separator {separator}, quotes as in RFC 4180)."
        )


def _reason(error: csv.Error) -> str:
    if "end of data" in str(error):
        return "a quote that opens there is never closed"
    if "field limit" in str(error):
        return f"a cell has more than {csv.field_size_limit()} characters; no row may, or a quote is never closed"
    return str(error)


class _Quoting:
    """Finds out which cells of a record are quoted, which the csv module does not report."""

    def __init__(self, separator: str) -> None:
        sep = re.escape(separator)
        self._cell = re.compile(rf'(?:("[^"]*(?:""[^"]*)*")|[^{sep}\r\n]*)(?:{sep}|\r?\n|\r|$)')
        self._separator = separator
        self._empty = f'{separator}""{separator}'

    def quoted_cells(self, raw: str) -> frozenset[int]:
        """Returns the indexes of quoted cells, if any of them may be empty."""
        sep = self._separator
        if self._empty not in sep + raw.rstrip("\r\n") + sep:
            return frozenset()
        found = []
        at = index = 0
        while at < len(raw) and (match := self._cell.match(raw, at)) is not None:
            if match[1]:
                found.append(index)
            at, index = match.end(), index + 1
        return frozenset(found)


def _names(header: list[str], shown: str) -> list[str]:
    names = [name or f"column_{position}" for position, name in enumerate(header, 1)]
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        first, second, *_ = [position for position, name in enumerate(names, 1) if name == doubled[0]]
        raise Invalid(
            f"{shown}: the columns {first} and {second} are both named {doubled[0][:100]!r}. Each needs a name of its "
            "own."
        )
    return names


def _separator_of(content: Content) -> str:
    """Returns the separator with which most of the first records have as many cells as the first; if several
    do, the one with most cells."""
    sample = content.head(_SAMPLE_BYTES)
    if len(sample) == _SAMPLE_BYTES:
        sample = sample[: max(sample.rfind(b"\n"), sample.rfind(b"\r")) + 1] or sample
    text = sample.decode("utf-8-sig", "replace")
    said = _SEP_LINE.match(text)
    if said:
        return said[1]
    best = max(SEPARATORS, key=lambda separator: _agreement(text, separator))
    return best if _agreement(text, best) > (0, 0) else ","


def _agreement(text: str, separator: str) -> tuple[float, int]:
    """Returns the share of records with as many cells as the first, and that number of cells."""
    counts: list[int] = []
    try:
        for record in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            if record:
                counts.append(len(record))
            if len(counts) == _SAMPLE_RECORDS:
                break
    except csv.Error:
        return (0, 0)
    if not counts or counts[0] < 2:
        return (0, 0)
    return (counts.count(counts[0]) / len(counts), counts[0])


def _not_utf8(content: Content) -> Invalid:
    for number, line in enumerate(content.lines(), 1):
        try:
            line.decode()
        except UnicodeDecodeError:
            return Invalid(f"{content.shown}: line {number} is not valid UTF-8. Save the file as UTF-8.")
    return Invalid(f"{content.shown} is not valid UTF-8. Save the file as UTF-8.")
