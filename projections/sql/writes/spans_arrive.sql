-- Puts the spans of `incoming` into the store, and what they change about their traces. None of them is there yet.
INSERT INTO now.spans_recent BY NAME
SELECT
    * EXCLUDE (trace_id, pairs),
    trace_id::UUID AS trace_id,
    CASE WHEN pairs = '' THEN [] ELSE list_transform(string_split(pairs, chr(30)), lambda pair: hash(pair)) END AS pairs
FROM incoming;

CREATE OR REPLACE TEMP TABLE touched AS
SELECT
    trace_id::UUID AS trace_id,
    min(start_ns) AS start_ns,
    max(end_ns) AS end_ns,
    count(*) AS span_count,
    count(*) FILTER (WHERE status = 2) AS error_count,
    arg_min(
        {'id': span_id, 'parent': parent_span_id, 'name': name, 'resource': resource_id, 'start': start_ns},
        {'start': start_ns, 'below': parent_span_id IS NOT NULL, 'id': span_id}
    ) AS first,
    arg_min(
        {'id': span_id, 'name': name, 'resource': resource_id, 'start': start_ns}, {'start': start_ns, 'id': span_id}
    ) FILTER (WHERE parent_span_id IS NULL) AS top,
    sum(input_tokens)::BIGINT AS input_tokens,
    sum(output_tokens)::BIGINT AS output_tokens,
    list_slice(list_sort(list_distinct(list(coalesce(response_model, request_model)))), 1, 8) AS models
FROM incoming
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
        sum(input_tokens)::BIGINT AS input_tokens,
        sum(output_tokens)::BIGINT AS output_tokens,
        list_slice(list_sort(list_distinct(flatten(list(models)))), 1, 8) AS models
    FROM touched
    GROUP BY trace_id
);

DROP TABLE touched;
