-- The ids of the spans with these numbers, by halves of 64 bits.
SELECT
    (trace_id::UHUGEINT >> 64)::UBIGINT AS high,
    (trace_id::UHUGEINT & 18446744073709551615::UHUGEINT)::UBIGINT AS low,
    span_id
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
