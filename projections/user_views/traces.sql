-- One row per trace.
--   trace_id | VARCHAR | | Id of the trace, 32 hex digits.
--   root_span_id | VARCHAR | | Its earliest span without a parent, 16 hex digits; the earliest of all if none is there yet.
--   name | VARCHAR | | Name of that span.
--   service_name | VARCHAR | | Service that sent that span.
--   status | VARCHAR | | error if any of its spans has an error, otherwise ok.
--   started_at | TIMESTAMP | UTC | Start of the earliest span, in microseconds; start_ns has all digits.
--   ended_at | TIMESTAMP | UTC | End of the last span; NULL if no end was sent.
--   duration_ms | DOUBLE | ms | From start to end.
--   start_ns | BIGINT | ns since 1970 | Start of the earliest span.
--   end_ns | BIGINT | ns since 1970 | End of the last span.
--   span_count | BIGINT | spans | Spans that have arrived.
--   error_count | BIGINT | spans | Spans with an error.
--   input_tokens | BIGINT | tokens | Tokens of its model calls, each counted once; NULL if none reports any, or if the trace is
--      too large to be counted when its spans arrive.
--   output_tokens | BIGINT | tokens | As input_tokens.
--   models | VARCHAR[] | | Models of its model calls, at most 8.

SELECT
    replace(t.trace_id::VARCHAR, '-', '') AS trace_id,
    format('{:016x}', t.root_span_id) AS root_span_id,
    t.name AS name,
    json_extract_string(r.attributes, '/service.name') AS service_name,
    CASE WHEN t.error_count > 0 THEN 'error' ELSE 'ok' END AS status,
    make_timestamp(t.start_ns // 1000) AS started_at,
    make_timestamp(t.end_ns // 1000) AS ended_at,
    (t.end_ns - t.start_ns) / 1e6 AS duration_ms,
    t.start_ns AS start_ns,
    t.end_ns AS end_ns,
    t.span_count AS span_count,
    t.error_count AS error_count,
    t.input_tokens AS input_tokens,
    t.output_tokens AS output_tokens,
    t.models AS models
FROM (
    SELECT
        * EXCLUDE (models),
        list_filter(models, lambda model: model IS NOT NULL) AS models,
        CASE WHEN first_parent_span_id IS NULL THEN first_span_id ELSE coalesce(top_span_id, first_span_id) END
            AS root_span_id,
        CASE WHEN first_parent_span_id IS NULL THEN first_name ELSE coalesce(top_name, first_name) END AS name,
        CASE
            WHEN first_parent_span_id IS NULL THEN first_resource_id
            ELSE coalesce(top_resource_id, first_resource_id)
        END AS resource_id
    FROM telemetry.traces
) AS t
LEFT JOIN telemetry.telemetry_resources AS r ON t.resource_id = r.resource_id;
