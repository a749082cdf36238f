-- One row per step of a turn: inference, tool_execution, shield_call or memory_retrieval. Text that shields refused, or have
-- not judged, is not shown. Texts above 256 KiB are markers: {"$blob", "bytes"}.
--   step_id | VARCHAR | | Id of the step. A fork in the middle of a turn copies steps with their ids.
--   turn_id | VARCHAR | | Turn of the step.
--   session_id | VARCHAR | | Session that recorded the turn.
--   agent_id | VARCHAR | | Agent of the turn.
--   agent_version | INTEGER | | Version of the agent's configuration with which the turn ran.
--   step_type | VARCHAR | | inference, tool_execution, shield_call or memory_retrieval.
--   status | VARCHAR | | completed, failed, or unfinished: it runs, or the end or a restart of its turn cut it off.
--   attempt | INTEGER | | Attempt of the turn in which the step started, from 1.
--   started_at | TIMESTAMP | UTC | When the step started.
--   ended_at | TIMESTAMP | UTC | When it was completed or failed.
--   duration_ms | DOUBLE | ms | From start to end.
--   first_chunk_ms | BIGINT | ms | Of an inference: from its start to the first chunk of the answer.
--   provider | VARCHAR | | Provider of the model: the part of the model's id before the first slash.
--   model | VARCHAR | | Model that was asked, as provider/model.
--   response_model | VARCHAR | | Model that answered, as its server names it.
--   response_id | VARCHAR | | Id of the model's response.
--   request_digest | VARCHAR | | SHA-256 (hex) of the request without its messages, and then of each message.
--   parameters | JSON | | Sampling parameters of the inference.
--   input_tokens | BIGINT | tokens | NULL if the model did not report it.
--   output_tokens | BIGINT | tokens | NULL if the model did not report it.
--   cached_tokens | BIGINT | tokens | Those of input_tokens that the model's server read from a cache; NULL if it did not say.
--   cost_usd | DOUBLE | US dollars | By the prices in the settings as they are now; NULL without a price for the model, or
--      without a number of tokens.
--   output | JSON | | Answer of an inference; of a failed one what there was of it. Empty if output shields refused it.
--      Texts above 256 KiB are markers.
--   stop_reason | VARCHAR | | end_of_turn, end_of_message or out_of_tokens.
--   reasoning | VARCHAR | | Beginning of the model's reasoning, if its server returns it.
--   tool_calls | JSON | | Calls of a tool execution: an array of {call_id, tool_name, arguments}. Texts above 256 KiB are
--      markers.
--   tool_responses | JSON | | Results of a tool execution: an array of {call_id, tool_name, content, metadata}; NULL if input
--      shields refused or have not judged them. Texts above 256 KiB are markers.
--   inserted_context | JSON | | What a memory retrieval found; NULL if input shields refused or have not judged it. A text
--      above 256 KiB is a marker.
--   touchpoint | VARCHAR | | What a shield call judged: user-input, retrieved-text, tool-result or assistant-output.
--   violation | JSON | | Objection of a shield: {level, user_message, metadata}; NULL if the text passed.
--   is_refused | BOOLEAN | | Of a shield call: whether the text was refused; NULL for other steps and unfinished ones.
--   error_status | INTEGER | | HTTP status of the error of a failed step.
--   error_title | VARCHAR | | Title of the error of a failed step.
--   error_detail | VARCHAR | | Why the step failed.
--   position | BIGINT | | Position of its start in the event log: steps in this order.
--   trace_id | VARCHAR | | Trace of the request in which it started, 32 hex digits; NULL without one.

SELECT
    s.step_id AS step_id,
    s.turn_id AS turn_id,
    t.session_id AS session_id,
    t.agent_id AS agent_id,
    t.agent_version AS agent_version,
    s.step_type AS step_type,
    coalesce(substr(e.change, 6), 'unfinished') AS status,
    (s.event ->> '$.attempt')::INTEGER AS attempt,
    s.recorded_at AS started_at,
    e.recorded_at AS ended_at,
    (epoch_us(e.recorded_at) - epoch_us(s.recorded_at)) / 1000 AS duration_ms,
    e.first_chunk_ms AS first_chunk_ms,
    nullif(split_part(s.model, '/', 1), '') AS provider,
    nullif(s.model, '') AS model,
    nullif(e.event ->> '$.response_model', '') AS response_model,
    nullif(e.event ->> '$.response_id', '') AS response_id,
    nullif(s.event ->> '$.request_digest', '') AS request_digest,
    s.event -> '$.parameters' AS parameters,
    e.input_tokens AS input_tokens,
    e.output_tokens AS output_tokens,
    e.cached_tokens AS cached_tokens,
    e.cost_usd AS cost_usd,
    e.event -> '$.output' AS output,
    e.event ->> '$.output.stop_reason' AS stop_reason,
    nullif(e.event ->> '$.reasoning', '') AS reasoning,
    coalesce(e.event -> '$.tool_calls', s.event -> '$.tool_calls') AS tool_calls,
    CASE WHEN r.step_id IS NOT NULL OR NOT t.has_input_shields THEN e.event -> '$.tool_responses' END AS tool_responses,
    CASE WHEN p.turn_id IS NOT NULL OR NOT t.has_input_shields THEN e.event -> '$.inserted_context' END AS inserted_context,
    nullif(s.event ->> '$.touchpoint', '') AS touchpoint,
    e.event -> '$.violation' AS violation,
    CASE
        WHEN s.step_type = 'shield_call' AND e.change = 'step_completed'
            THEN coalesce(e.event ->> '$.violation.level', 'info') NOT IN ('info', 'warn')
    END AS is_refused,
    e.error_status AS error_status,
    e.event ->> '$.error.title' AS error_title,
    e.event ->> '$.error.detail' AS error_detail,
    s.position AS position,
    nullif(s.trace_id, '') AS trace_id
FROM views.turn_changes AS s
INNER JOIN _started_turns AS t ON s.turn_id = t.turn_id
LEFT JOIN _priced AS e
    ON
        s.turn_id = e.turn_id
        AND s.step_id = e.step_id
        -- So that a condition on the type holds on both sides.
        AND s.step_type = e.step_type
        AND e.change IN ('step_completed', 'step_failed')
LEFT JOIN _passed_results AS r ON s.turn_id = r.turn_id AND s.step_id = r.step_id
LEFT JOIN _passed_inputs AS p ON s.turn_id = p.turn_id AND p.touchpoint = 'retrieved-text'
WHERE s.change = 'step_started';
