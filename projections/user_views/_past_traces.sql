-- Traces as they were at `as_of_ns`: those that had ended by then as they are now, the others made of the spans that had ended.
-- Of the others, tokens are known if only one span has any.

SELECT
    trace_id,
    start_ns,
    end_ns,
    span_count,
    error_count,
    first_span_id,
    first_parent_span_id,
    first_name,
    first_resource_id,
    top_span_id,
    top_name,
    top_resource_id,
    input_tokens,
    output_tokens,
    models
FROM telemetry.traces
WHERE end_ns <= getvariable('as_of_ns')
UNION ALL
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
    top.id,
    top.name,
    top.resource,
    CASE WHEN token_spans < 2 THEN input_tokens END,
    CASE WHEN token_spans < 2 THEN output_tokens END,
    list_slice(list_sort(list_distinct(models)), 1, 8)
FROM (
    SELECT
        s.trace_id,
        min(s.start_ns) AS start_ns,
        max(s.end_ns) AS end_ns,
        count(*) AS span_count,
        count(*) FILTER (WHERE s.status = 2) AS error_count,
        arg_min(
            {'id': s.span_id, 'parent': s.parent_span_id, 'name': s.name, 'resource': s.resource_id},
            {'start': s.start_ns, 'below': s.parent_span_id IS NOT NULL, 'id': s.span_id}
        ) AS first,
        arg_min(
            {'id': s.span_id, 'name': s.name, 'resource': s.resource_id}, {'start': s.start_ns, 'id': s.span_id}
        ) FILTER (WHERE s.parent_span_id IS NULL) AS top,
        sum(s.input_tokens)::BIGINT AS input_tokens,
        sum(s.output_tokens)::BIGINT AS output_tokens,
        list(coalesce(s.response_model, s.request_model)) AS models,
        count(*) FILTER (WHERE s.input_tokens IS NOT NULL OR s.output_tokens IS NOT NULL) AS token_spans
    FROM (
        SELECT * EXCLUDE (pairs) FROM telemetry.spans_recent
        UNION ALL
        SELECT * FROM telemetry.spans_stored
    ) AS s
    INNER JOIN telemetry.traces AS t ON s.trace_id = t.trace_id
    WHERE t.start_ns <= getvariable('as_of_ns') AND (t.end_ns > getvariable('as_of_ns') OR t.end_ns IS NULL)
    GROUP BY s.trace_id
);
