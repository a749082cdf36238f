-- on: turn.step_completed.1, turn.step_failed.1
-- A step that ended, joined with what its start said.
INSERT INTO now.turn_changes BY NAME
SELECT
    b.position AS position,
    b.recorded_at AS recorded_at,
    s.turn_id AS turn_id,
    s.session_id AS session_id,
    s.agent_id AS agent_id,
    substr(b.name, 6, length(b.name) - 7) AS change,
    s.started_at AS started_at,
    CASE
        WHEN b.e.tool_responses IS NULL THEN b.e.output
        ELSE json_object('tool_calls', b.e.tool_calls, 'tool_responses', b.e.tool_responses)
    END AS content,
    s.step_id AS step_id,
    s.step_type AS step_type,
    s.attempt AS attempt,
    s.model AS model,
    s.parameters AS parameters,
    s.request_digest AS request_digest,
    b.e.response_id AS response_id,
    b.e.response_model AS response_model,
    b.e.usage.input_tokens AS input_tokens,
    b.e.usage.output_tokens AS output_tokens,
    b.e.trace AS stream_trace,
    b.e.error.status AS error_status,
    b.e.error.title AS error_title,
    b.e.error.detail AS error_detail,
    b.e.actor AS actor,
    b.e.trace_id AS trace_id
FROM (
    SELECT
        position,
        make_timestamp(recorded_at) AS recorded_at,
        id,
        name,
        json_transform(
            state,
            '{"step_id": "VARCHAR", "output": "JSON", "trace": "JSON", "tool_calls": "JSON", "tool_responses": "JSON",
              "usage": {"input_tokens": "BIGINT", "output_tokens": "BIGINT"},
              "error": {"status": "INTEGER", "title": "VARCHAR", "detail": "VARCHAR"},
              "response_id": "VARCHAR", "response_model": "VARCHAR",
              "actor": "VARCHAR", "trace_id": "VARCHAR"}'
        ) AS e
    FROM batch
    WHERE name IN ('turn.step_completed.1', 'turn.step_failed.1')
) AS b
INNER JOIN now.steps_now AS s ON b.id = s.turn_id AND b.e.step_id = s.step_id;
