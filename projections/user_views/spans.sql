-- One row per span: those of this server and of other senders.
--   trace_id | VARCHAR | | Trace of the span, 32 hex digits.
--   span_id | VARCHAR | | Id of the span, 16 hex digits.
--   parent_span_id | VARCHAR | | Id of the parent; NULL for a root.
--   name | VARCHAR | | Name of the span.
--   kind | VARCHAR | | unspecified, internal, server, client, producer or consumer.
--   status | VARCHAR | | unset, ok or error.
--   status_message | VARCHAR | | What the sender said about an error.
--   started_at | TIMESTAMP | UTC | Start, in microseconds; start_ns has all digits.
--   ended_at | TIMESTAMP | UTC | End, in microseconds; NULL if no end was sent.
--   duration_ms | DOUBLE | ms | From start to end; NULL if no end was sent.
--   start_ns | BIGINT | ns since 1970 | Start.
--   end_ns | BIGINT | ns since 1970 | End; NULL if no end was sent.
--   operation_name | VARCHAR | | GenAI operation, such as chat, execute_tool or invoke_agent.
--   provider_name | VARCHAR | | Provider of a model.
--   request_model | VARCHAR | | Model that was asked for.
--   response_model | VARCHAR | | Model that answered.
--   response_id | VARCHAR | | Id of the model's response.
--   session_id | VARCHAR | | Conversation of the span: the session's id for spans of this server.
--   agent_id | VARCHAR | | Agent of the span.
--   agent_name | VARCHAR | | Name of the agent.
--   turn_id | VARCHAR | | Turn of the span, if the sender names it.
--   step_id | VARCHAR | | Step of the span, if the sender names it.
--   tool_name | VARCHAR | | Tool that was called.
--   tool_call_id | VARCHAR | | Id of the call.
--   error_type | VARCHAR | | Kind of the error.
--   input_tokens | BIGINT | tokens | Tokens that the span reports. Parents may repeat those of their children: traces
--      and token_usage count each once.
--   output_tokens | BIGINT | tokens | As input_tokens.
--   attributes | JSON | | All attributes: an object.
--   events | JSON | | An array of {time_ns, name, attributes}; NULL without any. span_events has a row for each.
--   links | JSON | | An array of {trace_id, span_id, trace_state, attributes}; NULL without any.
--   service_name | VARCHAR | | Service that sent the span.
--   resource | JSON | | Attributes of the sender: an object.
--   scope_name | VARCHAR | | Library that made the span.
--   scope_version | VARCHAR | | Version of the library.

SELECT
    replace(s.trace_id::VARCHAR, '-', '') AS trace_id,
    format('{:016x}', s.span_id) AS span_id,
    format('{:016x}', s.parent_span_id) AS parent_span_id,
    s.name AS name,
    ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer'][s.kind + 1] AS kind,
    ['unset', 'ok', 'error'][s.status + 1] AS status,
    s.status_message AS status_message,
    make_timestamp(s.start_ns // 1000) AS started_at,
    make_timestamp(s.end_ns // 1000) AS ended_at,
    (s.end_ns - s.start_ns) / 1e6 AS duration_ms,
    s.start_ns AS start_ns,
    s.end_ns AS end_ns,
    s.operation_name AS operation_name,
    s.provider_name AS provider_name,
    s.request_model AS request_model,
    s.response_model AS response_model,
    s.response_id AS response_id,
    s.conversation_id AS session_id,
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
    json_extract_string(r.attributes, '/service.name') AS service_name,
    r.attributes::JSON AS resource,
    nullif(c.name, '') AS scope_name,
    c.version AS scope_version
FROM (
    SELECT * EXCLUDE (pairs) FROM telemetry.spans_recent
    UNION ALL
    SELECT * FROM telemetry.spans_stored
) AS s
LEFT JOIN telemetry.telemetry_resources AS r ON s.resource_id = r.resource_id
LEFT JOIN telemetry.telemetry_scopes AS c ON s.scope_id = c.scope_id;
