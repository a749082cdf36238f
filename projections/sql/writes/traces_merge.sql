-- Makes traces of `touched`: of spans, and of what was known of these traces before. Of none of them is a row there.
-- The tokens of a trace add up where all its spans were counted together, or where only one of them has any.
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
    CASE WHEN is_counted THEN input_tokens END,
    CASE WHEN is_counted THEN output_tokens END,
    models,
    token_spans,
    is_counted,
    first_number
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
            WHEN count(input_tokens) > 0 THEN least(sum(input_tokens), 9223372036854775807)::BIGINT
        END AS input_tokens,
        CASE
            WHEN count(output_tokens) > 0 THEN least(sum(output_tokens), 9223372036854775807)::BIGINT
        END AS output_tokens,
        list_slice(list_sort(list_distinct(flatten(list(models)))), 1, 8) AS models,
        sum(token_spans) AS token_spans,
        bool_and(is_counted) OR sum(token_spans) < 2 AS is_counted,
        min(number) AS first_number
    FROM touched
    GROUP BY trace_id
);
