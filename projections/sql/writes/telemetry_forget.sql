-- Removes whatever has a smaller number than that of `forgetting`; sealed spans have been removed before. The spans that
-- are left of the traces in `thinned` are those that `traces_merge.sql` makes them of; resources, scopes and streams go
-- with the last row that names them.
DELETE FROM now.spans_recent
WHERE number < (SELECT number FROM forgetting);

DELETE FROM now.metric_points
WHERE number < (SELECT number FROM forgetting);

DELETE FROM now.metric_histograms
WHERE number < (SELECT number FROM forgetting);

DELETE FROM now.log_records
WHERE number < (SELECT number FROM forgetting);

DELETE FROM now.traces
WHERE trace_id IN (SELECT trace_id FROM thinned);

CREATE OR REPLACE TEMP TABLE touched AS
SELECT
    trace_id,
    start_ns,
    end_ns,
    1::BIGINT AS span_count,
    (status = 2)::BIGINT AS error_count,
    {'id': span_id, 'parent': parent_span_id, 'name': name, 'resource': resource_id, 'start': start_ns} AS first,
    CASE
        WHEN parent_span_id IS NULL
            THEN {'id': span_id, 'name': name, 'resource': resource_id, 'start': start_ns}
    END AS top,
    input_tokens,
    output_tokens,
    [coalesce(response_model, request_model)] AS models,
    (input_tokens IS NOT NULL OR output_tokens IS NOT NULL)::BIGINT AS token_spans,
    false AS is_counted,
    number
FROM (
    SELECT * EXCLUDE (pairs) FROM now.spans_recent
    WHERE trace_id IN (SELECT trace_id FROM thinned)
    UNION ALL
    SELECT * FROM now.spans_stored
    WHERE trace_id IN (SELECT trace_id FROM thinned)
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
