-- What stands for the spans with these numbers where it is asked whether a span is there.
SELECT hash(trace_id, span_id)
FROM (
    SELECT
        number,
        trace_id,
        span_id
    FROM now.spans_recent
    UNION ALL
    SELECT
        number,
        trace_id,
        span_id
    FROM now.spans_stored
)
WHERE number BETWEEN ? AND ?;
