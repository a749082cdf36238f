-- One row per log record that senders sent.
--   logged_at | TIMESTAMP | UTC | When it happened or, if the sender does not say, when it was observed.
--   time_ns | BIGINT | ns since 1970 | When it happened; NULL if the sender does not say.
--   observed_ns | BIGINT | ns since 1970 | When it was observed; NULL if that was not sent.
--   severity | INTEGER | | From 1: trace, from 5: debug, from 9: info, from 13: warn, from 17: error, from 21: fatal; 0: not said.
--   severity_text | VARCHAR | | The severity in the words of the sender.
--   event_name | VARCHAR | | Name of the event, if the record is one.
--   body | JSON | | What was logged.
--   attributes | JSON | | All attributes: an object.
--   trace_id | VARCHAR | | Trace in which it was logged, 32 hex digits; NULL without one.
--   span_id | VARCHAR | | Span in which it was logged, 16 hex digits; NULL without one.
--   service_name | VARCHAR | | Service that sent the record.
--   resource | JSON | | Attributes of the sender: an object.
--   scope_name | VARCHAR | | Library that made the record.
--   scope_version | VARCHAR | | Version of the library.

SELECT
    make_timestamp(coalesce(l.time_ns, l.observed_ns) // 1000) AS logged_at,
    l.time_ns AS time_ns,
    l.observed_ns AS observed_ns,
    l.severity::INTEGER AS severity,
    l.severity_text AS severity_text,
    l.event_name AS event_name,
    l.body::JSON AS body,
    l.attributes::JSON AS attributes,
    replace(l.trace_id::VARCHAR, '-', '') AS trace_id,
    format('{:016x}', l.span_id) AS span_id,
    json_extract_string(r.attributes, '/service.name') AS service_name,
    r.attributes::JSON AS resource,
    nullif(c.name, '') AS scope_name,
    c.version AS scope_version
FROM telemetry.log_records AS l
LEFT JOIN telemetry.telemetry_resources AS r ON l.resource_id = r.resource_id
LEFT JOIN telemetry.telemetry_scopes AS c ON l.scope_id = c.scope_id;
