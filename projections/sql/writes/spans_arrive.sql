-- Puts the spans of `arriving` into the store. None of them is there yet.
INSERT INTO now.spans_recent BY NAME
SELECT
    number,
    trace_id::UUID AS trace_id,
    span_id,
    nullif(parent_span_id, 0) AS parent_span_id,
    nullif(trace_state, '') AS trace_state,
    flags,
    name,
    kind,
    status,
    nullif(status_message, '') AS status_message,
    start_ns,
    nullif(end_ns, 0) AS end_ns,
    dropped_attributes,
    dropped_events,
    dropped_links,
    resource_id,
    scope_id,
    nullif(operation_name, '') AS operation_name,
    nullif(provider_name, '') AS provider_name,
    nullif(request_model, '') AS request_model,
    nullif(response_model, '') AS response_model,
    nullif(response_id, '') AS response_id,
    nullif(conversation_id, '') AS conversation_id,
    nullif(agent_id, '') AS agent_id,
    nullif(agent_name, '') AS agent_name,
    nullif(turn_id, '') AS turn_id,
    nullif(step_id, '') AS step_id,
    nullif(tool_name, '') AS tool_name,
    nullif(tool_call_id, '') AS tool_call_id,
    nullif(error_type, '') AS error_type,
    nullif(input_tokens, -9223372036854775808) AS input_tokens,
    nullif(output_tokens, -9223372036854775808) AS output_tokens,
    '{' || replace(fragments, chr(30), ',') || '}' AS attributes,
    nullif(events, '') AS events,
    nullif(links, '') AS links,
    size,
    CASE
        WHEN fragments = '' THEN []
        ELSE list_transform(string_split(fragments, chr(30)), lambda fragment: hash(fragment))
    END AS pairs
FROM arriving;
