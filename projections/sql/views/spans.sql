-- All spans, recent and stored ones, with what made them. Times are UTC, attributes JSON.
CREATE VIEW now.spans AS
SELECT
    replace(s.trace_id::VARCHAR, '-', '') AS trace_id,
    format('{:016x}', s.span_id) AS span_id,
    format('{:016x}', s.parent_span_id) AS parent_span_id,
    s.trace_state AS trace_state,
    s.name AS name,
    ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer'][s.kind + 1] AS kind,
    CASE WHEN s.status = 2 THEN 'error' ELSE 'ok' END AS status,
    s.status_message AS status_message,
    make_timestamp(s.start_ns // 1000) AS started_at,
    make_timestamp(s.end_ns // 1000) AS ended_at,
    s.start_ns AS start_ns,
    s.end_ns AS end_ns,
    (s.end_ns - s.start_ns) / 1e6 AS duration_ms,
    s.operation_name AS operation_name,
    s.provider_name AS provider_name,
    s.request_model AS request_model,
    s.response_model AS response_model,
    s.response_id AS response_id,
    s.conversation_id AS conversation_id,
    s.agent_id AS agent_id,
    s.agent_name AS agent_name,
    s.turn_id AS turn_id,
    s.step_id AS step_id,
    s.tool_name AS tool_name,
    s.tool_call_id AS tool_call_id,
    s.error_type AS error_type,
    s.input_tokens AS input_tokens,
    s.output_tokens AS output_tokens,
    s.attributes::JSON AS attributes,
    s.events::JSON AS events,
    s.links::JSON AS links,
    r.attributes::JSON AS resource,
    c.name AS scope_name,
    c.version AS scope_version,
    c.attributes::JSON AS scope_attributes
FROM (
    SELECT * EXCLUDE (pairs) FROM now.spans_recent
    UNION ALL
    SELECT * FROM now.spans_stored
) AS s
LEFT JOIN now.telemetry_resources AS r ON s.resource_id = r.resource_id
LEFT JOIN now.telemetry_scopes AS c ON s.scope_id = c.scope_id;
