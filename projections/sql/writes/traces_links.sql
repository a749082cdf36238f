-- How the spans of the traces in `counting` are linked, and their tokens. Parameter: the least number of any of them.
SELECT
    c.place,
    s.span_id,
    coalesce(s.parent_span_id, 0) AS parent_span_id,
    s.start_ns,
    coalesce(s.input_tokens, -9223372036854775808) AS input_tokens,
    coalesce(s.output_tokens, -9223372036854775808) AS output_tokens
FROM (
    SELECT
        trace_id,
        span_id,
        parent_span_id,
        start_ns,
        input_tokens,
        output_tokens
    FROM now.spans_recent
    WHERE number >= $1
    UNION ALL
    SELECT
        trace_id,
        span_id,
        parent_span_id,
        start_ns,
        input_tokens,
        output_tokens
    FROM now.spans_stored
    WHERE number >= $1
) AS s
INNER JOIN counting AS c ON s.trace_id = c.trace_id;
