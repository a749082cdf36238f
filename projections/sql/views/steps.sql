-- One row per step: with which model, how and when it ended, tokens and error. `unfinished` is a step that runs,
-- or one that was cut off by the end or the restart of its turn.
CREATE VIEW now.steps AS
SELECT
    s.step_id AS step_id,
    s.turn_id AS turn_id,
    t.session_id AS session_id,
    t.agent_id AS agent_id,
    s.step_type AS step_type,
    coalesce(substr(e.change, 6), 'unfinished') AS status,
    s.recorded_at AS started_at,
    e.recorded_at AS ended_at,
    (epoch_us(e.recorded_at) - epoch_us(s.recorded_at)) / 1000 AS duration_ms,
    (s.event ->> '$.attempt')::INTEGER AS attempt,
    s.model AS model,
    s.event -> '$.parameters' AS parameters,
    s.event ->> '$.request_digest' AS request_digest,
    e.event ->> '$.response_id' AS response_id,
    e.event ->> '$.response_model' AS response_model,
    e.input_tokens AS input_tokens,
    e.output_tokens AS output_tokens,
    e.event ->> '$.reasoning' AS reasoning,
    e.event -> '$.output' AS output,
    e.event -> '$.tool_calls' AS tool_calls,
    e.event -> '$.tool_responses' AS tool_responses,
    s.event ->> '$.touchpoint' AS touchpoint,
    e.event -> '$.violation' AS violation,
    e.event -> '$.trace' AS stream_trace,
    e.error_status AS error_status,
    e.event ->> '$.error.title' AS error_title,
    e.event ->> '$.error.detail' AS error_detail,
    s.actor AS actor,
    s.trace_id AS trace_id,
    coalesce(e.position, s.position) AS position
FROM now.turn_changes AS s
INNER JOIN now.turn_changes AS t ON s.turn_id = t.turn_id AND t.change = 'started'
LEFT JOIN now.turn_changes AS e
    ON
        s.turn_id = e.turn_id
        AND s.step_id = e.step_id
        AND e.change IN ('step_completed', 'step_failed')
WHERE s.change = 'step_started';
