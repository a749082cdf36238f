-- What the spans of `arriving` change about their traces.
CREATE OR REPLACE TEMP TABLE touched AS
SELECT
    trace_id::UUID AS trace_id,
    min(start_ns) AS start_ns,
    max(nullif(end_ns, 0)) AS end_ns,
    count(*) AS span_count,
    count(*) FILTER (WHERE status = 2) AS error_count,
    arg_min(
        {'id': span_id, 'parent': nullif(parent_span_id, 0), 'name': name, 'resource': resource_id, 'start': start_ns},
        {'start': start_ns, 'below': parent_span_id <> 0, 'id': span_id}
    ) AS first,
    arg_min(
        {'id': span_id, 'name': name, 'resource': resource_id, 'start': start_ns}, {'start': start_ns, 'id': span_id}
    ) FILTER (WHERE parent_span_id = 0) AS top,
    CASE
        WHEN count(nullif(input_tokens, -9223372036854775808)) > 0
            THEN greatest(least(sum(nullif(input_tokens, -9223372036854775808)), 9223372036854775807), -9223372036854775807)::BIGINT
    END AS input_tokens,
    CASE
        WHEN count(nullif(output_tokens, -9223372036854775808)) > 0
            THEN greatest(least(sum(nullif(output_tokens, -9223372036854775808)), 9223372036854775807), -9223372036854775807)::BIGINT
    END AS output_tokens,
    list_slice(list_sort(list_distinct(list(coalesce(nullif(response_model, ''), nullif(request_model, ''))))), 1, 8) AS models
FROM arriving
GROUP BY ALL;

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
    models
FROM now.traces
WHERE trace_id IN (SELECT trace_id FROM touched);

DELETE FROM now.traces
WHERE trace_id IN (SELECT trace_id FROM touched);

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
