-- The spans of `arriving`, and in place of their traces what was known of these, for `traces_merge.sql`. Of `counts` bit
-- 0 tells whether a span's input tokens count among the spans that arrive, bit 1 whether its output tokens do.
CREATE OR REPLACE TEMP TABLE touched AS
SELECT
    trace_id::UUID AS trace_id,
    start_ns,
    nullif(end_ns, 0) AS end_ns,
    1::BIGINT AS span_count,
    (status = 2)::BIGINT AS error_count,
    {
        'id': span_id,
        'parent': nullif(parent_span_id, 0),
        'name': name,
        'resource': resource_id,
        'start': start_ns
    } AS first,
    CASE
        WHEN parent_span_id = 0 THEN {'id': span_id, 'name': name, 'resource': resource_id, 'start': start_ns}
    END AS top,
    CASE WHEN counts & 1 > 0 THEN input_tokens END AS input_tokens,
    CASE WHEN counts & 2 > 0 THEN output_tokens END AS output_tokens,
    [coalesce(nullif(response_model, ''), nullif(request_model, ''))] AS models,
    (input_tokens <> -9223372036854775808 OR output_tokens <> -9223372036854775808)::BIGINT AS token_spans,
    true AS is_counted,
    number
FROM arriving;

INSERT INTO touched
SELECT
    trace_id,
    start_ns,
    end_ns,
    span_count,
    error_count,
    {
        'id': first_span_id,
        'parent': first_parent_span_id,
        'name': first_name,
        'resource': first_resource_id,
        'start': start_ns
    },
    CASE
        WHEN top_span_id IS NOT NULL
            THEN {'id': top_span_id, 'name': top_name, 'resource': top_resource_id, 'start': top_start_ns}
    END,
    input_tokens,
    output_tokens,
    models,
    token_spans,
    false,
    first_number
FROM now.traces
WHERE trace_id IN (SELECT trace_id FROM touched);

DELETE FROM now.traces
WHERE trace_id IN (SELECT trace_id FROM touched);
