-- Makes traces of `touched`: of spans, and of what was known of these traces before. Of none of them is a row there.
INSERT INTO now.traces
SELECT
    trace_id,
    start_ns,
    end_ns,
    span_count,
    error_count,
    first.id,
    first.parent,
    first.name,
    first.resource,
    top.start,
    top.id,
    top.name,
    top.resource,
    input_tokens,
    output_tokens,
    models
FROM (
    SELECT
        trace_id,
        min(start_ns) AS start_ns,
        max(end_ns) AS end_ns,
        sum(span_count) AS span_count,
        sum(error_count) AS error_count,
        arg_min(
            first, {'start': first.start, 'below': first.parent IS NOT NULL, 'id': first.id}
        ) AS first,
        arg_min(top, {'start': top.start, 'id': top.id}) FILTER (WHERE top IS NOT NULL) AS top,
        CASE
            WHEN count(input_tokens) > 0
                THEN greatest(least(sum(input_tokens), 9223372036854775807), -9223372036854775807)::BIGINT
        END AS input_tokens,
        CASE
            WHEN count(output_tokens) > 0
                THEN greatest(least(sum(output_tokens), 9223372036854775807), -9223372036854775807)::BIGINT
        END AS output_tokens,
        list_slice(list_sort(list_distinct(flatten(list(models)))), 1, 8) AS models
    FROM touched
    GROUP BY trace_id
);

DROP TABLE touched;
