-- Spans of these traces and with these ids that are in the store.
SELECT
    trace_id,
    span_id
FROM (
    SELECT
        trace_id,
        span_id
    FROM now.spans_recent
    UNION ALL
    SELECT
        trace_id,
        span_id
    FROM now.spans_stored
)
WHERE trace_id IN (SELECT unnest($1::UUID[])) AND span_id IN (SELECT unnest($2::UBIGINT[]));
