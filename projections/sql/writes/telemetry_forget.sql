-- Removes whatever has a smaller number than that of `forgetting`. Traces of which spans are left are what these make
-- them; resources, scopes and streams go with the last row that names them.
CREATE OR REPLACE TEMP TABLE thinned AS
SELECT DISTINCT trace_id
FROM (
    SELECT
        trace_id,
        number
    FROM now.spans_recent
    UNION ALL
    SELECT
        trace_id,
        number
    FROM now.spans_stored
)
WHERE number < (SELECT number FROM forgetting);

DELETE FROM now.spans_recent
WHERE number < (SELECT number FROM forgetting);

DELETE FROM now.spans_stored
WHERE number < (SELECT number FROM forgetting);

DELETE FROM now.span_pairs
WHERE number < (SELECT number FROM forgetting);

DELETE FROM now.metric_points
WHERE number < (SELECT number FROM forgetting);

DELETE FROM now.metric_histograms
WHERE number < (SELECT number FROM forgetting);

DELETE FROM now.log_records
WHERE number < (SELECT number FROM forgetting);

DELETE FROM now.traces
WHERE trace_id IN (SELECT trace_id FROM thinned);

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
        count(*) AS span_count,
        count(*) FILTER (WHERE status = 2) AS error_count,
        arg_min(
            {'id': span_id, 'parent': parent_span_id, 'name': name, 'resource': resource_id},
            {'start': start_ns, 'below': parent_span_id IS NOT NULL, 'id': span_id}
        ) AS first,
        arg_min(
            {'id': span_id, 'name': name, 'resource': resource_id, 'start': start_ns},
            {'start': start_ns, 'id': span_id}
        ) FILTER (WHERE parent_span_id IS NULL) AS top,
        CASE
            WHEN count(input_tokens) > 0
                THEN greatest(least(sum(input_tokens), 9223372036854775807), -9223372036854775807)::BIGINT
        END AS input_tokens,
        CASE
            WHEN count(output_tokens) > 0
                THEN greatest(least(sum(output_tokens), 9223372036854775807), -9223372036854775807)::BIGINT
        END AS output_tokens,
        list_slice(list_sort(list_distinct(list(coalesce(response_model, request_model)))), 1, 8) AS models
    FROM (
        SELECT * EXCLUDE (pairs) FROM now.spans_recent
        WHERE trace_id IN (SELECT trace_id FROM thinned)
        UNION ALL
        SELECT * FROM now.spans_stored
        WHERE trace_id IN (SELECT trace_id FROM thinned)
    )
    GROUP BY trace_id
);

DROP TABLE thinned;

DELETE FROM now.metric_streams
WHERE stream_id NOT IN (
    SELECT stream_id FROM now.metric_points
    UNION
    SELECT stream_id FROM now.metric_histograms
);

DELETE FROM now.telemetry_resources
WHERE resource_id NOT IN (
    SELECT resource_id FROM now.spans_recent
    UNION
    SELECT resource_id FROM now.spans_stored
    UNION
    SELECT resource_id FROM now.metric_streams
    UNION
    SELECT resource_id FROM now.log_records
);

DELETE FROM now.telemetry_scopes
WHERE scope_id NOT IN (
    SELECT scope_id FROM now.spans_recent
    UNION
    SELECT scope_id FROM now.spans_stored
    UNION
    SELECT scope_id FROM now.metric_streams
    UNION
    SELECT scope_id FROM now.log_records
);
