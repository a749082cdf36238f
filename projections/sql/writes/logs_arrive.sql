-- Puts the log records of `arriving` into the store.
INSERT INTO now.log_records BY NAME
SELECT
    number,
    nullif(time_ns, 0) AS time_ns,
    nullif(observed_ns, 0) AS observed_ns,
    severity,
    nullif(severity_text, '') AS severity_text,
    nullif(event_name, '') AS event_name,
    body,
    attributes,
    dropped_attributes,
    flags,
    nullif(trace_id::UUID, '00000000-0000-0000-0000-000000000000'::UUID) AS trace_id,
    nullif(span_id, 0) AS span_id,
    resource_id,
    scope_id
FROM arriving;
