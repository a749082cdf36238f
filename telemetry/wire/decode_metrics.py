"""Decodes the points of metrics to rows, and the streams that they belong to.

A stream is the series of points that one sender sends under one name, unit and set of labels, as one kind of
metric. It is identified by a hash of all of these, so that no id has to be looked up.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from projections.telemetry_columns import HISTOGRAMS, POINTS, STREAMS
from telemetry.wire.attribute_json import joined
from telemetry.wire.decoded import MAX_TIME_NS, Decoded, Origin, Origins, Rejections, identity
from telemetry.wire.form import Form
from telemetry.wire.histogram_points import ROWS
from telemetry.wire.refusals import Unfit
from telemetry.wire.row_columns import RowColumns
from telemetry.wire.row_limit import RowLimit

KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
TEMPORALITIES = (
    "AGGREGATION_TEMPORALITY_UNSPECIFIED",
    "AGGREGATION_TEMPORALITY_DELTA",
    "AGGREGATION_TEMPORALITY_CUMULATIVE",
)
_TEMPORALITIES = (b"", b"delta", b"cumulative")
_VALUES = ("as_double", "as_int")
_NO_RECORDED_VALUE = 1
_INT64 = range(-(2**63), 2**63)


class _Metric(NamedTuple):
    """The common properties of the points of a metric. `kind` is one of KINDS, `temporality` is `delta`,
    `cumulative` or empty."""

    name: bytes
    description: bytes
    unit: bytes
    kind: bytes
    temporality: bytes
    is_monotonic: int


def decode(form: Form, request: Any) -> Decoded:
    """Decodes a request in the given form. Raises Malformed, TooLarge."""
    rows = _Rows(form)
    for of_resource in request.resource_metrics or ():
        origin = Origin(rows.origins, of_resource)
        for of_scope in of_resource.scope_metrics or ():
            for metric in of_scope.metrics or ():
                rows.add(metric, origin, of_scope)
    return rows.decoded()


class _Rows:
    def __init__(self, form: Form) -> None:
        self.origins = Origins(form)
        self._form = form
        self._limit = RowLimit()
        self._accepted = 0
        self._rejections = Rejections()
        self._streams = RowColumns(STREAMS)
        self._points = RowColumns(POINTS)
        self._histograms = RowColumns(HISTOGRAMS)
        self._identities: set[int] = set()

    def add(self, metric: Any, origin: Origin, of_scope: Any) -> None:
        self._limit.add(1)
        kind = self._form.choice(metric, "data", KINDS)
        data = getattr(metric, kind) if kind else None
        points = data.data_points or () if data is not None else ()
        try:
            common = self._common(metric, kind, data)
        except Unfit as problem:
            # A metric without points is counted too, so that its sender is informed.
            self._rejections.add(str(problem), max(1, len(points)))
            return
        identities: dict[bytes, int] = {}
        for some in self._limit.slices(points):
            for point in some:
                try:
                    self._add_point(common, point, identities, origin, of_scope)
                except Unfit as problem:
                    self._rejections.add(str(problem))
                else:
                    self._accepted += 1

    def decoded(self) -> Decoded:
        batches = self.origins.batches()
        for name, rows in (
            ("streams", self._streams),
            ("points", self._points),
            ("histograms", self._histograms),
        ):
            if rows.columns["identity"]:
                batches[name] = rows.batch()
        return Decoded(self._accepted, self._rejections.count, self._rejections.reason, batches)

    def _common(self, metric: Any, kind: str | None, data: Any) -> _Metric:
        """Raises Unfit."""
        if kind is None:
            raise Unfit("a metric has no data")
        if not metric.name:
            raise Unfit("a metric has no name")
        temporality = 0
        if kind not in ("gauge", "summary"):
            [temporality] = self._form.enums([data.aggregation_temporality], TEMPORALITIES)
            if not temporality:
                raise Unfit("a metric does not say whether it is delta or cumulative")
        return _Metric(
            metric.name.encode(),
            (metric.description or "").encode(),
            (metric.unit or "").encode(),
            kind.encode(),
            _TEMPORALITIES[temporality],
            int(kind == "sum" and bool(data.is_monotonic)),
        )

    def _add_point(
        self, common: _Metric, point: Any, identities: dict[bytes, int], origin: Origin, of_scope: Any
    ) -> None:
        """`identities` maps labels to the metric's streams. Raises Unfit."""
        form, kind = self._form, common.kind
        if form.number(point.flags) & _NO_RECORDED_VALUE:
            return
        time_ns, start_ns = form.number(point.time_unix_nano), form.number(point.start_time_unix_nano)
        if not time_ns:
            raise Unfit("a point has no time")
        if not (0 < time_ns <= MAX_TIME_NS and 0 <= start_ns <= MAX_TIME_NS):
            raise Unfit("a time is not between 1970 and 2262")
        is_number = kind in (b"gauge", b"sum")
        row = self._number(point) if is_number else ROWS[kind.decode()](form, point)
        labels = joined(dict(sorted(form.fragments(point.attributes).items())))
        stream = identities.get(labels)
        if stream is None:
            stream = identities[labels] = self._stream(common, labels, *origin.ids(of_scope))
        row["identity"], row["time_ns"], row["start_ns"] = stream, time_ns, start_ns
        (self._points if is_number else self._histograms).append(row)

    def _number(self, point: Any) -> dict[str, Any]:
        field = self._form.choice(point, "value", _VALUES)
        if field == "as_int":
            whole = self._form.number(point.as_int)
            if whole not in _INT64:
                raise Unfit("a whole number has more than 64 bits")
            return {"value": float(whole), "whole": whole, "is_whole": 1}
        if field == "as_double":
            [value] = self._form.reals([point.as_double])
            return {"value": value, "whole": 0, "is_whole": 0}
        raise Unfit("a point has no value")

    def _stream(self, common: _Metric, labels: bytes, resource_id: int, scope_id: int) -> int:
        name, description, unit, kind, temporality, is_monotonic = common
        known = identity((resource_id, scope_id, name, unit, kind, temporality, is_monotonic, labels))
        if known not in self._identities:
            self._identities.add(known)
            self._streams.append(
                {
                    "identity": known,
                    "name": name,
                    "description": description,
                    "unit": unit,
                    "kind": kind,
                    "temporality": temporality,
                    "is_monotonic": is_monotonic,
                    "labels": labels,
                    "resource_id": resource_id,
                    "scope_id": scope_id,
                }
            )
        return known
