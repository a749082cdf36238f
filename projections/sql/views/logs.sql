-- All log records, with what made them. Times are UTC, body and attributes JSON.
CREATE VIEW now.logs AS
SELECT
    make_timestamp(coalesce(l.time_ns, l.observed_ns) // 1000) AS logged_at,
    l.time_ns AS time_ns,
    l.observed_ns AS observed_ns,
    l.severity AS severity,
    l.severity_text AS severity_text,
    l.event_name AS event_name,
    l.body::JSON AS body,
    l.attributes::JSON AS attributes,
    replace(l.trace_id::VARCHAR, '-', '') AS trace_id,
    format('{:016x}', l.span_id) AS span_id,
    r.attributes::JSON AS resource,
    c.name AS scope_name,
    c.version AS scope_version,
    c.attributes::JSON AS scope_attributes
FROM now.log_records AS l
LEFT JOIN now.telemetry_resources AS r ON l.resource_id = r.resource_id
LEFT JOIN now.telemetry_scopes AS c ON l.scope_id = c.scope_id;
